"""The CyberTipline draft: valid by NCMEC's schema, and true."""

from collections.abc import Callable
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from drafted_cases import REFS, a_case, a_picture, a_view, an_incident, answers, judged
from hypothesis import example, given
from hypothesis import strategies as st

from worker.drafts.answers import ReportAnswers
from worker.drafts.cybertipline import cybertipline_draft
from worker.retention.reports import AuthorityReport

HOSTILE = "]]></additionalInfo><fileViewedByEsp>true</fileViewedByEsp>\x00\x1b&lt;\ud800\ufffe<!-- "


@pytest.fixture(scope="module")
def ncmec(ci_or_skip: Callable[[str], NoReturn]) -> Any:
    """The models of PyPI's `ncmec-cybertip`, which needs Python 3.13."""
    import sys

    if sys.version_info < (3, 13):
        pytest.skip("ncmec-cybertip needs Python 3.13")
    try:
        import ncmec_cybertip
    except ImportError:
        ci_or_skip("ncmec-cybertip is not installed")
    return ncmec_cybertip


def parsed(*given: Any) -> Element:
    return ElementTree.fromstring(cybertipline_draft(*given))


def tags(element: Element) -> list[str]:
    return [child.tag for child in element]


def test_schema_accepts_a_complete_draft(ncmec: Any) -> None:
    """NCMEC would refuse it with HTTP 400 after it had given out a number for the report."""
    report = AuthorityReport(
        case_id="c", authority="NCMEC", report_id="7734021", by="lea", verified=True, recorded_ms=1
    )
    root = parsed(a_case(reports=(report,)), answers())
    (found,) = root.findall("report")
    read = ncmec.Report.from_xml(ElementTree.tostring(found))
    assert read.incident_summary.escalate_to_high_priority == "the stream is live"
    account = read.person_or_user_reported
    assert (account.esp_identifier, account.prior_ct_reports) == ("00712", [7734021])
    assert [str(one.ip_address) for one in account.ip_capture_event] == ["192.0.2.7", "2001:db8::1"]
    files = [ncmec.FileDetails.from_xml(ElementTree.tostring(one)) for one in root.findall("fileDetails")]
    assert [one.file_viewed_by_esp for one in files] == [True, False, False]
    assert all(one.file_annotations.live_streaming is not None for one in files)
    assert [str(one.industry_classification) for one in files] == ["B2", "None", "None"]
    assert [one.original_file_hash[0].hash_type for one in files] == ["SHA256"] * 3
    (pair,) = files[0].details[0].name_value_pair
    assert (pair.type, pair.name, pair.value) == ("HASH", "PDQ", "0f" * 32)


def test_schema_accepts_what_a_broadcaster_wrote(ncmec: Any) -> None:
    """A broadcaster could have a report refused, or written otherwise, by a title with markup in it."""
    case = a_case(stream_id="cam-1", metadata={HOSTILE: HOSTILE})
    said = answers(description=HOSTILE.replace("\ud800", ""))
    root = parsed(case, said)
    ncmec.Report.from_xml(ElementTree.tostring(root.findall("report")[0]))
    assert len(root.findall(".//fileViewedByEsp")) == 3
    assert root.find("report/additionalInfo").text.count("fileViewedByEsp") > 2  # type: ignore[union-attr]


def test_order_is_that_of_the_schema() -> None:
    """Where the oracle is not installed, a change of the order would go unnoticed."""
    root = parsed(a_case(), answers())
    assert tags(root.findall("report")[0]) == [
        "incidentSummary",
        "internetDetails",
        "reporter",
        "personOrUserReported",
        "additionalInfo",
    ]
    assert tags(root.findall("fileDetails")[0]) == [
        "reportId",
        "fileId",
        "originalFileName",
        "uploadedToEspTimestamp",
        "fileViewedByEsp",
        "publiclyAvailable",
        "fileRelevance",
        "fileAnnotations",
        "industryClassification",
        "originalFileHash",
        "details",
        "additionalInfo",
    ]


def test_viewed_is_what_the_log_says_of_this_very_picture() -> None:
    """Police would open without a warrant what nobody had viewed, and the evidence be lost in court."""
    root = parsed(a_case(views=(a_view(1),)), answers())
    found = {one.findtext("fileId"): one.findtext("fileViewedByEsp") for one in root.findall("fileDetails")}
    assert found == {REFS[0]: "false", REFS[1]: "true", REFS[2]: "false"}
    unseen = parsed(a_case(views=()), answers())
    assert {one.text for one in unseen.iter("fileViewedByEsp")} == {"false"}
    assert list(unseen.iter("industryClassification")) == []


def test_only_incidents_that_a_person_judged_so_are_reported() -> None:
    """A harmless picture of the same stream would be reported to the police."""
    case = a_case(
        incidents=(an_incident("a"), an_incident("b", "harmless"), an_incident("c", "")),
        pictures=(a_picture(0, "a"), a_picture(1, "b"), a_picture(2, "c")),
    )
    root = parsed(case, answers())
    assert [one.text for one in root.iter("fileId")] == [REFS[0]]
    story = root.findtext("report/additionalInfo") or ""
    assert "Incident a:" in story
    assert "Incident b:" not in story


def test_revision_counts() -> None:
    """A decision that was taken back would be reported all the same."""
    revised = an_incident("a", judgements=(judged("csea_apparent"), judged("harmless")))
    assert parsed(a_case(incidents=(revised,)), answers()).findall("fileDetails") == []


def test_it_is_marked_as_a_draft() -> None:
    """A program could submit it as it is, and nobody would have checked it."""
    text = cybertipline_draft(a_case(purpose="drill"), answers())
    root = ElementTree.fromstring(text)
    assert (root.tag, root.get("draft"), root.get("drill")) == ("livewardenDraft", "true", "true")
    assert "DRAFT. Nothing was sent." in text
    assert {one.text for one in root.iter("reportId")} == {"0"}


def test_incomplete_answers_make_a_draft_that_can_be_read() -> None:
    """A person who has no answers yet could see nothing of what is on record."""
    root = parsed(a_case(), ReportAnswers())
    assert root.find("report/personOrUserReported") is None
    assert len(root.findall("fileDetails")) == 3


@given(text=st.text(max_size=300))
@example(text="\ud800")
@example(text="]]>\x0b\x1f\ufffe")
def test_whatever_text_makes_a_document(text: str) -> None:
    """One character in a title could keep the report of a child from being drafted."""
    case = a_case(metadata={"title": text}, incidents=(an_incident("a", rule=text or "x"),))
    root = parsed(case, answers(description="", account={"id": "7", "display_names": ["x", text]}))
    assert len(root.findall("fileDetails")) == 3
    names = [one.text for one in root.iter("displayName")]
    assert len(names) == (2 if text else 1)
