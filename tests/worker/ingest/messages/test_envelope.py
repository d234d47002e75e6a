"""The call that a message asks for, or the reason why it is refused."""

import json
from contextlib import suppress

import pytest
from envelopes import EMBED, ODD, TASK, URL, body_of, envelope, message, with_body
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import IntakeError
from worker.ingest.messages.envelope import MAX_MESSAGE_BYTES, PlatformCall, parse

NOW_MS = 1_790_000_000_000  # in 2026

LATER = ("arguments", "refused", "too_large")
"""Reasons found when the message is taken or its call is made, not by the parser."""


@pytest.mark.parametrize("name", [name for name, (reason, _) in ODD.items() if reason not in LATER])
def test_an_odd_message_is_refused(name: str) -> None:
    """A message could make a worker do something else than its three calls."""
    reason, raw = ODD[name]
    with pytest.raises(IntakeError) as refused:
        parse(raw, now_ms=NOW_MS)
    assert refused.value.reason == reason
    assert "SECRET" not in str(refused.value)


def test_an_honest_message_is_a_call() -> None:
    """A platform's streams would not be watched."""
    call = parse(message(["s", URL], {"risk_prior": 0.5}), now_ms=NOW_MS)
    assert call == PlatformCall(task=TASK, args=["s", URL], kwargs={"risk_prior": 0.5})


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"expires": "2030-01-01T00:00:00+00:00"}},
        {"headers": {"expires": "2030-01-01T00:00:00Z"}},
        {"headers": {"group": "g", "group_index": 1, "retries": 3, "redelivered": True, "x-own": {"a": [1]}}},
        {"properties": {"delivery_info": 7, "priority": "high", "delivery_tag": None, "reply_to": ["x"]}},
        {"more": True},
    ],
)
def test_irrelevant_fields_are_ignored(changes: dict) -> None:
    """Messages of producers with other versions or settings would be refused for fields that we do not need."""
    assert parse(message(**changes), now_ms=NOW_MS).args == ["s", URL]


def test_protocol_1_is_accepted() -> None:
    """Platforms whose Celery is set to `task_protocol = 1` would be shut out."""
    body = {"task": TASK, "id": "1", "args": ["s", URL], "kwargs": {}, "eta": None, "expires": None, "utc": True}
    raw = with_body(json.dumps(body | {"callbacks": None, "chord": None, "retries": 0}).encode(), headers={})
    assert parse(raw, now_ms=NOW_MS) == PlatformCall(task=TASK, args=["s", URL], kwargs={})
    for name, value, reason in (
        ("eta", "2030-01-01T00:00:00", "delayed"),
        ("expires", "2020-01-01T00:00:00", "expired"),
        ("chord", {"task": "x"}, "workflow"),
        ("task", "livewarden.tick", "unknown_task"),
        ("args", {}, "malformed"),
    ):
        with pytest.raises(IntakeError) as refused:
            parse(with_body(json.dumps(body | {name: value}).encode(), headers={}), now_ms=NOW_MS)
        assert refused.value.reason == reason


def test_a_body_that_is_not_base64_is_accepted_if_declared() -> None:
    """Producers whose kombu option `body_encoding` is `utf-8` would be refused."""
    raw = envelope(properties={"body_encoding": "utf-8"}) | {"body": json.dumps([["s"], {}, EMBED])}
    assert parse(json.dumps(raw).encode(), now_ms=NOW_MS).args == ["s"]


def test_the_longest_honest_message_fits() -> None:
    """A platform with long metadata would have its message refused as too large."""
    notes = {"metadata": {"note": "x" * (16 * 1024 - 20)}}
    assert len(message(["s" * 200, "https://h/" + "u" * 4_000], notes)) < MAX_MESSAGE_BYTES / 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=20,
)


@given(
    st.binary(max_size=200)
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: with_body(json.dumps(value).encode()))
    | st.tuples(st.sampled_from(sorted(envelope())), json_values).map(
        lambda part: json.dumps(envelope() | {part[0]: part[1]}).encode()
    )
    | st.tuples(st.sampled_from(sorted(envelope()["headers"])), json_values).map(
        lambda part: message(headers={part[0]: part[1]})
    )
    | st.integers(0, len(body_of())).map(lambda cut: with_body(body_of()[:cut]))
)
def test_any_message_is_a_call_or_is_refused(raw: bytes) -> None:
    """Any other exception would end the reading thread."""
    with suppress(IntakeError):
        assert parse(raw, now_ms=NOW_MS).task.startswith("livewarden.")
