"""`livewarden report`: reports of cases to authorities, as people record and draft them, and the report on a period."""

from typing import Annotated

import typer

from worker.cli.evidence_keeping import Role
from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json, OwnName, acting_person
from worker.cli.queue_hold import queue_redis, queue_settings
from worker.cli.report_drafts import CaseId
from worker.cli.report_drafts import app as drafts
from worker.cli.report_summary import Form, From, OfPurpose, Plots, ReportFormat, To, print_report

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    help="Reports of cases to authorities: Livewarden reports nothing by itself, people report, and record it here. "
    "With --from and --to: the report on a period.",
)

app.registered_commands += drafts.registered_commands


@app.callback()
def _report(
    context: typer.Context,
    first: From = None,
    last: To = None,
    form: Form = ReportFormat.MD,
    purpose: OfPurpose = "live",
    plots: Plots = None,
) -> None:
    """Makes `livewarden report --from … --to …` the same as `livewarden report summary --from … --to …`."""
    if context.invoked_subcommand is None:
        print_report(first, last, form, purpose, plots)
    elif first is not None or last is not None:
        raise typer.BadParameter(f"goes behind {context.invoked_subcommand}", param_hint="--from, --to")


@app.command()
def summary(
    first: From = None,
    last: To = None,
    form: Form = ReportFormat.MD,
    purpose: OfPurpose = "live",
    plots: Plots = None,
) -> None:
    """Print the report on a period: coverage, escalations, decisions, accuracy, times, backlog and actions, and what
    cannot be known. The same as `livewarden report --from … --to …`.

    No figure is about a person.
    """
    print_report(first, last, form, purpose, plots)


@app.command()
def record(
    case: CaseId,
    authority: Annotated[str, typer.Option("--authority", metavar="NAME", help="Such as NCMEC or NCA.")],
    report_id: Annotated[str, typer.Option("--id", metavar="ID", help="The authority's reference of the report.")],
    by: OwnName = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Record that a case was reported: the terms begin for which the policy keeps its evidence and the reference.

    Recording the same report again changes nothing. A case may have several reports.
    """
    from config.policy.policy import load_policy
    from worker.events.cloudevent import rfc3339
    from worker.retention.reports import record_report

    redis = queue_redis()
    outcome = record_report(
        redis,
        case,
        acting_person(redis, by, role),
        authority=authority,
        report_id=report_id,
        retention=load_policy(queue_settings().policy_file).retention,
    )
    kept = {
        "content_until": rfc3339(outcome.content_until_ms),
        "reference_until": rfc3339(outcome.reference_until_ms),
    }
    described = outcome.report.described()
    state = f"was recorded {described['recorded']}" if outcome.again else "is recorded"
    line = (
        f"{described['case_id']}: report {described['authority']} {described['id']} {state}: evidence is kept until "
        f"{kept['content_until']}, the reference until {kept['reference_until']}"
    )
    print_result(described | kept | {"again": outcome.again}, line, as_json=as_json)


@app.command(name="list")
def list_reports(case: CaseId, as_json: Json = False) -> None:
    """List the reports of a case."""
    from worker.logs.printable import printable
    from worker.retention.reports import find_reported, reports_of

    redis = queue_redis()
    case_id = find_reported(redis, case)
    records = [report.described() for report in reports_of(redis, case_id)]
    if as_json:
        print_json(*records)
        return
    if not records:
        typer.echo(f"{case_id}: no report is recorded")
    for one in records:
        typer.echo(printable(f"{one['recorded']}  {one['authority']} {one['id']}, by {one['by']}"))
