"""`livewarden statistics`: seconds watched, incidents raised and decisions made on each day."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from worker.cli.json_lines import print_json
from worker.cli.options import Json
from worker.ingest.coverage.ledger import KINDS
from worker.ingest.coverage.totals import COUNTED, KEPT_DAYS, DayTotals, totals
from worker.ingest.registry.registration import Purpose
from worker.runtime.environment import settings_of
from worker.store.redis_client import connect


def statistics(
    days: Annotated[
        int, typer.Option(min=1, max=KEPT_DAYS, help=f"Number of days, with today; {KEPT_DAYS} are kept.")
    ] = 7,
    purpose: Annotated[str, typer.Option(help="live, drill or canary.")] = "live",
    as_json: Json = False,
) -> None:
    """Show time watched, incidents raised and decisions of each day (UTC), also for streams whose records are gone."""
    if purpose not in tuple(Purpose):  # Python 3.11 has no "str in StrEnum"
        raise typer.BadParameter(f"{purpose!r} is none of {', '.join(Purpose)}", param_hint="--purpose")
    settings = settings_of(os.environ)
    found = [one for one in totals(connect(settings.redis_url.get_secret_value()), days=days) if one.purpose == purpose]
    if as_json:
        print_json(*(one.to_data() for one in found))
        return
    if not found:
        typer.echo(f"Nothing was counted for {purpose} streams in {days} days.")
        return
    _print_totals(found)


def _print_totals(found: Sequence[DayTotals]) -> None:
    """Prints each day in hours, then the numbers of raised and decided incidents of all days."""
    from worker.cli.screen import Screen
    from worker.tables.listing import Listing, fixed, ids, numbers

    screen = Screen()
    days = Listing(
        fixed("date"),
        numbers("streams"),
        numbers("hours"),
        numbers("moderated"),
        *(numbers(kind) for kind in KINDS),
        numbers("raised"),
        numbers("decided"),
        left_out_first=("streams", "decided", "skipped", "failed", "missed"),
    )
    for one in found:
        days.add(
            one.day.isoformat(),
            f"{one.streams:,}",
            _hours(one.seconds.get("elapsed", 0.0)),
            _hours(one.seconds.get("moderated", 0.0)),
            *(_hours(one.kind_seconds(kind)) for kind in KINDS),
            f"{_count(one, 'raised'):,}",
            f"{_count(one, 'decided'):,}",
        )
    screen.print(days)
    for what, headings in COUNTED.items():
        summed: Counter[tuple[str, ...]] = Counter()
        for one in found:
            for row in one.counts[what]:
                summed[tuple(str(row[heading]) for heading in headings)] += int(row["count"])
        if summed:
            table = Listing(*map(ids, headings), numbers(what.removesuffix("-list")))
            for names, count in summed.most_common():
                table.add(*names, f"{count:,}")
            screen.print()
            screen.print(table)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f}"


def _count(one: DayTotals, what: str) -> int:
    return sum(int(row["count"]) for row in one.counts[what])
