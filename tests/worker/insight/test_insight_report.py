"""The report on a period, from a real Valkey and a real store."""

import json
import re
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from redis import Redis
from scene import Scene

from config.facts import Severity
from config.schemas import objects, schema
from worker.health.redis_epoch import EPOCH
from worker.ingest.coverage.totals import totals
from worker.insight.decided import DecidedIncident
from worker.insight.formats import to_csv, to_json, to_markdown
from worker.insight.period import Period
from worker.insight.summary import PeriodReport, period_report
from worker.people.actor import Actor, Role
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.revisions import revise
from worker.retention.holds import hold, release
from worker.retention.reports import record_report
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms

LEAD = Actor(name="lea", role=Role.LEAD)


def period(redis: Redis) -> Period:
    """Today, by Redis's clock."""
    today = datetime.fromtimestamp(now_ms(redis) / 1000, UTC).date()
    return Period(first=today, last=today)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "store"))


def report(scene: Scene, store: ObjectStore, purpose: str = "live") -> PeriodReport:
    return period_report(scene.redis, store, period(scene.redis), purpose=purpose)


def table(found: PeriodReport, name: str) -> list[dict[str, Any]]:
    (rows,) = (one.records() for section in found.sections for one in section.tables if one.name == name)
    return rows


def codes(found: PeriodReport) -> set[str]:
    return {limit.code for limit in found.limits}


def decide(scene: Scene, incident: str, outcome: str) -> None:
    decide_incident(scene.redis, incident, outcome, by="ann", note="seen by ann", deployment="test")


@pytest.fixture
def busy(scene: Scene) -> Scene:
    """A deployment in which all that a report counts has happened."""
    known = scene.raise_incident("cam-1")
    likely = scene.raise_incident("cam-2", Severity.HIGH)
    scene.raise_incident("cam-3", Severity.REVIEW)
    drill = scene.raise_incident("cam-4", purpose="drill")
    take(scene.redis, "ann")
    decide(scene, known, "csea_apparent")
    decide(scene, likely, "csea_suspected")
    revise(scene.redis, likely, "harmless", by="lea", note="a puppet", deployment="test")
    decide(scene, drill, "harmless")
    placed = hold(scene.redis, known, LEAD, reason="court 12/26")
    hold(scene.redis, likely, LEAD, reason="court 12/26")
    release(scene.redis, known, LEAD, reason="over", hold_id=placed.hold.hold_id)
    record_report(scene.redis, known, LEAD, authority="NCMEC", report_id="77", retention=scene.policy.retention)
    return scene


def test_a_report_has_what_happened(busy: Scene, store: ObjectStore) -> None:
    """A transparency report could not be written, or would be wrong."""
    found = report(busy, store)
    raised = {(row["rule"], row["severity"]): row["count"] for row in table(found, "raised")}
    assert raised == {("known", "critical"): 1, ("likely", "high"): 1, ("nude", "review"): 1}
    assert table(found, "raised_list") == [{"list": "known", "severity": "critical", "count": 1}]
    assert {row["outcome"]: row["count"] for row in table(found, "decided")} == {
        "csea_apparent": 1,
        "csea_suspected": 1,
    }
    (revised,) = table(found, "revised")
    assert (revised["previous_outcome"], revised["outcome"]) == ("csea_suspected", "harmless")
    confirmed = {row["rule"]: row for row in table(found, "confirmed")}
    assert (confirmed["known"]["confirmed"], confirmed["likely"]["confirmed"]) == (1, 0)  # the outcome in force
    assert confirmed["likely"]["threshold"] == "score m/nsfw > 0.9"
    (every, *_) = table(found, "times")
    assert (every["taken"], every["decided"]) == (1, 2)
    backlog = {row["severity"]: row["waiting"] for row in table(found, "backlog")}
    assert backlog == {"critical": 0, "high": 0, "review": 1, "all": 1}
    assert table(found, "undecided") == [{"incidents": 1}]
    acts = {row["act"]: row["count"] for row in table(found, "acts")}
    assert acts == {"hold": 2, "release": 1, "report": 1, "export": 0, "purge": 0, "forget": 0}
    assert table(found, "reports") == [{"authority": "NCMEC", "count": 1}]
    assert codes(found) == {"day_not_over"} | ({"time_unsettled"} & codes(found))


def test_counts_agree_with_statistics(busy: Scene, store: ObjectStore) -> None:
    """Two commands of one deployment would publish two truths."""
    found = report(busy, store)
    (day,) = (one for one in totals(busy.redis, days=1) if one.purpose == "live")
    for what, rows in day.counts.items():
        shown = table(found, what.replace("-", "_"))
        assert Counter(map(str, shown)) == Counter(map(str, (dict(row) for row in rows)))
    (total,) = table(found, "coverage_total")
    assert total["moderated_seconds"] == day.to_data()["moderated_seconds"]


def test_no_figure_names_a_person(busy: Scene, store: ObjectStore) -> None:
    """The report would rank moderators, or publish their names."""
    found = report(busy, store)
    for text in (to_markdown(found), to_csv(found), to_json(found)):
        assert not re.search(r"\b(ann|lea)\b", text)


def test_drills_are_a_report_of_their_own(busy: Scene, store: ObjectStore) -> None:
    """Exercises would be published as real findings."""
    found = report(busy, store, "drill")
    assert table(found, "decided") == [{"rule": "known", "severity": "critical", "outcome": "harmless", "count": 1}]
    assert [row["decided"] for row in table(found, "confirmed")] == [1]
    assert table(found, "undecided") == [{"incidents": 0}]


def test_json_is_as_its_schema_says(busy: Scene, store: ObjectStore) -> None:
    """A program of a regulator would refuse the report, or find a column that is described nowhere."""
    document = schema("insight.v1")
    Draft202012Validator.check_schema(document)
    for part in objects(document):
        part.setdefault("additionalProperties", False)
    validator = Draft202012Validator(document)
    empty = period_report(busy.redis, store, Period(first=date(2020, 1, 1), last=date(2020, 1, 2)))
    for found in (report(busy, store), empty):
        validator.validate(json.loads(to_json(found)))
    assert "$defs" in document


def test_days_without_numbers_are_said(scene: Scene, store: ObjectStore) -> None:
    """Days on which nothing ran would pass for days on which nothing happened."""
    scene.raise_incident("cam-1")
    today = period(scene.redis).first
    found = period_report(
        scene.redis,
        store,
        Period(first=date.fromordinal(today.toordinal() - 3), last=date.fromordinal(today.toordinal() + 2)),
    )
    texts = {limit.code: limit.text for limit in found.limits}
    assert texts["days_without_data"].startswith("3 days (")
    assert texts["days_to_come"].startswith("2 days (")
    old = period_report(scene.redis, store, Period(first=date(2020, 1, 1), last=date(2020, 1, 2)))
    assert "days_forgotten" in codes(old)


def test_lost_records_and_events_are_said(busy: Scene, store: ObjectStore) -> None:
    """A share of two decisions that are left would pass for that of all."""
    for row in busy.redis.scan_iter("lw:incident:????????????????????????"):
        busy.redis.delete(row)
    busy.redis.delete("lw:decisions")
    texts = {limit.code: limit.text for limit in report(busy, store).limits}
    assert "2 decisions were counted, and records of 0 were found" in texts["records_differ"]
    assert "lw:decisions has 0 of 2 decisions" in texts["events_dropped"]


def test_a_damaged_record_is_said_and_ends_nothing(busy: Scene, store: ObjectStore) -> None:
    """One damaged record would end the report, or be left out unseen."""
    (known, *_) = busy.redis.scan_iter("lw:incident:????????????????????????")
    busy.redis.hset(known, mapping={"purpose": "live", "outcome": "harmless", "decided_ms": "x"})
    found = report(busy, store)
    assert "records_damaged" in codes(found)
    busy.redis.set("lw:ids:0000", "another type")
    busy.redis.xadd("lw:decisions", {"event": "[1]"})
    busy.redis.xadd("lw:decisions", {"other": "x"})
    assert report(busy, store).sections


def test_open_streams_are_said(scene: Scene, store: ObjectStore) -> None:
    """Time that is still pending would pass for time that was never streamed."""
    scene.raise_incident("cam-1")
    scene.redis.zadd("lw:due", {"cam-1": 1, "cam-2": 2})
    scene.redis.zadd("lw:overdue", {"cam-1 segment": 1})
    (text,) = (limit.text for limit in report(scene, store).limits if limit.code == "streams_open")
    assert text.startswith("2 streams are being watched, of all purposes; 1 segment waits to be moderated")


def test_a_loss_of_redis_is_said(scene: Scene, store: ObjectStore) -> None:
    """Numbers of the days after a loss would pass for those of the whole period."""
    now = now_ms(scene.redis)
    scene.redis.hset(EPOCH, mapping={"id": "b", "lost": "a", "begun_ms": now, "since_ms": now - 5, "found": "nothing"})
    (text,) = (limit.text for limit in report(scene, store).limits if limit.code == "state_lost")
    assert "(nothing was left)" in text


def test_a_store_that_is_away_leaves_acts_unknown(busy: Scene, tmp_path: Path) -> None:
    """Reports to authorities would be published as none while the log cannot be read."""
    (tmp_path / "file").touch()
    found = report(busy, ObjectStore(str(tmp_path / "file" / "store")))
    if "audit_unread" in codes(found):
        assert {row["count"] for row in table(found, "acts")} == {None}
        assert table(found, "reports") == []
    else:
        pytest.fail("the store was not read")


def test_interruptions_are_counted(scene: Scene, store: ObjectStore) -> None:
    """A regulator asks how many streams were to be interrupted."""
    scene.settle("cam-1", scene.hits([1_000, 2_000], lists=["stop"]))
    found = report(scene, store)
    assert table(found, "interrupts") == [{"rule": "stop", "count": 1}]


def test_a_revised_decision_keeps_its_first_time() -> None:
    """A revision a week later would show as a decision that took a week."""
    times = {"raised": "2026-11-27T12:00:00Z", "taken": "2026-11-27T12:00:10Z", "decided": "2026-11-27T12:01:00Z"}
    first = {"data": {"outcome": "harmless", "times": times}}
    fields = {
        "rule": "r",
        "severity": "high",
        "outcome": "csea_apparent",
        "raised_ms": "1795780800000",
        "decided_ms": "1796385600000",
        "decisions": f"{json.dumps(first)}\n{{}}",
        "event": json.dumps({"data": {"condition": {"when": "x > 1", "thresholds": []}}}),
    }
    found = DecidedIncident.of(fields)
    assert found is not None
    assert (found.decided_ms - found.raised_ms, found.threshold) == (60_000, "x > 1")
    assert found.taken_ms == found.raised_ms + 10_000
    oldest = DecidedIncident.of({name: text for name, text in fields.items() if name not in ("decisions", "event")})
    assert oldest is not None
    assert (oldest.taken_ms, oldest.threshold, oldest.decided_ms) == (None, "", 1796385600000)


def test_agreement_of_two_judges_is_counted(scene: Scene, store: ObjectStore) -> None:
    """Nobody would know how far two people agree who judge the same."""

    def judged(stream: str, first: str, second: str) -> None:
        incident = scene.raise_incident(stream)
        for by, outcome in (("ann", first), ("bob", second), *([] if first == second else [("lea", second)])):
            decide_incident(scene.redis, incident, outcome, by=by, note="seen", deployment="test", second=by == "ann")

    for number, outcome in enumerate(("csea_apparent", "csea_apparent", "harmless", "harmless")):
        judged(f"cam-{number}", outcome, outcome)
    judged("cam-8", "csea_apparent", "harmless")
    judged("cam-9", "harmless", "csea_apparent")
    decide(scene, scene.raise_incident("cam-10"), "harmless")
    (row,) = table(report(scene, store), "agreement")
    assert (row["n"], row["agreed"], row["kappa"]) == (6, 4, pytest.approx(1 / 3))


def test_two_judges_are_read_where_a_decision_has_them() -> None:
    """The agreement of judges would stay at none when second judgements come."""
    times = {"decided": "2026-11-27T12:01:00Z"}
    judgements = [{"outcome": "harmless"}, {"outcome": "csea_apparent"}]
    event = {"data": {"outcome": "harmless", "times": times, "judgements": judgements}}
    fields = {"rule": "r", "severity": "high", "outcome": "harmless", "raised_ms": "1", "decided_ms": "2"}
    found = DecidedIncident.of(fields | {"decisions": json.dumps(event)})
    assert found is not None
    assert found.judged == ("harmless", "csea_apparent")


@pytest.mark.parametrize(
    ("data", "threshold"),
    [
        (
            {
                "condition": {
                    "when": "w",
                    "thresholds": [{"of": "score", "name": "m/a", "operator": ">", "value": 0.5}],
                },
                "matches": [{"list": "known", "max_distance": 31}, {"list": "far", "max_distance": 20}],
            },
            "score m/a > 0.5; distance on known <= 31",
        ),
        ({"condition": {"streams": 5, "within_seconds": 600}}, "5 streams within 600 s"),
        ({"condition": {"after_seconds": 60}}, "not seen for 60 s"),
        ({"condition": {"when": "x" * 5_000, "thresholds": []}}, "x" * 200),
        ({"matches": [{"list": "known"}]}, ""),
    ],
)
def test_thresholds_are_named(data: dict[str, Any], threshold: str) -> None:
    """A share would stand beside a threshold that nobody can compare with the policy."""
    fields = {"rule": "r", "severity": "high", "outcome": "harmless", "raised_ms": "1", "decided_ms": "2"}
    found = DecidedIncident.of(fields | {"event": json.dumps({"data": data})})
    assert found is not None
    assert found.threshold == threshold


@pytest.mark.parametrize(
    "damage",
    [
        {"severity": "worst"},
        {"outcome": "unheard_of"},
        {"raised_ms": "soon"},
        {"event": "{"},
        {"event": "[]"},
        {"decisions": '{"data": {"times": {"decided": "noon"}}}'},
        {"decisions": '{"data": {"times": []}}'},
    ],
)
def test_damaged_records_are_refused(damage: dict[str, str]) -> None:
    """A damaged record would end the report, or bring a figure that nobody decided."""
    fields = {"rule": "r", "severity": "high", "outcome": "harmless", "raised_ms": "1", "decided_ms": "2"}
    assert DecidedIncident.of(fields) is not None
    assert DecidedIncident.of(fields | damage) is None
