"""`livewarden report draft|lint|package`: drafts of reports, what they lack, and the sealed package of a case."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json, acting_person
from worker.cli.queue_hold import By, queue_redis, queue_settings
from worker.drafts.forms import ReportForm

if TYPE_CHECKING:
    from redis import Redis

    from config.settings import Settings
    from worker.audit.search import AuditSearch
    from worker.drafts.case_report import CaseReport

app = typer.Typer()

BLOCKED = 1
"""Exit status of a lint that found something without which there is no draft."""

NOT_ALL = 3
"""Exit status of a package that lacks pictures, or parts of the audit log."""

WAITING = 4
"""Exit status of an agreement that is the first one: no package was written."""

CaseId = Annotated[
    str, typer.Argument(metavar="CASE", help="data.case_id of the events of its incidents, or one of these.")
]
Answers = Annotated[
    Path | None,
    typer.Option("--answers", metavar="FILE.yaml", help="What only you know: reporter, account, priority and so on."),
]


@app.command()
def draft(
    case: CaseId,
    form: Annotated[ReportForm, typer.Option("--form", help="The form of the report.")],
    answers: Answers = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where it is written; by default standard output.")
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Although something is missing that the report cannot do without.")
    ] = False,
) -> None:
    """Draft a report of a case. Nothing is sent: a person checks it, and reports.

    A picture counts as viewed only if the audit log says that a person saw it clear. A case that was reported to NCMEC
    is not drafted for the NCA. Needs a user of Redis who may read the audit log, such as operator.
    """
    from worker.drafts.answers import read_answers
    from worker.drafts.completeness import lacks
    from worker.drafts.drafting import make_draft
    from worker.logs.printable import printable
    from worker.store.local_file import expect_private, write_private_file

    given = read_answers(answers)
    if out is not None:
        expect_private(out)
    found = gathered(queue_redis(), queue_settings(), case)
    text = make_draft(form, found, given, incomplete=incomplete)
    for one in lacks(form, found, given):
        typer.echo(printable(f"{'missing' if one.blocks else 'weak'}: {one.field}: {one.text}"), err=True)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_private_file(out, text.encode())
    typer.echo(f"{out}: a draft; nothing was sent")


@app.command()
def lint(
    case: CaseId,
    form: Annotated[ReportForm | None, typer.Option("--form", help="Only this form; by default all.")] = None,
    answers: Answers = None,
    as_json: Json = False,
) -> None:
    """Name what a report of a case lacks. Status 1: something without which there is no draft."""
    from worker.drafts.answers import read_answers
    from worker.drafts.completeness import lacks
    from worker.logs.printable import printable

    given = read_answers(answers)
    found = gathered(queue_redis(), queue_settings(), case)
    blocked = False
    for each in ReportForm if form is None else (form,):
        lacking = lacks(each, found, given)
        blocked = blocked or any(one.blocks for one in lacking)
        if as_json:
            print_json(*(one.described(each) for one in lacking))
            continue
        if not lacking:
            typer.echo(f"{each}: nothing is missing")
        for one in lacking:
            typer.echo(printable(f"{each}: {'missing' if one.blocks else 'weak'}: {one.field}: {one.text}"))
    if blocked:
        raise typer.Exit(BLOCKED)


@app.command()
def package(
    case: CaseId,
    to: Annotated[str, typer.Option("--to", metavar="age1…", help="Public key of the recipient, who alone opens it.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.zip.age", help="Where the sealed package is written.")],
    by: By,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", help="Your role, where there is no roster: moderator, lead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Agree that a case is packaged for a recipient; the second person who does gets the sealed package.

    Two people run the same command within a day, one of them a lead. Status 4: another person has yet to agree, and
    nothing was written. Status 3: something is missing in it, which is named. LIVEWARDEN_EVIDENCE_IDENTITY names
    the file of the second person's private key.
    """
    from worker.drafts.packaging import Packaging
    from worker.evidence.reading import EvidenceReader
    from worker.evidence.sealing import Identity

    settings, redis = queue_settings(), queue_redis()
    actor = acting_person(redis, by, role)
    packaging = Packaging(
        redis=redis,
        audit=audit_search(redis, settings),
        reader=EvidenceReader.of(redis, settings),
        identity=lambda: Identity.of(settings),
        deployment=settings.deployment,
    )
    done = packaging.package(case, actor, to=to, out=out)
    agreed = [one.described() for one in done.agreements]
    record = {"case_id": done.case_id, "written": done.package is not None, "agreements": agreed}
    people = ", ".join(str(one["by"]) for one in agreed)
    if done.package is None:
        line = f"{done.case_id}: {people} agrees; a second person runs the same command within a day, one a lead"
        print_result(record, line, as_json=as_json)
        raise typer.Exit(WAITING)
    record |= {"out": str(out), "pictures": done.package.pictures, "missing": list(done.missing)}
    record |= {"manifest_sha256": done.package.manifest_sha256}
    line = f"{out}: {done.package.pictures} pictures, sealed to {to}; {people} agreed; nothing was sent"
    print_result(record, line, as_json=as_json)
    for text in done.missing:
        typer.echo(f"missing: {text}", err=True)
    if done.missing:
        raise typer.Exit(NOT_ALL)


def gathered(redis: "Redis", settings: "Settings", case: str) -> "CaseReport":
    """The case, with what the audit log has of it."""
    from worker.drafts.gathering import gather

    return gather(redis, case, audit=audit_search(redis, settings), deployment=settings.deployment)


def audit_search(redis: "Redis", settings: "Settings") -> "AuditSearch":
    """The audit log. Sealed parts of it are opened with the person's own key."""
    from worker.audit.search import AuditSearch
    from worker.cli.evidence_keys import audit_opener
    from worker.store.object_store import ObjectStore

    return AuditSearch(redis, ObjectStore(settings.store_url), opened=audit_opener(settings))
