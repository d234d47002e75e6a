"""Tables of the days' totals."""

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from worker.cli.screen import Screen
from worker.streams.coverage import KINDS
from worker.streams.totals import DayTotals


def print_totals(found: Sequence[DayTotals]) -> None:
    """Each day in hours, then what was raised and decided in all of them."""
    screen = Screen()
    days = Table("date", box=None, pad_edge=False)
    for heading in ("streams", "hours", "moderated", *KINDS, "raised", "decided"):
        days.add_column(heading, justify="right")
    for one in found:
        days.add_row(
            one.day.isoformat(),
            f"{one.streams:,}",
            _hours(one.seconds.get("elapsed", 0.0)),
            _hours(one.seconds.get("moderated", 0.0)),
            *(_hours(one.kind_seconds(kind)) for kind in KINDS),
            f"{_count(one, 'raised'):,}",
            f"{_count(one, 'decided'):,}",
        )
    screen.print(days)
    for what, headings in (("raised", ("rule", "severity")), ("decided", ("rule", "severity", "outcome"))):
        summed: Counter[tuple[str, ...]] = Counter()
        for one in found:
            for row in one.counts[what]:
                summed[tuple(str(row[heading]) for heading in headings)] += int(row["count"])
        if summed:
            table = Table(*headings, box=None, pad_edge=False)
            table.add_column(what, justify="right")
            for names, count in summed.most_common():
                table.add_row(*names, f"{count:,}")
            screen.print()
            screen.print(table)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f}"


def _count(one: DayTotals, what: str) -> int:
    return sum(int(row["count"]) for row in one.counts[what])
