"""The period of a report: whole days in UTC, by Redis's clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Self

from worker.errors import InsightError
from worker.ingest.coverage.totals import KEPT_DAYS

_ONE: Final = timedelta(days=1)
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Period:
    """Days from `first` to `last`, both included."""

    first: date
    last: date

    @classmethod
    def parse(cls, first: str, last: str) -> Self:
        """Parses two dates as `2026-11-27`.

        Raises:
            InsightError: one is no date, the second is before the first, or there are more days than totals are kept.
        """
        period = cls(first=_date("--from", first), last=_date("--to", last))
        if period.last < period.first:
            raise InsightError(f"--to: {last}: expected a day not before --from, {first}")
        if period.length > KEPT_DAYS:
            raise InsightError(f"--from, --to: {period.length:,} days: expected at most {KEPT_DAYS}, as are kept")
        return period

    @property
    def length(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1

    @property
    def since_ms(self) -> int:
        """The first millisecond (>=)."""
        return (self.first - _EPOCH).days * 86_400_000

    @property
    def until_ms(self) -> int:
        """The end (<), in milliseconds."""
        return ((self.last - _EPOCH).days + 1) * 86_400_000

    def days(self) -> Iterator[date]:
        """All days, in order."""
        return (self.first + number * _ONE for number in range(self.length))

    def contains(self, at_ms: int) -> bool:
        """Returns whether that time is in it."""
        return self.since_ms <= at_ms < self.until_ms


def day_of(at_ms: int) -> date:
    """The day (UTC) of a time of Redis's clock."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()


def spans(days: Iterable[date]) -> str:
    """Names days in few words: `2026-11-01 to 2026-11-03, 2026-11-09`."""
    runs: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if runs and runs[-1][1] + _ONE == day:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return ", ".join(f"{begin}" if begin == end else f"{begin} to {end}" for begin, end in runs)


def _date(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InsightError(f"{option}: {text[:40]!r}: expected a date, as 2026-11-27") from None
