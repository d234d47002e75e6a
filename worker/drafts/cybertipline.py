"""A draft for NCMEC's CyberTipline: `report` and one `fileDetails` for each picture, in the order of its schema.

Both are below an element of our own, so that no program submits a draft by mistake: NCMEC's service takes `report`
alone. `reportId` is 0 and `fileId` the reference of the picture, since NCMEC gives out both when people submit.
A wrong order is refused only after NCMEC has given out a number, which then stands for nothing.
"""

from typing import Final
from xml.etree.ElementTree import Comment, Element, SubElement

from config.counts import counted
from worker.drafts.answers import AddressCapture, ReportAnswers
from worker.drafts.case_report import HIT, CasePicture, CaseReport
from worker.drafts.xml_elements import add_filled, add_flag, add_text, to_document, xml_text

ROOT: Final = "livewardenDraft"

NO_NUMBER: Final = 0
"""In the place of the report's number until NCMEC has given one out."""

NOTICE: Final = (
    "DRAFT. Nothing was sent. A person of the platform checks it, submits `report`, and puts the numbers that NCMEC "
    "answers into each `fileDetails`."
)

MOST_STREAMS: Final = 100
"""Streams of a flood that are named, of up to 10,000."""

MAX_NOTES: Final = 10_000
"""Characters of the platform's notes on the stream; 16 kB of JSON at most are on record."""


def cybertipline_draft(case: CaseReport, answers: ReportAnswers) -> str:
    """Returns the draft as an XML document."""
    root = Element(ROOT, {"draft": "true", "case": case.case_id, "drafted": case.drafted})
    root.append(Comment(f" {NOTICE} "))
    if case.drill:
        root.set("drill", "true")
    root.append(report_element(case, answers))
    for picture in case.reported_pictures:
        root.append(file_details(picture, case, answers))
    return to_document(root)


def report_element(case: CaseReport, answers: ReportAnswers) -> Element:
    """Returns `report`."""
    report = Element("report")
    summary = SubElement(report, "incidentSummary")
    add_text(summary, "incidentType", answers.incident_type)
    add_text(summary, "platform", answers.reporter.platform)
    add_text(summary, "escalateToHighPriority", answers.escalate)
    add_text(summary, "incidentDateTime", case.captured_first)
    text = "Broadcast time of the first picture of the live stream on which a rule held, in UTC."
    add_text(summary, "incidentDateTimeDescription", text)
    if answers.stream_urls:
        page = SubElement(SubElement(report, "internetDetails"), "webPageIncident")
        for url in answers.stream_urls:
            add_text(page, "url", url)
        add_text(page, "additionalInfo", "A live stream.")
    report.append(_reporter(answers))
    add_filled(report, _account(case, answers))
    add_text(report, "additionalInfo", _story(case, answers))
    return report


def _reporter(answers: ReportAnswers) -> Element:
    given = answers.reporter
    reporter = Element("reporter")
    person = SubElement(reporter, "reportingPerson")
    add_text(person, "firstName", given.first_name)
    add_text(person, "lastName", given.last_name)
    add_text(person, "email", given.email)
    add_text(reporter, "termsOfService", given.terms_of_service)
    add_text(reporter, "legalURL", given.legal_url)
    return reporter


def _account(case: CaseReport, answers: ReportAnswers) -> Element:
    """Returns the reported user: what people of the platform stated, and nothing that was derived from the stream."""
    given = answers.account
    account = Element("personOrUserReported")
    person = Element("personOrUserReportedPerson")
    add_text(person, "firstName", given.first_name)
    add_text(person, "lastName", given.last_name)
    for phone in given.phones:
        add_text(person, "phone", phone)
    for email in given.emails:
        add_text(person, "email", email)
    add_text(person, "dateOfBirth", None if given.date_of_birth is None else given.date_of_birth.isoformat())
    add_filled(account, person)
    add_text(account, "espIdentifier", given.id)
    add_text(account, "espService", answers.reporter.platform if len(account) else "", most=100)
    add_text(account, "compromisedAccount", given.compromised)
    add_text(account, "screenName", given.screen_name)
    for name in given.display_names:
        add_text(account, "displayName", name)
    for url in given.profile_urls:
        add_text(account, "profileUrl", url)
    for one in given.addresses:
        account.append(_capture(one))
    if len(account):
        for report in case.reported_to("NCMEC"):
            # The schema has numbers here.
            if report.report_id.isascii() and report.report_id.isdecimal():
                add_text(account, "priorCTReports", report.report_id)
    return account


def _capture(given: AddressCapture) -> Element:
    capture = Element("ipCaptureEvent")
    add_text(capture, "ipAddress", given.address)
    add_text(capture, "eventName", given.event)
    add_text(capture, "dateTime", None if given.at is None else given.at.isoformat())
    add_text(capture, "possibleProxy", given.possible_proxy)
    add_text(capture, "port", given.port)
    return capture


def _story(case: CaseReport, answers: ReportAnswers) -> str:
    """Returns the report's `additionalInfo`: the person's words first, then the facts on record."""
    lines = ["A DRILL: nothing of it is real."] if case.drill else []
    lines += [answers.description] if answers.description else []
    lines.append(f"Live stream {case.stream_id}, case {case.case_id}.")
    if len(case.streams) > 1:
        lines.append(f"One hash on {len(case.streams)} streams: {', '.join(case.streams[:MOST_STREAMS])}.")
    for one in case.reportable:
        judged = one.judgements[-1]
        lines.append(
            f"Incident {one.incident_id}: {counted(one.hits, 'picture')} met rule {one.rule} from {one.captured_first} "
            f"to {one.captured_last}; a person decided {judged.outcome} at {judged.at}."
        )
        lines += [f"Match: {match}." for match in one.matches]
        if one.degraded:
            lines.append(f"These checks did not work at the time: {', '.join(one.degraded)}.")
    if notes := case.described_metadata():
        cut = notes if len(notes) <= MAX_NOTES else f"{notes[:MAX_NOTES]}…"
        lines.append(f"Notes of the platform on the stream, partly the broadcaster's own words: {cut}")
    return "\n".join(lines)


def file_details(picture: CasePicture, case: CaseReport, answers: ReportAnswers) -> Element:
    """Returns `fileDetails` of a picture.

    `fileViewedByEsp` is what the audit log says: true if a person saw this very picture clear. A classification is only
    on such a picture on which a rule held, since it is a person's judgement of what they saw: of the answers, else of
    the decision.
    """
    seen = case.seen_clear(picture.ref)
    hit = picture.kind == HIT
    details = Element("fileDetails")
    add_text(details, "reportId", NO_NUMBER)
    add_text(details, "fileId", picture.ref)
    add_text(details, "originalFileName", f"{picture.ref}.jpg")
    add_text(details, "uploadedToEspTimestamp", picture.captured)
    add_text(details, "fileViewedByEsp", seen)
    add_text(details, "publiclyAvailable", answers.publicly_available)
    add_text(details, "fileRelevance", "Reported" if hit else "Supplemental Reported")
    add_flag(SubElement(details, "fileAnnotations"), "liveStreaming")
    classification = answers.classification or case.classification_of(picture) or None
    add_text(details, "industryClassification", classification if seen and hit else None)
    # Of the JPEG that is uploaded; the perceptual hash of the same picture is no digest of a file.
    add_text(details, "originalFileHash", picture.picture_sha256, hashType="SHA256")
    if picture.pdq:
        pair = SubElement(SubElement(details, "details"), "nameValuePair", {"type": "HASH"})
        add_text(pair, "name", "PDQ")
        add_text(pair, "value", picture.pdq)
    add_text(details, "additionalInfo", _about(picture))
    return details


def _about(picture: CasePicture) -> str:
    said = ["A picture sampled from a live stream, not a file that a user uploaded."]
    if picture.kind != HIT:
        said.append("It shows what came before or after.")
    if picture.rule:
        said.append(xml_text(f"Rule: {picture.rule}."))
    if picture.distance is not None:
        said.append(f"Nearest match with a hash list: distance {picture.distance} of 256.")
    return " ".join(said)
