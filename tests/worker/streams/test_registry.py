"""The registry is where platforms' words come in."""

import pytest
from redis import Redis

from worker.errors import RegistryError
from worker.status import show
from worker.streams.registry import DUE, register, stream_ids, unwatch, watch

URL = "https://cdn.example/a.m3u8"


def ask(stream_id: object = "s1", url: object = URL, **changes: object):
    return register(stream_id, url, **{"url_template": "", "legal_basis": ""} | changes)


@pytest.mark.parametrize("stream_id", ["", "a b", "a/b", "ä", "x" * 201, None, 7, "a\n"])
def test_refuses_ids_that_could_break_a_url_or_a_key(stream_id: object):
    """A stream ID with a slash or a space would reach another stream's playlist or key."""
    with pytest.raises(RegistryError, match="stream_id"):
        ask(stream_id)


@pytest.mark.parametrize(
    "url", ["ftp://x/a", "file:///etc/passwd", "http://", "https://a b", "x" * 5000, 7, "http://x:0/", "http://[x/"]
)
def test_refuses_what_is_no_http_url(url: object):
    """A bad URL is told at once, not at the first poll."""
    with pytest.raises(RegistryError, match="url"):
        ask(url=url)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("purpose", "fun"),
        ("audience", "all"),
        ("risk_prior", 1.1),
        ("risk_prior", "high"),
        ("risk_prior", float("nan")),
        ("risk_prior", True),
        ("metadata", [1]),
        ("metadata", {"x": "y" * 20_000}),
        ("metadata", {"x": {"y": [[1] * 1_000, [2] * 1_000]}}),
        ("metadata", {"x": float("inf")}),
    ],
)
def test_names_the_field_that_is_wrong(field: str, value: object):
    """A platform engineer sees which field to mend."""
    with pytest.raises(RegistryError, match=field):
        ask(**{field: value})


def test_private_streams_need_a_legal_basis():
    """Private streams are not watched because somebody forgot to think about it."""
    with pytest.raises(RegistryError, match="LIVEWARDEN_LEGAL_BASIS"):
        ask(audience="private")
    assert ask(audience="private", legal_basis="Art. 6").audience == "private"


def test_fills_the_template_percent_encoded():
    """An ID with a colon reaches the playlist that the platform means."""
    asked = ask("a:b", None, url_template="https://cdn.example/{stream_id}/index.m3u8")
    assert asked.url == "https://cdn.example/a%3Ab/index.m3u8"
    with pytest.raises(RegistryError, match="LIVEWARDEN_URL_TEMPLATE"):
        ask("a", None)


def test_watching_twice_goes_on_and_watching_again_begins_anew(redis: Redis):
    """A platform that repeats itself must not have its stream moderated twice; a new broadcast must be moderated."""
    assert watch(redis, ask()) == 1
    assert watch(redis, ask(risk_prior=0.5)) == 1
    assert show(redis, "s1")["risk_prior"] == 0.5
    assert watch(redis, ask(url=URL + "?other")) == 2
    assert unwatch(redis, "s1")
    assert show(redis, "s1")["state"] == "removed"
    assert redis.zcard(DUE) == 0
    assert watch(redis, ask(url=URL + "?other")) == 3
    assert stream_ids(redis) == ["s1"]
    assert show(redis, "s1")["state"] == "waiting"
    assert redis.ttl("lw:stream:s1") == -1


def test_unknown_streams_are_said_to_be_unknown(redis: Redis):
    """A typing error in an ID does not read as "nothing to see"."""
    assert not unwatch(redis, "nobody")
    with pytest.raises(RegistryError, match="nobody"):
        show(redis, "nobody")
