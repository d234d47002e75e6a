"""The category that a person stated with a decision, as the classification of drafts."""

from typing import Any
from xml.etree import ElementTree

import pytest
from drafted_cases import a_case, an_incident, answers, judged

from worker.drafts.case_report import CaseReport
from worker.drafts.completeness import lacks
from worker.drafts.cybertipline import file_details
from worker.drafts.forms import ReportForm


def decided(*categories: str) -> CaseReport:
    """A case whose incident was decided with these categories, one after another."""
    judgements = tuple(judged("csea_apparent", category=category) for category in categories)
    return a_case(incidents=(an_incident("a", judgements=judgements),))


def classified(case: CaseReport, **changed: Any) -> list[str | None]:
    """The classification of each picture."""
    given = answers(**changed)
    return [
        ElementTree.ElementTree(file_details(one, case, given)).findtext("industryClassification")
        for one in case.reported_pictures
    ]


def test_it_classifies_the_picture_that_a_person_saw() -> None:
    """A person would classify the same picture twice, or one be classified that nobody saw."""
    assert classified(decided("B1"), classification=None) == ["B1", None, None]


def test_the_one_in_force_counts_and_answers_go_first() -> None:
    """A report would have the classification that was found wrong."""
    assert classified(decided("B1", "A2"), classification=None) == ["A2", None, None]
    assert classified(decided("B1"), classification="B2") == ["B2", None, None]


@pytest.mark.parametrize("category", ["", "unseen"])
def test_what_nobody_saw_is_not_classified(category: str) -> None:
    """A report would claim that somebody saw what it shows."""
    case = decided(category)
    assert classified(case, classification=None) == [None, None, None]
    fields = [one.field for one in lacks(ReportForm.CYBERTIPLINE, case, answers(classification=None))]
    assert "classification" in fields
    seen = lacks(ReportForm.CYBERTIPLINE, decided("A1"), answers(classification=None))
    assert "classification" not in [one.field for one in seen]
