"""Events as others read them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator

from config.errors import SchemaError
from config.facts import Hit, ListMatch, SegmentSource, Severity, StreamFacts
from config.policy.rules import CoverageGap, Flood, Rule
from config.schemas import SCHEMAS, check_event, schema
from worker.events.cloudevent import rfc3339
from worker.incidents.event_data import EarlierDecision, flood_condition, gap_condition, rule_condition
from worker.incidents.events import (
    Event,
    decision_made,
    decision_revised,
    escalation,
    escalation_closed,
    interrupt_request,
)
from worker.incidents.findings import Finding, Incident
from worker.incidents.segment_context import SegmentContext, Versions
from worker.verdictlog.outcome_rows import outcome_row

HIT = Hit(
    rule="known",
    severity=Severity.CRITICAL,
    capture_ms=1_800_000_000_001,
    pts_seconds=1.5,
    reason="cut",
    principles=(1, 5),
    matches=(ListMatch(list="known", entry="7", distance=4),),
    scores={"m/nsfw": 0.25},
    pdq="0f" * 32,
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
CONTEXT = SegmentContext(
    stream=StreamFacts(
        stream_id="cam-1",
        purpose="drill",
        risk_prior=0.25,
        metadata={"room": "\ud800 blue\n"},
        signals={"viewer-reports": 3.0},
        state="live",
    ),
    generation=2,
    segment_key="s-7",
    deployment="test",
    versions=Versions(policy="1+abc", lists={"known": "def"}, models={"m": "1"}),
    degraded=("list-stale:known",),
    source=SegmentSource(uri="https://cdn.example/cam-1/7.ts", media_sequence=7),
)
RULE = Rule.model_validate({"name": "known", "when": 'matched("known") || score("m/nsfw") >= 0.5', "severity": "high"})
EARLIER = EarlierDecision(incident_id="9" * 24, rule="nude", outcome="harmless", decided_ms=1_800_000_000_000, by="ann")
NOW = 1_800_000_002_345


def raised(
    *, of: SegmentContext = CONTEXT, now_ms: int = NOW, earlier: tuple[EarlierDecision, ...] = (EARLIER,)
) -> Event:
    condition = rule_condition(RULE)
    return escalation(of, INCIDENT, HIT, previous_severity=None, now_ms=now_ms, condition=condition, earlier=earlier)


def every_event() -> list[Event]:
    newest = json.loads(raised().text)
    made = decision_made(
        INCIDENT,
        newest=newest,
        stream_id="cam-1",
        deployment="test",
        outcome="harmless",
        by="ann",
        note="\n\x00",
        now_ms=NOW,
    )
    before = json.loads(made.text)["data"]
    return [
        raised(),
        escalation(CONTEXT, INCIDENT, HIT, previous_severity=Severity.HIGH, now_ms=NOW),
        escalation_closed(newest, outcome="harmless", deployment="test", now_ms=NOW),
        interrupt_request(CONTEXT, INCIDENT, ("known",), NOW),
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
    assert event["dataschema"] == "urn:livewarden:schema:escalation.v1#/$defs/raised"
    assert event["data"] == {
        "incident_id": "0123456789abcdef01234567",
        "stream_id": "cam-1",
        "generation": 2,
        "rule": "known",
        "condition": {
            "when": 'matched("known") || score("m/nsfw") >= 0.5',
            "thresholds": [{"of": "score", "name": "m/nsfw", "operator": ">=", "value": 0.5}],
            "persistence": {"hits": 1, "within_seconds": 10.0},
        },
        "severity": "critical",
        "previous_severity": None,
        "drill": True,
        "purpose": "drill",
        "degraded": ["list-stale:known"],
        "principles": [1, 5],
        "hits": 1,
        "sample": {
            "pts_seconds": 1.5,
            "reason": "cut",
            "captured": "2027-01-15T08:00:00.001Z",
            "segment": "s-7",
            "pdq": "0f" * 32,
        },
        "segment": {"uri": "https://cdn.example/cam-1/7.ts", "media_sequence": 7},
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
        "risk_prior": 0.25,
        "signals": {"viewer-reports": 3.0},
        "stream_state": "live",
        "earlier_decisions": [
            {
                "incident_id": "9" * 24,
                "rule": "nude",
                "outcome": "harmless",
                "decided": "2027-01-15T08:00:00.000Z",
                "decided_by": "ann",
            }
        ],
    }


def test_what_platforms_act_on_tells_why() -> None:
    """A platform would look up its own notes and the grounds of a decision by hand, or act without them."""
    written = {event.type: json.loads(event.text)["data"] for event in every_event()}
    for kind in ("livewarden.decision.made.v1", "livewarden.interrupt.requested.v1"):
        assert written[kind]["metadata"] == {"room": "\ud800 blue\n"}
        assert written[kind]["matches"] == [{"list": "known", "entry": "7", "distance": 4}]
        assert written[kind]["principles"] == [1, 5]


def test_a_closed_incident_does_not_pass_for_live() -> None:
    """A reader that ranks by what is live would show what was live when it was raised."""
    closed = escalation_closed(json.loads(raised().text), outcome="harmless", deployment="test", now_ms=NOW)
    assert "stream_state" not in json.loads(closed.text)["data"]


@pytest.mark.parametrize(
    ("rule", "condition"),
    [
        (
            {"when": 'signal("reports") > 2.0 && 0.25 <= scores["m/a"]', "persistence": {"hits": 2, "of_samples": 9}},
            {
                "thresholds": [
                    {"of": "signal", "name": "reports", "operator": ">", "value": 2.0},
                    {"of": "score", "name": "m/a", "operator": ">=", "value": 0.25},
                ],
                "persistence": {"hits": 2, "of_samples": 9},
            },
        ),
        (
            {"when": 'matched("v")', "persistence": {"video_frames": 3, "within_seconds": 60.0}},
            {"thresholds": [], "persistence": {"video_frames": 3, "within_seconds": 60.0}},
        ),
    ],
)
def test_a_condition_tells_its_thresholds(rule: dict[str, Any], condition: dict[str, Any]) -> None:
    """A moderator would not know how far above its threshold a score is, or would see another one."""
    rule = {"name": "r", "severity": "high"} | rule
    assert rule_condition(Rule.model_validate(rule)) == condition | {"when": rule["when"]}


@pytest.mark.parametrize(
    "condition", [flood_condition(Flood(streams=10)), gap_condition(CoverageGap()), rule_condition(RULE)]
)
def test_conditions_fit_the_schema(condition: dict[str, Any]) -> None:
    """A group's incident, or a coverage gap's, could not be published, and its segments would not end."""
    escalation(CONTEXT, INCIDENT, HIT, previous_severity=None, now_ms=NOW, condition=condition)


def test_what_changes_meanwhile_makes_no_other_event() -> None:
    """The same work done again would be another event for readers, for the stream ended or a report came meanwhile."""
    stream = replace(CONTEXT.stream, state="ended", signals={"viewer-reports": 9.0}, metadata={}, risk_prior=1.0)
    again = raised(of=replace(CONTEXT, stream=stream), now_ms=NOW + 5_000, earlier=())
    assert json.loads(again.text)["id"] == json.loads(raised().text)["id"]
    assert json.loads(again.text)["data"] != json.loads(raised().text)["data"]
    assert raised() == raised(), "byte for byte, where nothing changed"


def test_an_incident_may_have_no_picture() -> None:
    """What was found without one, as version 0.1.0 cannot have it, could be neither published nor decided."""
    event = json.loads(raised().text)
    for name in ("sample", "segment", "hits"):
        del event["data"][name]
    check_event(event)
    closed = escalation_closed(event, outcome="cannot_judge", deployment="test", now_ms=NOW)
    row = outcome_row(json.dumps(event))
    assert row is not None
    assert (row["segment_key"], row["captured_ms"], row["hits"]) == ("", HIT.capture_ms, None)
    assert json.loads(closed.text)["data"]["outcome"] == "cannot_judge"


def test_rules_may_serve_any_principle() -> None:
    """A rule on grooming (`principles: [3]`) would find something, and no segment that it holds for would end."""
    finding = replace(INCIDENT.finding, principles=(3, 5))
    event = escalation(CONTEXT, replace(INCIDENT, finding=finding), HIT, previous_severity=None, now_ms=NOW)
    assert json.loads(event.text)["data"]["principles"] == [3, 5]


def test_a_refused_event_is_not_quoted() -> None:
    """The hash of a picture, or what a platform notes, would be in the log with the error."""
    event = json.loads(raised().text)
    event["data"]["sample"]["pdq"] = "0f" * 31
    for change in ({}, {"sample": {"pdq": "0f" * 31}}, {"metadata": "secret"}):
        with pytest.raises(SchemaError) as caught:
            check_event(event | {"data": event["data"] | change})
        assert "0f0f" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_events_are_bounded() -> None:
    """Redis would be filled by one stream with long notes, many signals and many matches."""
    text = "\U0001f600" * 100
    matches = tuple(
        ListMatch(
            list=f"{number:0100}", entry="e" * 200, distance=31, tags=("t" * 200,) * 32, source=text * 9, category=text
        )
        for number in range(20)
    )
    stream = StreamFacts(
        stream_id="s" * 200,
        metadata={"note": "n" * 15_980},
        signals={f"{number:064}": -1.2345678901234567e-300 for number in range(50)},
        state="unreachable",
    )
    rule = RULE.model_copy(update={"when": RULE.when.ljust(4096)})
    event = escalation(
        replace(CONTEXT, stream=stream, source=SegmentSource(uri="\U0001f600" * 1001, media_sequence=10**15 - 1)),
        replace(INCIDENT, finding=replace(INCIDENT.finding, matches=matches)),
        HIT,
        previous_severity=None,
        now_ms=NOW,
        condition=rule_condition(rule),
        earlier=(replace(EARLIER, by=text),) * 5,
    )
    assert json.loads(event.text)["data"]["matches"][0]["tags"] == ["t" * 200] * 5
    assert len(event.text) < 200_000


def test_a_match_tells_what_is_known_of_it() -> None:
    """A person who reads a match would not know of which version of a list, video or turned picture it speaks."""
    match = ListMatch(
        list="known",
        entry="v/12",
        distance=4,
        video="v",
        seconds=0.0,
        variant="mirror",
        version="abc",
        tags=("series",),
        source="NCMEC",
        category="A1",
        max_distance=0,
    )
    finding = replace(INCIDENT.finding, matches=(match,))
    event = json.loads(
        escalation(CONTEXT, replace(INCIDENT, finding=finding), HIT, previous_severity=None, now_ms=NOW).text
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
            "source": "NCMEC",
            "category": "A1",
            "max_distance": 0,
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


@pytest.mark.parametrize("named", [None, "urn:livewarden:schema:escalation.v1#/$defs/closed"])
def test_nothing_is_published_without_its_own_dataschema(named: str | None) -> None:
    """A reader would check it against the schema of another type, or against none."""
    event = json.loads(raised().text)
    del event["dataschema"]
    with pytest.raises(SchemaError, match="dataschema"):
        check_event(event if named is None else event | {"dataschema": named})


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


def _with_more(value: object) -> object:
    """With a field of a later version in each object that the schemas describe."""
    if isinstance(value, dict):
        return {name: _with_more(part) for name, part in value.items()} | {"of_a_later_version": 1}
    return [_with_more(part) for part in value] if isinstance(value, list) else value


def test_an_incident_of_a_later_version_can_be_closed() -> None:
    """During a rollout no one could decide on what the first new worker raised, until his own machine is updated."""
    written = json.loads(raised().text)
    numbers = {name: written["data"].pop(name) for name in ("scores", "signals")}
    versions = written["data"].pop("versions")
    later: Any = _with_more(written)
    later["data"] |= numbers | {"versions": versions | {"of_a_later_version": 1}}
    del later["data"]["metadata"]["of_a_later_version"]
    closed, expected = (
        json.loads(escalation_closed(newest, outcome="harmless", deployment="test", now_ms=NOW).text)
        for newest in (later, json.loads(raised().text))
    )
    assert closed == expected


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.type)
def test_readers_survive_added_fields(event: Event) -> None:
    """A platform that checks what it reads would stop at the first event of the next version."""
    (name,) = (one for one in SCHEMAS if event.type in schema(one)["properties"]["type"]["enum"])
    readers = Draft202012Validator(schema(name))
    written = json.loads(event.text)
    later: Any = _with_more({**written, "data": {**written["data"], "scores": {}, "signals": {}}})
    for numbers in ("scores", "signals"):
        later["data"][numbers] = {"m/later": 0.5}
    for versions in ("lists", "models"):
        later["data"].get("versions", {})[versions] = {}
    readers.validate(later)
    with pytest.raises(SchemaError, match="of_a_later_version"):
        check_event(later)


def test_events_of_version_0_1_0_are_read() -> None:
    """Readers would stop at what is still on the streams after an upgrade, and no one could decide on it."""
    event = json.loads(raised().text)
    del event["dataschema"]
    for name in ("condition", "segment", "risk_prior", "signals", "stream_state", "earlier_decisions"):
        del event["data"][name]
    Draft202012Validator(schema("escalation.v1")).validate(event)
    escalation_closed(event, outcome="harmless", deployment="test", now_ms=NOW)


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
        escalation(CONTEXT, INCIDENT, replace(HIT, reason="guess"), previous_severity=None, now_ms=NOW)


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (1_795_610_750_134, "2026-11-25T12:45:50.134Z")]
)
def test_times_are_exact(ms: int, text: str) -> None:
    """Times would be off by a millisecond of floating point."""
    assert rfc3339(ms) == text
