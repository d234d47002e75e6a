"""Chooses and makes the draft of a form, once nothing that it cannot do without is missing."""

from worker.drafts.answers import ReportAnswers
from worker.drafts.case_report import CaseReport
from worker.drafts.completeness import Lack, lacks
from worker.drafts.cybertipline import cybertipline_draft
from worker.drafts.dsa import dsa_draft
from worker.drafts.forms import ReportForm
from worker.drafts.nca import expect_not_reported, nca_draft
from worker.errors import DraftError


def make_draft(form: ReportForm, case: CaseReport, answers: ReportAnswers, *, incomplete: bool = False) -> str:
    """Returns a draft.

    Args:
        incomplete: makes it although something is missing that blocks it, for a person who fills it in elsewhere. It
            overrules neither the rule against a second report nor that people decide.

    Raises:
        DraftError: something that blocks it is missing; nobody has decided that it is reported; or NCMEC has it, and it
            would go to the NCA.
    """
    if form is ReportForm.NCA:
        expect_not_reported(case)
    blocking = [one for one in lacks(form, case, answers) if one.blocks]
    if not case.reportable or (blocking and not incomplete):
        raise DraftError(f"case {case.case_id}: no draft: {summary(blocking)}")
    match form:
        case ReportForm.CYBERTIPLINE:
            return cybertipline_draft(case, answers)
        case ReportForm.NCA:
            return nca_draft(case, answers)
        case ReportForm.DSA:
            return dsa_draft(case, answers)


def summary(found: list[Lack]) -> str:
    """Returns what is missing on one line."""
    return " ".join(f"[{one.field}] {one.text}" for one in found)
