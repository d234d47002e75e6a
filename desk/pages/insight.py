"""Insight: the report on a period, with what it cannot know said first; no figure is about a person."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from desk.accounts.accounts import SignedIn
from desk.errors import BusyError, PendingReportError
from desk.insight.drawn_tables import drawn
from desk.insight.periods import NAMED, named_period
from desk.web.access import readers
from desk.web.rendering import render
from desk.web.services import services_of
from worker.errors import InsightError
from worker.ingest.registry.registration import Purpose
from worker.insight.formats import duration, to_csv, to_json, to_markdown
from worker.insight.period import Period, day_of
from worker.insight.plots import DARK, LIGHT, coverage_plot, times_plot
from worker.insight.summary import PeriodReport
from worker.store.redis_client import now_ms, store_errors

router = APIRouter()
Reader = Annotated[SignedIn, Depends(readers)]

FORMATS: Final = {
    "md": (to_markdown, "text/markdown"),
    "json": (to_json, "application/json"),
    "csv": (to_csv, "text/csv"),
}
"""Downloads, by the ending of their names."""
PLOTS: Final = ("coverage", "times")
PENDING, UNPROCESSABLE, BUSY = 202, 422, 503


@dataclass(frozen=True, kw_only=True)
class InsightChoice:
    """Period and purpose that a person asks for."""

    period: Period
    named: str
    """Name of the period; empty: two days were given."""
    purpose: str
    refused: bool = False
    """The days that were given are no period; another one is shown."""


def choice_of(
    request: Request, period: str = "", first: str = "", last: str = "", purpose: str = Purpose.LIVE
) -> InsightChoice:
    """Reads what a person asks for: a dependency of these routes. What it cannot read is replaced by what is shown
    where nothing is asked for."""
    with store_errors():
        today = day_of(now_ms(services_of(request).redis))
    of = purpose if purpose in tuple(Purpose) else str(Purpose.LIVE)
    refused = False
    if first or last:
        try:
            return InsightChoice(period=Period.parse(first, last), named="", purpose=of)
        except InsightError:
            refused = True
    name = period if period in NAMED else NAMED[0]
    found = named_period(name, today)
    assert found is not None
    return InsightChoice(period=found, named=name, purpose=of, refused=refused)


Chosen = Annotated[InsightChoice, Depends(choice_of)]


@router.get("/insight")
def insight_page(request: Request, _signed_in: Reader, choice: Chosen) -> Response:
    """Shows the report on a period."""
    report, status, notice = None, UNPROCESSABLE if choice.refused else 200, "insight.refused" if choice.refused else ""
    try:
        report = services_of(request).insight.report(choice.period, choice.purpose)
    except PendingReportError:
        status, notice = PENDING, "insight.pending"
    except BusyError:
        status, notice = BUSY, "insight.busy"
    return render(
        request,
        "insight.html",
        status,
        choice=choice,
        query=_query(choice),
        named=NAMED,
        purposes=tuple(Purpose),
        notice=notice,
        report=report,
        figures=() if report is None else figures_of(report),
        sections=() if report is None else [(one, [drawn(table) for table in one.tables]) for one in report.sections],
    )


@router.get("/insight/report.{ending}")
def download(request: Request, _signed_in: Reader, choice: Chosen, ending: str) -> Response:
    """Hands the report out as a file, with the figures of the page."""
    if ending not in FORMATS:
        raise HTTPException(404)
    form, media_type = FORMATS[ending]
    text = form(_made(request, choice))
    name = f"livewarden-{choice.purpose}-{choice.period.first}-{choice.period.last}.{ending}"
    return Response(text, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


@router.get("/insight/plots/{name}.svg")
def plot(request: Request, _signed_in: Reader, choice: Chosen, name: str, look: str = "light") -> Response:
    """Draws a plot of the report, for a page in light or dark mode; its table is beside it."""
    if name not in PLOTS:
        raise HTTPException(404)
    report = _made(request, choice)
    colours = DARK if look == "dark" else LIGHT
    drawing = (
        coverage_plot(report.period, report.days, colours)
        if name == "coverage"
        else times_plot(report.period, report.times, colours)
    )
    return Response(drawing, media_type="image/svg+xml")


def figures_of(report: PeriodReport) -> tuple[tuple[str, str], ...]:
    """The figures at the head of the page, by their texts' keys."""
    tables = {table.name: table.records() for section in report.sections for table in section.tables}
    total = tables["coverage_total"][0]
    share = total["moderated_share"]
    backlog = sum(int(one["waiting"] or 0) for one in tables["backlog"] if one["severity"] != "all")
    return (
        ("stream_days", f"{total['stream_days']:,}"),
        ("on_air", duration(float(total["elapsed_seconds"] or 0))),
        ("moderated", "–" if share is None else f"{share:.2%}"),
        ("raised", f"{sum(int(one['count'] or 0) for one in tables['raised']):,}"),
        ("decided", f"{sum(int(one['count'] or 0) for one in tables['decided']):,}"),
        ("waiting", f"{backlog:,}"),
    )


def _made(request: Request, choice: InsightChoice) -> PeriodReport:
    """The report.

    Raises:
        HTTPException: it is not made yet; or the days that were given are no period.
    """
    if choice.refused:
        raise HTTPException(UNPROCESSABLE)
    try:
        return services_of(request).insight.report(choice.period, choice.purpose)
    except (PendingReportError, BusyError):
        raise HTTPException(BUSY) from None


def _query(choice: InsightChoice) -> str:
    """The same choice for links: days and not a name, so that a page kept open over midnight has one report."""
    return f"first={choice.period.first}&last={choice.period.last}&purpose={choice.purpose}"
