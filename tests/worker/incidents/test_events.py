"""Events as their readers see them."""

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
from worker.incidents.decision_events import decision_made, decision_revised
from worker.incidents.event_data import EarlierDecision, flood_condition, gap_condition, rule_condition
from worker.incidents.events import (
    Event,
    escalation,
    escalation_closed,
    escalation_ended,
    interrupt_request,
)
from worker.incidents.findings import Finding, Incident, IncidentEnd
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
        risk=0.5,
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


def test_a_case_and_the_times_of_a_finding_are_in_its_events() -> None:
    """A moderator would not see what belongs together, and nobody how long a finding was on its way."""
    related = replace(INCIDENT, case_id=f"case-{'0' * 24}", predecessor="8" * 24, needs_role="lead")
    seen = replace(CONTEXT, listed_ms=NOW - 3_000, sampled_ms=NOW - 1_000)
    event = json.loads(escalation(seen, related, HIT, previous_severity=None, now_ms=NOW).text)
    data = event["data"]
    assert (data["case_id"], data["predecessor"], data["needs_role"]) == (f"case-{'0' * 24}", "8" * 24, "lead")
    assert data["times"]["listed"] == "2027-01-15T07:59:59.345Z"
    assert data["times"]["sampled"] == "2027-01-15T08:00:01.345Z"
    assert event["id"] == json.loads(escalation(CONTEXT, INCIDENT, HIT, previous_severity=None, now_ms=NOW).text)["id"]
    closed = escalation_closed(event, outcome="harmless", deployment="test", now_ms=NOW, taken_ms=NOW - 500)
    data = json.loads(closed.text)["data"]
    assert (data["reason"], data["outcome"], data["case_id"]) == ("decision", "harmless", related.case_id)
    assert data["times"]["taken"] == "2027-01-15T08:00:01.845Z"
    assert data["times"]["decided"] == "2027-01-15T08:00:02.345Z"
    ended = escalation_ended(event, IncidentEnd.SILENCE, deployment="test", now_ms=NOW)
    data = json.loads(ended.text)["data"]
    assert (data["reason"], data["outcome"]) == ("silence", "undecided")
    assert data["times"]["ended"] == data["times"]["published"]
    assert json.loads(ended.text)["id"] != json.loads(closed.text)["id"]


def test_the_cause_in_another_segment_has_no_times_of_this_one() -> None:
    """A finding of a rule that waited would seem to have been sampled before it was broadcast."""
    data = json.loads(raised(of=replace(CONTEXT, listed_ms=NOW - 3_000)).text)["data"]
    assert {"listed", "sampled"}.isdisjoint(data["times"])


def test_a_raised_event_has_what_a_reviewer_needs() -> None:
    """A moderator would not know what was found, where, when, and on which evidence."""
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
        "risk": 0.5,
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


def test_events_for_platforms_carry_reasons_and_metadata() -> None:
    """A platform would have to look up its own metadata and the grounds of a decision, or act without them."""
    written = {event.type: json.loads(event.text)["data"] for event in every_event()}
    for kind in ("livewarden.decision.made.v1", "livewarden.interrupt.requested.v1"):
        assert written[kind]["metadata"] == {"room": "\ud800 blue\n"}
        assert written[kind]["matches"] == [{"list": "known", "entry": "7", "distance": 4}]
        assert written[kind]["principles"] == [1, 5]


def test_a_closed_incident_is_not_marked_live() -> None:
    """A reader that ranks live incidents first would show incidents that were live when they were raised."""
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
def test_a_condition_carries_its_thresholds(rule: dict[str, Any], condition: dict[str, Any]) -> None:
    """A moderator would not know how far a score is above its threshold, or would see the wrong threshold."""
    rule = {"name": "r", "severity": "high"} | rule
    assert rule_condition(Rule.model_validate(rule)) == condition | {"when": rule["when"]}


@pytest.mark.parametrize(
    "condition", [flood_condition(Flood(streams=10)), gap_condition(CoverageGap()), rule_condition(RULE)]
)
def test_conditions_fit_the_schema(condition: dict[str, Any]) -> None:
    """A group incident or a coverage gap could not be published, and its segments would not be settled."""
    escalation(CONTEXT, INCIDENT, HIT, previous_severity=None, now_ms=NOW, condition=condition)


def test_changes_of_the_stream_do_not_change_an_event_id() -> None:
    """Repeated work would look like a new event, because the stream ended or a report arrived in between."""
    stream = replace(
        CONTEXT.stream, state="ended", signals={"viewer-reports": 9.0}, metadata={}, risk_prior=1.0, risk=1.0
    )
    again = raised(of=replace(CONTEXT, stream=stream), now_ms=NOW + 5_000, earlier=())
    assert json.loads(again.text)["id"] == json.loads(raised().text)["id"]
    assert json.loads(again.text)["data"] != json.loads(raised().text)["data"]
    assert raised() == raised(), "byte for byte, where nothing changed"


def test_an_incident_may_have_no_picture() -> None:
    """A finding without a picture, as version 0.1.0 stored it, could be neither published nor decided."""
    event = json.loads(raised().text)
    for name in ("sample", "segment", "hits"):
        del event["data"][name]
    check_event(event)
    closed = escalation_closed(event, outcome="cannot_judge", deployment="test", now_ms=NOW)
    row = outcome_row(json.dumps(event))
    assert row is not None
    assert (row["segment_key"], row["captured_ms"], row["hits"]) == ("", HIT.capture_ms, None)
    assert json.loads(closed.text)["data"]["outcome"] == "cannot_judge"


def test_rules_may_name_any_principle() -> None:
    """A segment that hits a rule on grooming (`principles: [3]`) could not be settled."""
    finding = replace(INCIDENT.finding, principles=(3, 5))
    event = escalation(CONTEXT, replace(INCIDENT, finding=finding), HIT, previous_severity=None, now_ms=NOW)
    assert json.loads(event.text)["data"]["principles"] == [3, 5]


def test_a_refused_event_is_not_quoted() -> None:
    """The log would contain a picture's hash or a platform's metadata."""
    event = json.loads(raised().text)
    event["data"]["sample"]["pdq"] = "0f" * 31
    for change in ({}, {"sample": {"pdq": "0f" * 31}}, {"metadata": "secret"}):
        with pytest.raises(SchemaError) as caught:
            check_event(event | {"data": event["data"] | change})
        assert "0f0f" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_events_are_bounded() -> None:
    """One stream with long metadata, many signals and many matches would fill Redis."""
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


def test_a_match_carries_version_video_and_variant() -> None:
    """A moderator would not know to which version of a list, which video or which transformed picture a match
    refers."""
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


def test_ids_differ_between_events() -> None:
    """Readers deduplicate by ID, and would drop one of two different events."""
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
def test_schema_rejects_unknown_content(change: dict[str, Any]) -> None:
    """A faulty event, or a picture in one, would reach a platform."""
    event = json.loads(raised().text)
    event["data"] |= change
    with pytest.raises(SchemaError, match=r"livewarden\.escalation\.raised\.v1: \$"):
        check_event(event)


def _with_more(value: object) -> object:
    """The event with an additional field of a later version in each object that the schemas describe."""
    if isinstance(value, dict):
        return {name: _with_more(part) for name, part in value.items()} | {"of_a_later_version": 1}
    return [_with_more(part) for part in value] if isinstance(value, list) else value


def test_an_incident_of_a_later_version_can_be_closed() -> None:
    """During a rollout nobody with an older version could decide on incidents that new workers raise."""
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
    """A platform that validates its input would stop at the first event of the next version."""
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
    """After an upgrade, readers would stop at events still on the streams, and nobody could decide on them."""
    event = json.loads(raised().text)
    del event["dataschema"]
    for name in ("condition", "segment", "risk", "risk_prior", "signals", "stream_state", "earlier_decisions"):
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
def test_schema_requires_the_documented_fields(field: str) -> None:
    """A reader could not rely on the documented fields."""
    event = json.loads(raised().text)
    del event["data"][field]
    with pytest.raises(SchemaError, match=field):
        check_event(event)


def test_an_event_that_violates_its_schema_is_not_published() -> None:
    """Readers would receive events that do not fit the published schema."""
    with pytest.raises(SchemaError, match="sample"):
        escalation(CONTEXT, INCIDENT, replace(HIT, reason="guess"), previous_severity=None, now_ms=NOW)


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (1_795_610_750_134, "2026-11-25T12:45:50.134Z")]
)
def test_times_are_exact(ms: int, text: str) -> None:
    """Floating point would shift times by a millisecond."""
    assert rfc3339(ms) == text
