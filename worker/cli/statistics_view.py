"""Tables of the days' totals."""

from collections import Counter
from collections.abc import Sequence

from worker.cli.screen import Screen
from worker.ingest.coverage.ledger import KINDS
from worker.ingest.coverage.totals import COUNTED, DayTotals
from worker.tables.listing import Listing, fixed, ids, numbers


def print_totals(found: Sequence[DayTotals]) -> None:
    """Each day in hours, then what was raised and decided in all of them."""
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
            table = Listing(
                *(ids(heading) for heading in headings),
                numbers(what.removesuffix("-list")),
            )
            for names, count in summed.most_common():
                table.add(*names, f"{count:,}")
            screen.print()
            screen.print(table)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f}"


def _count(one: DayTotals, what: str) -> int:
    return sum(int(row["count"]) for row in one.counts[what])
