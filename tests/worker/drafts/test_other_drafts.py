"""Drafts for the UK's NCA, and the DSA's statement of reasons."""

import json

import pytest
from drafted_cases import REFS, a_case, an_incident, answers

from worker.drafts.answers import ReportAnswers
from worker.drafts.dsa import dsa_draft
from worker.drafts.nca import nca_draft
from worker.errors import DraftError
from worker.retention.reports import AuthorityReport


def reported(authority: str) -> AuthorityReport:
    return AuthorityReport(case_id="c", authority=authority, report_id="77", by="l", verified=True, recorded_ms=1)


def test_nca_draft_has_basis_and_pictures() -> None:
    """The officer could not see on what the judgement rests, which the law asks the platform to keep."""
    draft = json.loads(nca_draft(a_case(), answers()))
    assert (draft["draft"], draft["priority"], draft["uk_link"][:13]) == (True, "P2", "The addresses")
    (basis,) = draft["basis"]
    (judged,) = basis["judgements"]
    assert judged == {"outcome": "csea_apparent", "category": None, "at": "2026-11-27T12:10:00.000Z", "note": None}
    assert {one["ref"]: one["seen_clear"] for one in draft["pictures"]} == {
        REFS[0]: True,
        REFS[1]: False,
        REFS[2]: False,
    }


@pytest.mark.parametrize("authority", ["NCMEC", "ncmec", ""])
def test_case_that_ncmec_has_is_not_reported_again(authority: str) -> None:
    """The NCA would get a case twice, against the law; a damaged record may be one of NCMEC's."""
    with pytest.raises(DraftError):
        nca_draft(a_case(reports=(reported(authority),)), answers())
    assert nca_draft(a_case(reports=(reported("NCA"),)), answers())


def test_priority_is_never_guessed() -> None:
    """An officer would be called at night for what nobody found urgent, or not for what somebody would have."""
    for outcome in ("csea_apparent", "child_at_risk"):
        draft = json.loads(nca_draft(a_case(incidents=(an_incident("a", outcome),)), ReportAnswers()))
        assert draft["priority"] is None


def test_statement_has_category_keywords_and_restrictions() -> None:
    """The database would refuse it, or the platform's numbers not count it under the protection of minors."""
    draft = json.loads(dsa_draft(a_case(), answers()))
    statement = draft.pop("statement")
    assert draft["draft"] is True
    assert "category" not in draft
    expected = {
        "decision_visibility": ["DECISION_VISIBILITY_CONTENT_REMOVED"],
        "decision_provision": "DECISION_PROVISION_TOTAL_SUSPENSION",
        "decision_account": "DECISION_ACCOUNT_SUSPENDED",
        "decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT",
        "illegal_content_legal_ground": "Directive 2011/93/EU, article 5",
        "category": "STATEMENT_CATEGORY_PROTECTION_OF_MINORS",
        "category_specification": ["KEYWORD_CHILD_SEXUAL_ABUSE_MATERIAL"],
        "content_type": ["CONTENT_TYPE_VIDEO"],
        "content_date": "2026-11-27",
        "application_date": "2026-11-27",
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_NOT_AUTOMATED",
    }
    assert {name: statement.get(name) for name in expected} == expected


def test_statement_names_nobody() -> None:
    """The database is public: an account, a stream or a hash of the case would be there for everybody."""
    text = dsa_draft(a_case(), answers())
    for private in ("cam-1", "someone", "192.0.2.7", "0f" * 32, *REFS, "mo", "blue", "selftest"):
        assert f'"{private}' not in text
        assert f" {private}" not in text


def test_grooming_is_a_persons_keyword() -> None:
    """A child at risk would be published as child sexual abuse material."""
    risk = a_case(incidents=(an_incident("a", "child_at_risk"),))
    assert json.loads(dsa_draft(risk, answers()))["statement"]["category_specification"] == []
    chosen = answers(dsa={"keywords": ["KEYWORD_GROOMING_SEXUAL_ENTICEMENT_MINORS"]})
    found = json.loads(dsa_draft(risk, chosen))["statement"]["category_specification"]
    assert found == ["KEYWORD_GROOMING_SEXUAL_ENTICEMENT_MINORS"]


def test_report_of_people_is_no_automated_detection() -> None:
    """The platform's statistics would claim that a machine found what a viewer reported."""
    reported_danger = an_incident("a", "child_at_risk", rule="imminent-danger", matches=(), scores={})
    statement = json.loads(dsa_draft(a_case(incidents=(reported_danger,)), answers()))["statement"]
    assert statement["automated_detection"] == "No"
