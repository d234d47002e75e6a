"""Tables of a report as a page shows them: the same figures, and beside some of them a drawing in per cent."""

from dataclasses import dataclass
from typing import Final

from worker.insight.formats import in_words
from worker.insight.sections import ReportTable, Unit, Value

INTERVAL: Final = ("confirmed_share", "confirmed_low", "confirmed_high")
"""Columns of a share and its interval, which are drawn together."""
BARS: Final = {"coverage_reasons": "seconds", "raised": "count", "decided": "count", "raised_list": "count"}
"""Tables of which one column is drawn as bars, by their names."""
MOST_OPEN: Final = 20
"""Rows of a table that is shown open; longer ones are folded."""


@dataclass(frozen=True, kw_only=True)
class DrawnRow:
    """A row, in words, and what is drawn of it."""

    cells: tuple[str, ...]
    interval: tuple[float, float, float] | None = None
    """Share, from and to, each in per cent; None: nothing is drawn."""
    bar: float | None = None
    """Per cent of the longest one."""


@dataclass(frozen=True, kw_only=True)
class DrawnTable:
    """A table."""

    name: str
    title: str
    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    """By column: its values are numbers."""
    rows: tuple[DrawnRow, ...]
    drawn: str
    """`interval`, `bar`, or empty."""

    @property
    def folded(self) -> bool:
        """Returns whether it is too long to be shown open."""
        return len(self.rows) > MOST_OPEN


def drawn(table: ReportTable) -> DrawnTable:
    """Returns a table for a page."""
    names = [column.name for column in table.columns]
    kind = "interval" if set(INTERVAL) <= set(names) else "bar" if table.name in BARS else ""
    longest = 0.0
    if kind == "bar":
        at = names.index(BARS[table.name])
        longest = max((_number(row[at]) for row in table.rows), default=0.0)
    rows = []
    for row in table.rows:
        by_name = dict(zip(names, row, strict=True))
        rows.append(
            DrawnRow(
                cells=tuple(in_words(value, column.unit) for value, column in zip(row, table.columns, strict=True)),
                interval=_interval(*(by_name[name] for name in INTERVAL)) if kind == "interval" else None,
                bar=_percent(_number(by_name[BARS[table.name]]) / longest) if kind == "bar" and longest else None,
            )
        )
    return DrawnTable(
        name=table.name,
        title=table.title,
        headings=tuple(column.heading for column in table.columns),
        numeric=tuple(column.unit is not Unit.TEXT for column in table.columns),
        rows=tuple(rows),
        drawn=kind,
    )


def _interval(share: Value, low: Value, high: Value) -> tuple[float, float, float] | None:
    if share is None or low is None or high is None:
        return None
    return _percent(_number(share)), _percent(_number(low)), _percent(_number(high))


def _percent(share: float) -> float:
    return round(min(1.0, max(0.0, share)) * 100, 1)


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
