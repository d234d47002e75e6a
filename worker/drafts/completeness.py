"""The lint of a case before it is reported: what is missing, in plain words.

Of the 21.3 million reports that NCMEC had in 2025 many named nobody and no place: it calls a report *actionable* if it
names a person, a place and a time, and says what was seen and whether anybody viewed it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from config.counts import counted
from worker.drafts.answers import ReportAnswers
from worker.drafts.case_report import HIT, CaseReport
from worker.drafts.forms import ReportForm


@dataclass(frozen=True, kw_only=True)
class Lack:
    """Something that a report lacks."""

    field: str
    """Name of a field of the answers, as `account.id`; or `case`, `decision`, `pictures`, `audit`."""
    text: str
    blocks: bool = False
    """No draft without it. Others make a report weaker."""

    def described(self, form: ReportForm) -> dict[str, str | bool]:
        """Returns it as `--json` prints it."""
        return {"form": str(form), "field": self.field, "text": self.text, "blocks": self.blocks}


def lacks(form: ReportForm, case: CaseReport, answers: ReportAnswers) -> list[Lack]:
    """Returns what a report in this form lacks, with what blocks it first."""
    found = [*_of_case(case)]
    match form:
        case ReportForm.CYBERTIPLINE:
            found += [*_of_cybertipline(case, answers), *_of_account(answers), *_of_pictures(case)]
        case ReportForm.NCA:
            found += [*_of_nca(case, answers), *_of_account(answers), *_of_pictures(case)]
        case ReportForm.DSA:
            found += [*_of_dsa(answers)]
    return sorted(found, key=lambda one: not one.blocks)


def _of_case(case: CaseReport) -> Iterator[Lack]:
    if case.drill:
        yield Lack(field="case", text="It is a drill: nothing of it is real, and it must not be reported.", blocks=True)
    if not case.reportable:
        text = "Nobody has decided that it is, or may be, child sexual abuse, or that a child is at risk."
        yield Lack(field="decision", text=text, blocks=True)
    if case.unreadable_reports:
        text = "A recorded report of it cannot be read: nobody can say to whom it went. Ask a lead to repair it."
        yield Lack(field="case", text=text, blocks=True)
    if undecided := sum(not one.outcome for one in case.incidents):
        are, their = ("is", "its") if undecided == 1 else ("are", "their")
        text = f"{counted(undecided, 'incident')} of it {are} undecided: {their} pictures are left out."
        yield Lack(field="decision", text=text)
    if case.unrecorded:
        text = f"Of {counted(len(case.unrecorded), 'incident')} of it no record is left: {', '.join(case.unrecorded)}."
        yield Lack(field="case", text=text)


def _of_cybertipline(case: CaseReport, answers: ReportAnswers) -> Iterator[Lack]:
    for report in case.reported_to("NCMEC"):
        text = f"It was reported to NCMEC already, as {report.report_id}: send this as a supplement, or not at all."
        yield Lack(field="case", text=text)
    if answers.incident_type is None:
        text = "The type of incident is a person's choice, in the words of NCMEC's schema."
        yield Lack(field="incident_type", text=text, blocks=True)
    reporter = answers.reporter
    if not (reporter.first_name and reporter.last_name and reporter.email):
        text = "NCMEC must know who reports, and whom to ask: first and last name, and email."
        yield Lack(field="reporter", text=text, blocks=True)
    if case.reportable and not case.captured_first:
        yield Lack(field="case", text="The time of the incident is not on record.", blocks=True)
    if not answers.escalate and case.outcome == "child_at_risk":
        text = "A child is at risk: say why it is urgent, or NCMEC reads it in its turn."
        yield Lack(field="escalate", text=text)
    if answers.classification is None and not any(one.classification for one in case.reportable):
        text = "No classification A1, A2, B1 or B2: what NCMEC puts in order by it waits behind what has one."
        yield Lack(field="classification", text=text)


def _of_nca(case: CaseReport, answers: ReportAnswers) -> Iterator[Lack]:
    for report in case.reported_to("NCMEC"):
        text = f"It was reported to NCMEC, as {report.report_id}: such a case is not reported to the NCA again."
        yield Lack(field="case", text=text, blocks=True)
    for report in case.reported_to("NCA"):
        yield Lack(field="case", text=f"It was reported to the NCA already, as {report.report_id}.")
    if answers.nca_priority is None:
        yield Lack(field="nca_priority", text="P1 or P2 is a person's choice, and never guessed.", blocks=True)
    if not answers.uk_link:
        text = "The law asks for the link to the UK: say what it is, such as the country of the account's addresses."
        yield Lack(field="uk_link", text=text, blocks=True)
    if not (answers.reporter.last_name and answers.reporter.email):
        text = "The NCA must know who reports, and whom to ask: name and email."
        yield Lack(field="reporter", text=text, blocks=True)


def _of_account(answers: ReportAnswers) -> Iterator[Lack]:
    """Yields what a report lacks that leads to a person and a place."""
    account = answers.account
    if not (account.id or account.screen_name or account.emails or account.phones):
        text = "Nothing names the account that broadcast: its ID, screen name, email or phone."
        yield Lack(field="account", text=text, blocks=True)
    elif not (account.emails or account.phones):
        yield Lack(field="account.emails", text="No email and no phone of the account: a name alone leads to nobody.")
    if not account.addresses:
        text = "No IP address of the account: without one nobody can say in which country it happened."
        yield Lack(field="account.addresses", text=text)
    for number, one in enumerate(account.addresses):
        if one.at is None:
            text = f"The IP address {one.address} has no time: an address without its exact time names nobody."
            yield Lack(field=f"account.addresses.{number}.at", text=text)
    if account.addresses and not any(one.event == "Upload" for one in account.addresses):
        text = "No IP address is that of the broadcast itself (event Upload)."
        yield Lack(field="account.addresses", text=text)
    if not answers.stream_urls:
        yield Lack(field="stream_urls", text="No address (URL) of the stream or its page.")
    if not answers.description:
        text = "Nobody has described what happened: a reader without the pictures learns nothing."
        yield Lack(field="description", text=text)


def _of_pictures(case: CaseReport) -> Iterator[Lack]:
    pictures = case.reported_pictures
    if not pictures:
        if not case.reportable:
            return  # what is kept of it is not asked for before somebody has decided
        yield Lack(field="pictures", text="No picture of it is kept: a hash or a name alone is seldom followed up.")
        return
    hits = [one for one in pictures if one.kind == HIT]
    if not any(case.seen_clear(one.ref) for one in hits):
        text = (
            f"Nobody saw one of its {counted(len(hits), 'picture')} clear, by the audit log: police may need a warrant "
            "to open what no person of the platform has viewed. Known material need not be viewed for this."
        )
        yield Lack(field="pictures", text=text)
    if case.unopened_segments:
        parts = counted(case.unopened_segments, "part")
        text = f"{parts} of the audit log could not be opened: pictures that were seen may be reported as not viewed."
        yield Lack(field="audit", text=text)


def _of_dsa(answers: ReportAnswers) -> Iterator[Lack]:
    dsa = answers.dsa
    if not (dsa.visibility or dsa.provision or dsa.account):
        text = "No restriction: say what was imposed on visibility, provision or account, in the words of the database."
        yield Lack(field="dsa", text=text, blocks=True)
    for name, value, text in (
        ("applied", dsa.applied, "No day from which on the restriction applies."),
        ("ground", dsa.ground, "No ground: illegal content, or content against the terms."),
        ("legal_ground", dsa.legal_ground, "No law, and no clause of the terms, against which it is."),
        (
            "explanation",
            dsa.explanation,
            "No explanation why the content falls under it. It is published: leave out personal data.",
        ),
        (
            "territorial_scope",
            dsa.territorial_scope,
            "No countries in which the restriction applies, as two letters each.",
        ),
    ):
        if not value:
            yield Lack(field=f"dsa.{name}", text=text, blocks=True)
