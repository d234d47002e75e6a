"""A case as drafts see it: from records, and from what the audit log says that people did."""

import json
from typing import Any

import pytest
from kept_evidence import LEAD, KeptEvidence

from config.policy.retention import Retention
from worker.audit.chainer import link_waiting
from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.search import AuditSearch
from worker.drafts.answers import ReportAnswers
from worker.drafts.case_report import CaseReport
from worker.drafts.completeness import lacks
from worker.drafts.drafting import make_draft
from worker.drafts.forms import ReportForm
from worker.drafts.gathering import gather
from worker.errors import DraftError
from worker.retention.reports import record_report


def gathered(kept: KeptEvidence, given: str) -> CaseReport:
    return gather(kept.redis, given, audit=AuditSearch(kept.redis, kept.store, opened=None), deployment="test")


def note_view(kept: KeptEvidence, ref: str, **changed: Any) -> None:
    """Appends the entry of a view, as `evidence show` does."""
    details = {"incident": "i", "stream": "cam-1", "shown": "clear", "reason": "to judge"} | changed
    by = str(details.pop("by", "mo"))
    act = str(details.pop("act", Act.VIEW))
    append_entry(kept.redis, audit_entry(act, by=by, verified=True, subject=ref, **details))


def test_case_has_what_is_on_record(kept: KeptEvidence) -> None:
    """A report would lack the match, the decision or the pictures that the deployment has."""
    incident = kept.incident(outcome="csea_apparent")
    case = gathered(kept, incident[:6])
    assert case.case_id == str(kept.redis.hget(f"lw:incident:{incident}", "case"))
    assert (case.stream_id, case.outcome, case.drill, case.metadata) == (
        "cam-1",
        "csea_apparent",
        False,
        {"room": "blue"},
    )
    (one,) = case.incidents
    assert [(match.list, match.distance) for match in one.matches] == [("known", 4)]
    assert (one.judgements[0].by, one.judgements[0].note) == ("mo", "seen")
    assert one.captured_first.endswith("Z")
    assert {picture.ref for picture in case.reported_pictures} == kept.refs(incident)
    record_report(kept.redis, incident, LEAD, authority="NCMEC", report_id="77", retention=Retention())
    assert [report.report_id for report in gathered(kept, case.case_id).reported_to("ncmec")] == ["77"]


@pytest.mark.parametrize("linked", [False, True])
def test_viewed_only_by_a_clear_view_of_this_picture(kept: KeptEvidence, linked: bool) -> None:
    """A picture that nobody saw would be reported as viewed, or one that somebody saw as not."""
    incident = kept.incident(outcome="csea_apparent", pictures=3)
    seen, blurred, other = sorted(kept.refs(incident))
    note_view(kept, seen)
    note_view(kept, blurred, shown="blurred")
    note_view(kept, blurred[:20])
    note_view(kept, incident, items=[other])
    note_view(kept, other, by="worker")
    note_view(kept, other, act=Act.EXPORT)
    if linked:
        assert link_waiting(kept.redis) > 0
    case = gathered(kept, incident)
    assert [ref for ref in (seen, blurred, other) if case.seen_clear(ref)] == [seen]
    assert [(view.by, view.reason) for view in case.views] == [("mo", "to judge")]


def test_pictures_of_a_harmless_incident_are_not_reported(kept: KeptEvidence) -> None:
    """A person's harmless picture would reach the police beside what another rule found."""
    first = kept.incident(outcome="csea_apparent")
    kept.scene.settle("cam-1", tuple(hit for hit in kept.scene.hits([2000], score=0.95) if hit.rule == "likely"))
    case = gathered(kept, first)
    second = next(one.incident_id for one in case.incidents if one.incident_id != first)
    kept.add_picture(second, "cam-1", seed=9)
    assert {one.incident_id for one in gathered(kept, first).reported_pictures} == {first}
    kept.decide(second, "harmless")
    case = gathered(kept, first)
    assert (len(case.pictures), len(case.reported_pictures)) == (3, 2)


def test_drill_is_one(kept: KeptEvidence) -> None:
    """A drill would be reported as real."""
    incident = kept.scene.raise_incident("cam-9", purpose="drill")
    assert gathered(kept, incident).drill


def test_case_without_records_is_refused(kept: KeptEvidence) -> None:
    """A report with nothing in it would be drafted."""
    incident = kept.incident(outcome="csea_apparent")
    case_id = str(kept.redis.hget(f"lw:incident:{incident}", "case"))
    kept.redis.delete(f"lw:incident:{incident}")
    with pytest.raises(DraftError, match="no record of its incidents is left"):
        gathered(kept, case_id)


@pytest.mark.parametrize("form", ReportForm)
def test_a_draft_needs_a_decision_whatever_is_asked_for(kept: KeptEvidence, form: ReportForm) -> None:
    """A program could report what no person has judged, by one option."""
    incident = kept.incident()
    with pytest.raises(DraftError, match="Nobody has decided"):
        make_draft(form, gathered(kept, incident), ReportAnswers(), incomplete=True)
    kept.decide(incident, "csea_suspected")
    with pytest.raises(DraftError, match="no draft"):
        make_draft(form, gathered(kept, incident), ReportAnswers())
    assert make_draft(form, gathered(kept, incident), ReportAnswers(), incomplete=True)


def test_views_of_long_ago_are_found_in_the_store(kept: KeptEvidence) -> None:
    """A picture that was seen a month ago would be reported as not viewed, and nobody know why."""
    incident = kept.incident(outcome="csea_apparent")
    ref = min(kept.refs(incident))
    note_view(kept, ref)
    link_waiting(kept.redis)
    copy_log(kept.redis, kept.store, sealed=kept.pair.recipients.encrypt, deployment="test")
    kept.redis.xtrim("lw:audit", maxlen=0)
    closed = gathered(kept, incident)
    assert (closed.seen_clear(ref), closed.unopened_segments) == (False, 1)
    assert "audit" in {one.field for one in lacks(ReportForm.CYBERTIPLINE, closed, ReportAnswers())}
    audit = AuditSearch(kept.redis, kept.store, opened=kept.pair.identity.decrypt)
    case = gather(kept.redis, incident, audit=audit, deployment="test")
    assert (case.seen_clear(ref), case.unopened_segments) == (True, 0)
    assert [entry.n for entry in audit.linked_entries(since_ms=0)] == [3, 2, 1]


def test_damaged_event_leaves_the_rest(kept: KeptEvidence) -> None:
    """One damaged record would keep a whole case from being reported."""
    incident = kept.incident(outcome="csea_apparent")
    damaged = {"scores": {"m/nsfw": "high", "m/x": 0.5}, "matches": ["x", {"list": "known", "distance": "near"}]}
    event = {"data": damaged | {"times": [], "metadata": "x", "degraded": 7}}
    kept.redis.hset(f"lw:incident:{incident}", "event", json.dumps(event))
    (one,) = gathered(kept, incident).incidents
    assert (dict(one.scores), [str(match) for match in one.matches]) == ({"m/x": 0.5}, ["list known, entry "])
    assert one.reportable
