"""Redaction of secrets in logged texts, wherever they occur."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.logs.fields import fields, given_fields
from worker.logs.redaction import loggable

SECRET = "s3cr3t"
FILLING = st.one_of(st.integers(0, 400), st.integers(3_900, 4_100), st.integers(15_900, 16_100), st.integers(0, 20_000))
PLACES = (
    "http://user:{filling}{secret}@h.example/x",
    "http://{filling}:{secret}{filling}@h.example/x",
    "http://h.example/{filling}?{secret}{filling}",
    "seg{filling}.ts?eyJhbGciOiJIUzI1NiJ9.{secret}",
    "redis://:{secret}{filling}@a,redis://:**@b",
    "redis://:{secret}@a;redis://u:{filling}@b",
)


@given(before=FILLING, filling=FILLING, place=st.sampled_from(PLACES), blank=st.sampled_from(["", " ", "\n"]))
def test_no_secret_of_a_url_is_logged_wherever_the_text_is_cut(
    before: int, filling: int, place: str, blank: str
) -> None:
    """Readers of logs could log in to Redis or watch signed streams whenever the URL is long enough."""
    text = "x" * before + blank + place.format(filling="y" * filling, secret=SECRET)
    record = logging.makeLogRecord(fields(note=text))
    assert SECRET not in loggable(text)
    assert SECRET not in str(given_fields(record))


@pytest.mark.parametrize("text", ["redis://user:**@h.example/0", "is it so?", "really?yes"])
def test_texts_without_secrets_are_shown(text: str) -> None:
    """An operator could not see which broker is meant, or read a question."""
    assert loggable(text) == text
