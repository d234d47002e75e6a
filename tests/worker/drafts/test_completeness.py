"""The lint of a case: what is missing, in plain words."""

from pathlib import Path

import pytest
import yaml
from drafted_cases import ANSWERS, a_case, an_incident, answers

from worker.drafts.answers import ReportAnswers, read_answers
from worker.drafts.completeness import lacks
from worker.drafts.forms import ReportForm
from worker.errors import DraftError
from worker.retention.reports import AuthorityReport


def reported(authority: str, report_id: str = "7") -> AuthorityReport:
    return AuthorityReport(case_id="c", authority=authority, report_id=report_id, by="l", verified=True, recorded_ms=1)


@pytest.mark.parametrize("form", ReportForm)
def test_complete_case_lacks_nothing(form: ReportForm) -> None:
    """People would stop reading a lint that always finds something."""
    assert lacks(form, a_case(), answers()) == []


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (ReportForm.CYBERTIPLINE, {"incident_type", "reporter", "account"}),
        (ReportForm.NCA, {"nca_priority", "uk_link", "reporter", "account"}),
        (
            ReportForm.DSA,
            {"dsa", "dsa.applied", "dsa.ground", "dsa.legal_ground", "dsa.explanation", "dsa.territorial_scope"},
        ),
    ],
)
def test_what_only_people_know_is_asked_for(form: ReportForm, fields: set[str]) -> None:
    """A report would go out with a guess, or be one of the millions that name nobody."""
    found = lacks(form, a_case(), ReportAnswers())
    assert {one.field for one in found if one.blocks} == fields
    assert [one.blocks for one in found] == sorted((one.blocks for one in found), reverse=True)


def test_drill_and_undecided_cases_are_blocked() -> None:
    """A drill would be reported to the police, or a case that nobody has judged."""
    for case, text in (
        (a_case(purpose="drill"), "drill"),
        (a_case(purpose="canary"), "drill"),
        (a_case(incidents=(an_incident("a", ""),)), "Nobody has decided"),
        (a_case(incidents=(an_incident("a", "adult_tos"),)), "Nobody has decided"),
        (a_case(reports=(reported(""),)), "cannot be read"),
    ):
        for form in ReportForm:
            assert any(one.blocks and text in one.text for one in lacks(form, case, answers())), text


@pytest.mark.parametrize("form", ReportForm)
def test_a_case_that_nobody_has_judged_is_said_to_lack_nothing_that_it_has(form: ReportForm) -> None:
    """A person would look for the time and the pictures of an incident that are all there."""
    case = a_case(incidents=(an_incident("a", "harmless"),))
    texts = " ".join(one.text for one in lacks(form, case, answers()))
    assert "not on record" not in texts
    assert "No picture" not in texts


@pytest.mark.parametrize("form", ReportForm)
def test_what_is_missing_is_a_sentence(form: ReportForm) -> None:
    """The words "Missing: Missing: The ground" would read like a fault of the page."""
    for one in lacks(form, a_case(), ReportAnswers()):
        assert not one.text.startswith("Missing"), one.text
        assert "`" not in one.text, one.text
        assert one.text.endswith("."), one.text


def test_what_weakens_a_report_is_named() -> None:
    """A report would be closed unread, and nobody at the platform know why."""
    case = a_case(
        incidents=(an_incident("a"), an_incident("b", "")), views=(), unopened_segments=2, unrecorded=("0" * 24,)
    )
    account = {"screen_name": "someone", "addresses": [{"address": "192.0.2.7"}]}
    found = lacks(ReportForm.CYBERTIPLINE, case, answers(account=account, stream_urls=[], classification=None))
    assert [one for one in found if one.blocks] == []
    text = "\n".join(one.text for one in found)
    for part in (
        "1 incident of it is undecided",
        "no record is left",
        "No email and no phone",
        "192.0.2.7 has no time",
        "event Upload",
        "No address (URL)",
        "No classification",
        "Nobody saw one of its 2 pictures clear",
        "2 parts of the audit log could not be opened",
    ):
        assert part in text
    bare = lacks(ReportForm.CYBERTIPLINE, a_case(pictures=()), answers())
    assert [one.field for one in bare] == ["pictures"]


def test_earlier_reports_are_named() -> None:
    """A case would be reported twice, and two officers work on one child."""
    (again,) = lacks(ReportForm.CYBERTIPLINE, a_case(reports=(reported("ncmec", "77"),)), answers())
    assert "reported to NCMEC already, as 77" in again.text
    (barred,) = lacks(ReportForm.NCA, a_case(reports=(reported("NCMEC", "77"),)), answers())
    assert barred.blocks
    (repeated,) = lacks(ReportForm.NCA, a_case(reports=(reported("NCA", "9"),)), answers())
    assert not repeated.blocks


def test_answers_are_read_from_a_file(tmp_path: Path) -> None:
    """An account's number would lose its zeros, or a time its zone, on the way from the file."""
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump(ANSWERS))
    assert read_answers(path) == answers()
    path.write_text("")
    assert read_answers(path) == read_answers(None) == ReportAnswers()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("account: {id: 712}", "account.id: expected a text"),
        ("account: {addresses: [{address: 192.0.2.700}]}", "account.addresses.0.address"),
        ("account: {addresses: [{address: 192.0.2.7, at: '2026-11-27T12:00:00'}]}", "timezone"),
        ("nca_priority: P3", "nca_priority"),
        ("priority: P1", "priority: Extra inputs"),
        ("stream_urls: ['javascript:alert(1)']", "stream_urls.0"),
        ("dsa: {account: banned}", "dsa.account"),
        ("{", "answers.yaml: line 1, column 2: expected YAML: "),
        ("[1]", "answers.yaml: expected a mapping with answers, found a list"),
        ("!!python/object:os.system {}", "expected YAML"),
    ],
)
def test_wrong_answers_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    """NCMEC would refuse the report once it had a number, or the police search at a wrong address."""
    path = tmp_path / "answers.yaml"
    path.write_text(text)
    with pytest.raises(DraftError, match=expected):
        read_answers(path)


def test_example_of_the_document_is_complete(tmp_path: Path) -> None:
    """A lead who begins with the example of docs/reports.md would read about fields that do not exist."""
    document = (Path(__file__).parents[3] / "docs/reports.md").read_text()
    path = tmp_path / "answers.yaml"
    path.write_text(document.partition("```yaml\n")[2].partition("```")[0])
    given = read_answers(path)
    assert [one for form in ReportForm for one in lacks(form, a_case(), given) if one.blocks] == []
    assert given.account.id == "00712"
    assert given.account.addresses[0].at is not None
