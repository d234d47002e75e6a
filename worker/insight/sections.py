"""The form of a report: sections of tables, from which each format is made, so that all have the same figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Value = str | int | float | None
"""None: unknown, or without meaning, as a share of nothing."""


class Unit(StrEnum):
    """The unit of a column."""

    TEXT = "text"
    COUNT = "count"
    SECONDS = "seconds"
    SHARE = "share"
    """In [0, 1]."""
    NUMBER = "number"


@dataclass(frozen=True, kw_only=True)
class ReportColumn:
    """A column of a table."""

    name: str
    """In JSON and CSV."""
    heading: str
    unit: Unit = Unit.TEXT


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """A table; a row has a value for each column."""

    name: str
    """In JSON and CSV, unique in a report."""
    title: str
    columns: tuple[ReportColumn, ...]
    rows: tuple[tuple[Value, ...], ...]

    def records(self) -> list[dict[str, Value]]:
        """The rows as objects, by the names of the columns."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class ReportSection:
    """A section of a report."""

    name: str
    title: str
    answers: Mapping[str, str]
    """A framework, such as `DSA` -> in one line the question that this section answers."""
    notes: tuple[str, ...] = field(default=())
    """Hints without which a reader would misread the figures, a sentence or two each."""
    tables: tuple[ReportTable, ...]


def text(name: str, heading: str | None = None) -> ReportColumn:
    """A column of texts."""
    return ReportColumn(name=name, heading=_heading(name, heading))


def count(name: str, heading: str | None = None) -> ReportColumn:
    """A column of numbers of things."""
    return ReportColumn(name=name, heading=_heading(name, heading), unit=Unit.COUNT)


def seconds(name: str, heading: str | None = None) -> ReportColumn:
    """A column of durations; the name ends in `_seconds`, the heading has no unit: people see hours or minutes."""
    return ReportColumn(name=name, heading=_heading(name.removesuffix("_seconds"), heading), unit=Unit.SECONDS)


def share(name: str, heading: str | None = None) -> ReportColumn:
    """A column of shares."""
    return ReportColumn(name=name, heading=_heading(name, heading), unit=Unit.SHARE)


def number(name: str, heading: str | None = None) -> ReportColumn:
    """A column of other numbers."""
    return ReportColumn(name=name, heading=_heading(name, heading), unit=Unit.NUMBER)


def table(name: str, title: str, columns: tuple[ReportColumn, ...], rows: Iterable[tuple[Value, ...]]) -> ReportTable:
    """A table of those rows."""
    return ReportTable(name=name, title=title, columns=columns, rows=tuple(rows))


def _heading(name: str, heading: str | None) -> str:
    return name.replace("_", " ") if heading is None else heading
