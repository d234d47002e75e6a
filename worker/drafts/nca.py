"""A draft of a report to the UK's National Crime Agency, from the same data.

The schema of its API is not public: the draft is a plain JSON object that a person reads when filling in the portal.
A case that was reported to NCMEC is not reported again (Online Safety Act 2023, section 66(2)); P1 or P2 is a person's
choice.
"""

import json
from typing import Any, Final

from worker.drafts.answers import ReportAnswers
from worker.drafts.case_report import CaseReport
from worker.errors import DraftError

NOTICE: Final = (
    "DRAFT. Nothing was sent. A person of the platform checks it and reports by the NCA's portal. Urgent cases outside "
    "07:00 to 17:00 UK time need a phone call too."
)


def expect_not_reported(case: CaseReport) -> None:
    """Refuses a case that NCMEC has, or may have: the same rule holds whatever a person asks for.

    Raises:
        DraftError: it was reported to NCMEC, or a recorded report of it cannot be read.
    """
    if found := case.reported_to("NCMEC"):
        raise DraftError(
            f"case {case.case_id}: it was reported to NCMEC as {found[0].report_id}: such a case is not reported to "
            "the NCA again"
        )
    if case.unreadable_reports:
        raise DraftError(
            f"case {case.case_id}: a recorded report of it cannot be read, and may be one to NCMEC: have it repaired "
            "first"
        )


def nca_draft(case: CaseReport, answers: ReportAnswers) -> str:
    """Returns the draft as a JSON document.

    Raises:
        DraftError: the case was reported to NCMEC, or may have been.
    """
    expect_not_reported(case)
    account = answers.account.model_dump(mode="json", exclude_none=True)
    draft: dict[str, Any] = {
        "draft": True,
        "notice": NOTICE,
        "form": "nca",
        "drill": case.drill,
        "case": case.case_id,
        "drafted": case.drafted,
        "priority": answers.nca_priority,
        "uk_link": answers.uk_link or None,
        "reporter": answers.reporter.model_dump(mode="json", exclude_none=True),
        "account": account,
        "stream": {"id": case.stream_id, "urls": list(answers.stream_urls), "live": True, "notes": dict(case.metadata)},
        "streams": list(case.streams),
        "description": answers.description or None,
        "basis": [
            {
                "incident": one.incident_id,
                "rule": one.rule,
                "first": one.captured_first,
                "last": one.captured_last,
                "pictures": one.hits,
                "matches": [str(match) for match in one.matches],
                "scores": dict(one.scores),
                "checks_that_did_not_work": list(one.degraded),
                "judgements": [
                    {
                        "outcome": each.outcome,
                        "category": each.category or None,
                        "at": each.at,
                        "note": each.note or None,
                    }
                    for each in one.judgements
                ],
            }
            for one in case.reportable
        ],
        "pictures": [
            {
                "ref": one.ref,
                "role": one.kind,
                "captured": one.captured,
                "sha256": one.picture_sha256,
                "pdq": one.pdq or None,
                "seen_clear": case.seen_clear(one.ref),
            }
            for one in case.reported_pictures
        ],
    }
    return json.dumps(draft, indent=2) + "\n"
