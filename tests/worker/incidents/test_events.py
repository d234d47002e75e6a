"""Events as others read them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat

from config.errors import SchemaError
from config.facts import Hit, ListMatch, Severity, StreamFacts
from config.schemas import check_event
from worker.cloudevent import rfc3339
from worker.incidents.events import (
    Event,
    decision_made,
    decision_revised,
    escalation,
    escalation_closed,
    interrupt_request,
)
from worker.incidents.findings import Finding, Incident
from worker.incidents.occasion import Occasion, Versions

HIT = Hit(
    rule="known",
    severity=Severity.CRITICAL,
    capture_ms=1_800_000_000_001,
    pts_seconds=1.5,
    reason="cut",
    principles=(1, 5),
    matches=(ListMatch(list="known", entry="7", distance=4),),
    scores={"m/nsfw": 0.25},
)
INCIDENT = Incident(
    incident_id="0123456789abcdef01234567",
    generation=2,
    rule="known",
    purpose="drill",
    finding=replace(Finding.of(HIT, ("known",)), interrupt_frames_ms=(1, 2)),
    raised_ms=1_800_000_001_000,
    published_ms=1_800_000_001_000,
    cooldown_ms=0,
)
OCCASION = Occasion(
    stream=StreamFacts(stream_id="cam-1", purpose="drill", metadata={"room": "\ud800 blue\n"}),
    generation=2,
    segment_key="s-7",
    deployment="test",
    versions=Versions(policy="1+abc", lists={"known": "def"}, models={"m": "1"}),
    degraded=("list-stale:known",),
)
NOW = 1_800_000_002_345


def raised() -> Event:
    return escalation(OCCASION, INCIDENT, HIT, previous_severity=None, now_ms=NOW)


def every_event() -> list[Event]:
    newest = json.loads(raised().text)
    made = decision_made(
        INCIDENT, stream_id="cam-1", deployment="test", outcome="harmless", by="ann", note="\n\x00", now_ms=NOW
    )
    before = json.loads(made.text)["data"]
    return [
        raised(),
        escalation(OCCASION, INCIDENT, HIT, previous_severity=Severity.HIGH, now_ms=NOW),
        escalation_closed(newest, outcome="harmless", deployment="test", now_ms=NOW),
        interrupt_request(OCCASION, INCIDENT, ("known",), NOW),
        made,
        decision_revised(before, revision=1, outcome="adult_tos", by="lea", note="x", deployment="test", now_ms=NOW),
    ]


def test_raised_tells_what_a_person_needs() -> None:
    """A moderator would not know what was found, where, when, and on what it rests."""
    event = json.loads(raised().text)
    assert event["specversion"] == "1.0"
    assert event["source"] == "/livewarden/test"
    assert event["subject"] == "cam-1"
    assert event["type"] == "livewarden.escalation.raised.v1"
    assert event["data"] == {
        "incident_id": "0123456789abcdef01234567",
        "stream_id": "cam-1",
        "generation": 2,
        "rule": "known",
        "severity": "critical",
        "previous_severity": None,
        "drill": True,
        "purpose": "drill",
        "degraded": ["list-stale:known"],
        "principles": [1, 5],
        "hits": 1,
        "sample": {"pts_seconds": 1.5, "reason": "cut", "captured": "2027-01-15T08:00:00.001Z", "segment": "s-7"},
        "times": {
            "captured_first": "2027-01-15T08:00:00.001Z",
            "captured_last": "2027-01-15T08:00:00.001Z",
            "raised": "2027-01-15T08:00:01.000Z",
            "published": "2027-01-15T08:00:02.345Z",
        },
        "matches": [{"list": "known", "entry": "7", "distance": 4}],
        "scores": {"m/nsfw": 0.25},
        "versions": {"policy": "1+abc", "lists": {"known": "def"}, "models": {"m": "1"}},
        "metadata": {"room": "\ud800 blue\n"},
    }


def test_a_match_tells_what_is_known_of_it() -> None:
    """Whoever looks into a match would not know of which version of a list, video or turned picture it speaks."""
    match = ListMatch(
        list="known",
        entry="v/12",
        distance=4,
        video="v",
        seconds=0.0,
        variant="mirror",
        version="abc",
        tags=("series",),
    )
    finding = replace(INCIDENT.finding, matches=(match,))
    event = json.loads(
        escalation(OCCASION, replace(INCIDENT, finding=finding), HIT, previous_severity=None, now_ms=NOW).text
    )
    assert event["data"]["matches"] == [
        {
            "list": "known",
            "entry": "v/12",
            "distance": 4,
            "video": "v",
            "seconds": 0.0,
            "variant": "mirror",
            "version": "abc",
            "tags": ["series"],
        }
    ]


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.type)
def test_each_is_a_cloudevent_on_one_line(event: Event) -> None:
    """A platform that reads with a CloudEvents library, or line by line, could not read ours."""
    assert event.text.isascii()
    assert event.text.isprintable()
    read = JSONFormat().read(None, event.text)
    assert read.get_type() == event.type
    assert read.get_subject() == "cam-1"
    assert read.get_data()["incident_id"] == event.incident_id  # type: ignore[index, call-overload]


def test_ids_are_told_apart() -> None:
    """Readers, who deduplicate by id, would drop one of two different events."""
    assert len({json.loads(event.text)["id"] for event in every_event()}) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"severity": "grave"},
        {"principles": [1]},
        {"incident_id": "x"},
        {"matches": [{"list": "a", "entry": "1", "distance": 32}]},
        {"picture": "…"},
        {"outcome": "harmless"},
        {"times": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_schema_refuses_what_it_does_not_describe(change: dict[str, Any]) -> None:
    """A mistake in an event, or a picture in one, would reach a platform."""
    event = json.loads(raised().text)
    event["data"] |= change
    with pytest.raises(SchemaError, match=r"livewarden\.escalation\.raised\.v1: \$"):
        check_event(event)


@pytest.mark.parametrize(
    "field",
    [
        *("incident_id", "stream_id", "rule", "severity", "previous_severity", "drill", "degraded", "principles"),
        *("times", "matches", "scores", "versions"),
    ],
)
def test_schema_requires_what_was_promised(field: str) -> None:
    """A reader could not rely on what the queue's description promises."""
    event = json.loads(raised().text)
    del event["data"][field]
    with pytest.raises(SchemaError, match=field):
        check_event(event)


def test_nothing_unfit_is_published() -> None:
    """An event that does not fit its schema would be built, and published."""
    with pytest.raises(SchemaError, match="sample"):
        escalation(OCCASION, INCIDENT, replace(HIT, reason="guess"), previous_severity=None, now_ms=NOW)


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (1_795_610_750_134, "2026-11-25T12:45:50.134Z")]
)
def test_times_are_exact(ms: int, text: str) -> None:
    """Times would be off by a millisecond of floating point."""
    assert rfc3339(ms) == text
