"""A draft of the statement of reasons for the European Commission's database (Regulation (EU) 2022/2065, articles 17
and 24(5)): the fields of `POST /api/v1/statement`, below `statement`, so that no program submits a draft by mistake.

The database is public: a draft names no stream, account, person or hash.
"""

import json
from typing import Any, Final

from config.counts import counted
from config.facts import IMMINENT_DANGER_RULE
from worker.drafts.answers import Keyword, ReportAnswers
from worker.drafts.case_report import CaseReport

NOTICE: Final = (
    "DRAFT. Nothing was sent. A person of the platform checks it and submits what is below `statement`. The database "
    "is public: no personal data."
)

CATEGORY: Final = "STATEMENT_CATEGORY_PROTECTION_OF_MINORS"

_FOUND_BY: Final = {"hash": "a match with a list of known material", "model": "a classifier", "signal": "a report"}


def dsa_draft(case: CaseReport, answers: ReportAnswers) -> str:
    """Returns the draft as a JSON document."""
    given = answers.dsa
    statement: dict[str, Any] = {
        "decision_visibility": list(given.visibility) or None,
        "decision_provision": given.provision,
        "decision_account": given.account,
        "decision_ground": given.ground,
        **_ground(answers),
        "content_type": ["CONTENT_TYPE_VIDEO"],
        "category": CATEGORY,
        "category_specification": keywords(case, answers),
        "territorial_scope": list(given.territorial_scope) or None,
        "content_date": case.captured_first[:10] or None,
        "application_date": None if given.applied is None else given.applied.isoformat(),
        "decision_facts": facts(case),
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes" if "hash" in found_by(case) or "model" in found_by(case) else "No",
        "automated_decision": given.automated_decision,
        "puid": case.case_id,
    }
    draft = {
        "draft": True,
        "notice": NOTICE,
        "form": "dsa",
        "drill": case.drill,
        "drafted": case.drafted,
        "statement": {name: value for name, value in statement.items() if value not in (None, "")},
    }
    return json.dumps(draft, indent=2) + "\n"


def keywords(case: CaseReport, answers: ReportAnswers) -> list[str]:
    """Returns a person's choice of keywords; without one that of material, where that was the decision. A child at risk
    may mean grooming, or none of the keywords: nothing is guessed."""
    if answers.dsa.keywords:
        return [str(one) for one in answers.dsa.keywords]
    return [str(Keyword.MATERIAL)] if case.outcome.startswith("csea_") else []


def found_by(case: CaseReport) -> list[str]:
    """Returns how it was found: `hash`, `model`, `signal`, in this order."""
    incidents = case.reportable
    known = {
        "hash": any(one.matches for one in incidents),
        "model": any(one.scores and not one.matches for one in incidents),
        "signal": any(one.rule == IMMINENT_DANGER_RULE for one in incidents),
    }
    return [name for name, found in known.items() if found]


def facts(case: CaseReport) -> str:
    """Returns the facts on which the decision rests, in words that name nobody."""
    ways = " and ".join(_FOUND_BY[name] for name in found_by(case)) or "a rule of the platform's policy"
    incidents = counted(len(case.reportable), "incident")
    pictures = counted(sum(one.hits for one in case.reportable), "picture")
    return f"A live stream was found by {ways}: {incidents}, {pictures}. A person judged what was found."


def _ground(answers: ReportAnswers) -> dict[str, str]:
    given = answers.dsa
    if given.ground is None:
        return {}
    kind = "illegal" if given.ground == "DECISION_GROUND_ILLEGAL_CONTENT" else "incompatible"
    legal = "illegal_content_legal_ground" if kind == "illegal" else "incompatible_content_ground"
    return {legal: given.legal_ground, f"{kind}_content_explanation": given.explanation}
