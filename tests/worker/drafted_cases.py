"""Made-up cases of harmless material, for tests of drafts and packages."""

from typing import Any

from worker.drafts.answers import ReportAnswers
from worker.drafts.case_report import CaseIncident, CaseJudgement, CasePicture, CaseReport, ClearView, ReportedMatch

REFS = tuple(f"{number:032x}" for number in range(1, 6))

ANSWERS: dict[str, Any] = {
    "reporter": {
        "first_name": "Kim",
        "last_name": "Lee",
        "email": "safety@platform.example",
        "platform": "Example Live",
        "legal_url": "https://platform.example/legal",
    },
    "account": {
        "id": "00712",
        "screen_name": "someone",
        "display_names": ["Some One"],
        "profile_urls": ["https://platform.example/u/someone"],
        "emails": ["someone@mail.example"],
        "phones": ["+1 555 0100"],
        "first_name": "Some",
        "date_of_birth": "1990-02-03",
        "addresses": [
            {"address": "192.0.2.7", "event": "Upload", "at": "2026-11-27T12:00:00Z", "port": 40_123},
            {"address": "2001:db8::1", "event": "Login", "at": "2026-11-27T11:59:00Z", "possible_proxy": False},
        ],
    },
    "incident_type": "Child Pornography (possession, manufacture, and distribution)",
    "escalate": "the stream is live",
    "classification": "B2",
    "publicly_available": True,
    "stream_urls": ["https://platform.example/live/1"],
    "description": "The test card was shown.",
    "nca_priority": "P2",
    "uk_link": "The addresses of the account are in the UK.",
    "dsa": {
        "visibility": ["DECISION_VISIBILITY_CONTENT_REMOVED"],
        "provision": "DECISION_PROVISION_TOTAL_SUSPENSION",
        "account": "DECISION_ACCOUNT_SUSPENDED",
        "applied": "2026-11-27",
        "ground": "DECISION_GROUND_ILLEGAL_CONTENT",
        "legal_ground": "Directive 2011/93/EU, article 5",
        "explanation": "It falls under it.",
        "territorial_scope": ["DE", "IE"],
    },
}
"""Complete answers, as a file of them has them."""


def answers(**changed: Any) -> ReportAnswers:
    """Answers that lack nothing, but for what is changed."""
    return ReportAnswers.model_validate(ANSWERS | changed)


def judged(outcome: str, **fields: Any) -> CaseJudgement:
    return CaseJudgement(**({"by": "mo", "verified": True, "at": "2026-11-27T12:10:00.000Z"} | fields), outcome=outcome)


def an_incident(name: str, outcome: str = "csea_apparent", **fields: Any) -> CaseIncident:
    known: dict[str, Any] = {
        "incident_id": name,
        "rule": "known",
        "severity": "critical",
        "raised": "2026-11-27T12:00:05.000Z",
        "captured_first": "2026-11-27T12:00:00.000Z",
        "captured_last": "2026-11-27T12:00:04.000Z",
        "hits": 3,
        "matches": (ReportedMatch(list="selftest", entry="card", distance=4),),
        "judgements": (judged(outcome),) if outcome else (),
    }
    return CaseIncident(**(known | fields))


def a_picture(number: int, incident: str = "a", **fields: Any) -> CasePicture:
    known: dict[str, Any] = {
        "ref": REFS[number],
        "incident_id": incident,
        "kind": "hit",
        "captured": f"2026-11-27T12:00:0{number}.000Z",
        "picture_sha256": f"{number:064x}",
        "sealed_sha256": f"{number + 100:064x}",
        "pdq": "0f" * 32,
        "rule": "known",
        "distance": 4,
    }
    return CasePicture(**(known | fields))


def a_view(number: int, **fields: Any) -> ClearView:
    known: dict[str, Any] = {"by": "mo", "verified": True, "at": "2026-11-27T12:05:00.000Z", "reason": "to judge"}
    return ClearView(**(known | fields), ref=REFS[number])


def a_case(**fields: Any) -> CaseReport:
    """A case of one incident with a picture that was seen clear, one that was not, and one of context."""
    known: dict[str, Any] = {
        "case_id": "case-0123456789abcdef01234567",
        "deployment": "test",
        "drafted": "2026-11-27T13:00:00.000Z",
        "stream_id": "cam-1",
        "metadata": {"room": "blue"},
        "incidents": (an_incident("a"),),
        "pictures": (a_picture(0), a_picture(1), a_picture(2, kind="context", rule="", distance=None)),
        "views": (a_view(0),),
    }
    return CaseReport(**(known | fields))
