"""Legal holds and reports: who may, what is on record, and what a script refuses."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from kept_evidence import LEAD, MODERATOR, KeptEvidence

from config.policy.retention import FIVE_YEARS_DAYS, Retention
from worker.errors import BankRequestError, PeopleError, QueueError, RetentionError
from worker.people.actor import Actor, Role
from worker.people.changes import add_person, remove_person
from worker.people.roster import authenticate
from worker.retention.holds import MOST_HOLDS, hold, holds_on, release
from worker.retention.reports import find_case, record_report, reports_of
from worker.store.redis_client import now_ms

TERMS = Retention()
DAY_SECONDS = 86_400


def test_hold_and_release_are_on_record(kept: KeptEvidence) -> None:
    """Nobody could prove who kept or gave up evidence, and why."""
    incident = kept.incident()
    first = hold(kept.redis, incident, MODERATOR, reason=" court\n4711 ").hold
    second = hold(kept.redis, incident, LEAD, reason="police").hold
    # In no order: both may be of one millisecond.
    assert {one.reason for one in holds_on(kept.redis, incident)} == {"court 4711", "police"}
    assert release(kept.redis, incident, LEAD, reason="withdrawn", hold_id=first.hold_id) == 1
    assert [one.hold_id for one in holds_on(kept.redis, incident)] == [second.hold_id]
    placed, _ = kept.entries("hold")
    assert (placed["by"], placed["verified"], placed["subject"]) == ("mo", False, incident)
    assert placed["details"] == {"hold": first.hold_id, "reason": "court 4711"}
    (released,) = kept.entries("release")
    assert released["details"] == {"hold": first.hold_id, "reason": "withdrawn"}


def test_each_request_is_a_hold_of_its_own(kept: KeptEvidence) -> None:
    """A court's hold would end with that of the police, or one that was released would not be placed again."""
    incident = kept.incident()
    first = hold(kept.redis, incident, MODERATOR, reason="court 4711")
    again = hold(kept.redis, incident, MODERATOR, reason="court 4711")
    assert (again.hold, again.pictures) == (first.hold, 2)
    for actor, reason in ((LEAD, "court 4711"), (MODERATOR, "court 4712")):
        assert hold(kept.redis, incident, actor, reason=reason).hold.hold_id != first.hold.hold_id
    assert release(kept.redis, incident, LEAD, reason="over", hold_id=first.hold.hold_id) == 2
    assert hold(kept.redis, incident, MODERATOR, reason="court 4711").hold.hold_id != first.hold.hold_id
    assert len(kept.entries("hold")) == 4


def test_only_a_lead_releases(kept: KeptEvidence) -> None:
    """One person alone, under pressure, could have evidence deleted."""
    incident = kept.incident()
    hold(kept.redis, incident, MODERATOR, reason="court")
    with pytest.raises(BankRequestError, match="only a lead may release a hold"):
        release(kept.redis, incident, MODERATOR, reason="please")
    assert len(holds_on(kept.redis, incident)) == 1
    assert kept.entries("release") == []


def test_roster_is_asked_in_the_same_step(kept: KeptEvidence) -> None:
    """A lead who was removed a moment ago could still release a hold."""
    token = add_person(kept.redis, "lea", "lead", by=Actor.named("lea"))
    assert token is not None
    lea = authenticate(kept.redis, "lea", token)
    other_token = add_person(kept.redis, "lou", "lead", by=lea)
    assert other_token is not None
    lou = authenticate(kept.redis, "lou", other_token)
    incident = kept.incident()
    hold(kept.redis, incident, lea, reason="court")
    remove_person(kept.redis, "lou", by=lea)
    for act in (
        lambda: release(kept.redis, incident, lou, reason="x"),
        lambda: hold(kept.redis, incident, lou, reason="x"),
        lambda: record_report(kept.redis, incident, lou, authority="NCMEC", report_id="1", retention=TERMS),
        lambda: hold(kept.redis, incident, LEAD, reason="x"),
    ):
        with pytest.raises(PeopleError):
            act()
    assert len(holds_on(kept.redis, incident)) == 1
    assert [entry["verified"] for entry in kept.entries("hold")] == [True]


@pytest.mark.parametrize("reason", ["", " \n", "x" * 501, "a\x07b"])
def test_hold_needs_a_reason(kept: KeptEvidence, reason: str) -> None:
    """A hold would last for years, and nobody would know for whom."""
    incident = kept.incident()
    with pytest.raises(RetentionError, match="--reason"):
        hold(kept.redis, incident, LEAD, reason=reason)


def test_refused_holds(kept: KeptEvidence) -> None:
    """A typing error would place a hold on nothing, and the evidence be deleted."""
    with pytest.raises(RetentionError, match="no such incident"):
        hold(kept.redis, "0" * 24, LEAD, reason="court")
    incident = kept.incident()
    with pytest.raises(RetentionError, match="it is not on hold"):
        release(kept.redis, incident, LEAD, reason="x")
    for number in range(MOST_HOLDS):
        hold(kept.redis, incident, LEAD, reason=f"court {number}")
    with pytest.raises(RetentionError, match=f"{MOST_HOLDS} holds"):
        hold(kept.redis, incident, LEAD, reason="court")


def test_evidence_without_a_record_can_be_held(kept: KeptEvidence) -> None:
    """Evidence whose incident's record is lost could not be kept for a court."""
    incident = kept.incident()
    kept.redis.delete(f"lw:incident:{incident}")
    assert hold(kept.redis, incident, LEAD, reason="court").pictures == 2


def test_report_binds_the_case(kept: KeptEvidence) -> None:
    """A report would keep the evidence of one of five rules that hit on the stream."""
    incident = kept.incident(outcome="csea_apparent")
    case = str(kept.redis.hget(f"lw:incident:{incident}", "case"))
    done = record_report(kept.redis, incident[:6], LEAD, authority=" NCMEC ", report_id="77", retention=TERMS)
    assert not done.again
    assert (done.report.case_id, done.report.authority, done.report.incidents) == (case, "NCMEC", (incident,))
    assert done.content_until_ms == done.report.recorded_ms + 366 * DAY_SECONDS * 1000
    assert find_case(kept.redis, case) == (case, [incident])
    (entry,) = kept.entries("report")
    assert (entry["subject"], entry["by"]) == (case, "lea")
    assert entry["details"] == {"authority": "NCMEC", "report_id": "77", "incidents": [incident]}
    assert kept.redis.zscore("lw:evidence:due", incident) == 0


def test_report_is_recorded_once(kept: KeptEvidence) -> None:
    """A report recorded twice would be two in the audit log, or begin its year again."""
    incident = kept.incident(outcome="csea_apparent")

    def record(number: int) -> tuple[bool, int]:
        done = record_report(kept.redis, incident, LEAD, authority="NCMEC", report_id="77", retention=TERMS)
        return done.again, done.report.recorded_ms

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(record, range(8)))
    assert sorted(again for again, _ in found) == [False] + [True] * 7
    assert len({recorded_ms for _, recorded_ms in found}) == 1
    assert len(kept.entries("report")) == 1


def test_several_reports_have_their_own_terms(kept: KeptEvidence) -> None:
    """A report to another authority would take the place of the first, or shorten its term."""
    incident = kept.incident(outcome="csea_apparent")
    for authority in ("NCA", "NCMEC"):
        record_report(kept.redis, incident, LEAD, authority=authority, report_id="77", retention=TERMS)
    case = str(kept.redis.hget(f"lw:incident:{incident}", "case"))
    assert [one.authority for one in reports_of(kept.redis, case)] == ["NCA", "NCMEC"]
    # The reference outlives the content by four years.
    left = kept.redis.ttl(f"lw:reports:{case}")
    assert (FIVE_YEARS_DAYS - 1) * DAY_SECONDS < left <= FIVE_YEARS_DAYS * DAY_SECONDS


def test_refused_reports(kept: KeptEvidence) -> None:
    """A typing error would start the terms of another case, and its evidence be deleted within a year."""
    incident = kept.incident()
    for authority, report_id, expected in (("", "1", "--authority"), ("NCMEC", " ", "--id"), ("a\nb", "1", "--auth")):
        with pytest.raises(RetentionError, match=expected):
            record_report(kept.redis, incident, LEAD, authority=authority, report_id=report_id, retention=TERMS)
    for case in ("case-0123456789abcdef01234567", "case-", "case-x/y", "0" * 24):
        with pytest.raises((RetentionError, QueueError)):
            record_report(kept.redis, case, LEAD, authority="NCMEC", report_id="1", retention=TERMS)
    operator = Actor(name="op", role=Role.OPERATOR)
    with pytest.raises(BankRequestError, match="only a moderator or lead"):
        record_report(kept.redis, incident, operator, authority="NCMEC", report_id="1", retention=TERMS)
    assert kept.entries("report") == []


def test_incident_of_an_earlier_version_is_its_own_case(kept: KeptEvidence) -> None:
    """What was found before an upgrade could not be recorded as reported."""
    incident = kept.incident(outcome="csea_apparent")
    kept.redis.hdel(f"lw:incident:{incident}", "case")
    done = record_report(kept.redis, incident, LEAD, authority="NCMEC", report_id="1", retention=TERMS)
    assert done.report.case_id == incident
    assert len(reports_of(kept.redis, incident)) == 1


def test_damaged_records_keep_evidence(kept: KeptEvidence) -> None:
    """A damaged hold or report would be none, and evidence be deleted."""
    incident = kept.incident()
    kept.redis.hset(f"lw:evidence:hold:{incident}", "h", "{")
    assert [one.hold_id for one in holds_on(kept.redis, incident)] == ["h"]
    kept.redis.hset(f"lw:reports:{incident}", "r", json.dumps([1]))
    (report,) = reports_of(kept.redis, incident)
    assert report.recorded_ms > now_ms(kept.redis)
