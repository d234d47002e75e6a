"""`livewarden report --from … --to …`: the report on a period, for those who publish it."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from worker.insight.summary import PeriodReport


class ReportFormat(StrEnum):
    """The form of a report."""

    MD = "md"
    JSON = "json"
    CSV = "csv"


From = Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day (UTC), as 2026-11-01.")]
To = Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last day (UTC); it is included.")]
Form = Annotated[ReportFormat, typer.Option("--format", help="Markdown for people, JSON or CSV for programs.")]
OfPurpose = Annotated[str, typer.Option("--purpose", help="live, drill or canary.")]
Plots = Annotated[
    Path | None,
    typer.Option("--plots", metavar="FOLDER", help="Also write coverage.svg and times.svg into this folder."),
]


def print_report(first: str | None, last: str | None, form: ReportFormat, purpose: str, plots: Path | None) -> None:
    """Prints a report on standard output; writes its plots before, so that a folder that refuses them is seen.

    Raises:
        InsightError: the period is malformed.
        StoreError: Redis failed.
        LocalFileError: a plot cannot be written.
    """
    from worker.cli.evidence_keys import audit_opener
    from worker.ingest.registry.registration import Purpose
    from worker.insight.formats import to_csv, to_json, to_markdown
    from worker.insight.period import Period
    from worker.insight.summary import period_report
    from worker.runtime.environment import settings_of
    from worker.store.object_store import ObjectStore
    from worker.store.redis_client import connect

    if first is None or last is None:
        raise typer.BadParameter("a report needs both", param_hint="--from, --to")
    if purpose not in tuple(Purpose):  # Python 3.11 has no "str in StrEnum"
        raise typer.BadParameter(f"{purpose!r} is none of {', '.join(Purpose)}", param_hint="--purpose")
    period, settings = Period.parse(first, last), settings_of(os.environ)
    opened = audit_opener(settings)
    with connect(settings.redis_url.get_secret_value()) as redis:
        found = period_report(redis, ObjectStore(settings.store_url), period, purpose=purpose, opened=opened)
    if plots is not None:
        _write_plots(found, plots)
    forms = {ReportFormat.MD: to_markdown, ReportFormat.JSON: to_json, ReportFormat.CSV: to_csv}
    typer.echo(forms[form](found), nl=False)


def _write_plots(found: "PeriodReport", folder: Path) -> None:
    from worker.errors import LocalFileError
    from worker.insight.plots import coverage_plot, times_plot
    from worker.store.local_file import write_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalFileError(f"{folder}: cannot be made: {error.strerror}") from error
    write_file(folder / "coverage.svg", coverage_plot(found.period, found.days).encode())
    write_file(folder / "times.svg", times_plot(found.period, found.times).encode())
