"""Records below one another, in columns that fit the width of the terminal."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from worker.tables.field_table import FieldTable
from worker.tables.lines import (
    GAP,
    HEADING,
    NOTE,
    TITLE,
    UNBOUNDED,
    Cell,
    escaped,
    fold,
    folded_lines,
    on_one_line,
    side_by_side,
    width_of,
)

LONG_ID = 40
"""Cells. Columns are left out so that ids up to this (<=) have a column; a UUID has 36. Longer ids, of streams up to
200, get a line of their own where there is no room: one such stream must not displace the columns of all others."""

LEAST_TEXT = 16
"""Cells of a column of texts below which (<) other columns are left out, unless its texts are shorter."""


class _Kind(Enum):
    ID = auto()
    """Copied by people: on one line where it fits."""
    TEXT = auto()
    """Folded between words."""
    FIXED = auto()
    """Numbers, times and the like: short, never folded."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a `Listing`; made by `ids`, `texts`, `fixed` and `numbers`."""

    heading: str
    kind: _Kind
    to_right: bool = False

    def least(self, widths: Iterable[int]) -> int:
        """The least useful width, for texts of `widths`."""
        heading = cell_len(self.heading)
        if self.kind is _Kind.ID:
            return max([heading, *(width for width in widths if width <= LONG_ID)])
        widest = max(widths, default=0)
        return max(heading, widest if self.kind is _Kind.FIXED else min(widest, LEAST_TEXT))


def ids(heading: str) -> Column:
    """Names that people copy: of streams, incidents, rules, lists, entries."""
    return Column(heading=heading, kind=_Kind.ID)


def texts(heading: str) -> Column:
    """Sentences and enumerations."""
    return Column(heading=heading, kind=_Kind.TEXT)


def fixed(heading: str) -> Column:
    """Short terms and times."""
    return Column(heading=heading, kind=_Kind.FIXED)


def numbers(heading: str) -> Column:
    """Numbers with their units, aligned to the right."""
    return Column(heading=heading, kind=_Kind.FIXED, to_right=True)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """The shown columns, by their place among all, and their widths."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...]


class Listing:
    """Records with a heading for each column."""

    def __init__(self, *columns: Column, title: Cell = "", note: Cell = "", left_out_first: Sequence[str] = ()) -> None:
        """
        Args:
            note: the line below.
            left_out_first: headings of the columns that may be left out, the least important first; the others are
                always shown.
        """
        self._columns = columns
        self._title, self._note = escaped(title), escaped(note)
        self._left_out_first = tuple(left_out_first)
        self._rows: list[tuple[list[Text], str]] = []

    def add(self, *cells: Cell, style: str = "") -> None:
        """Adds a record: a cell for each column."""
        if len(cells) != len(self._columns):
            raise ValueError(f"{len(cells)} cells: expected {len(self._columns)}")
        self._rows.append(([escaped(cell) for cell in cells], style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The protocol of rich."""
        width = options.max_width
        if self._title.plain:
            yield from folded_lines(console, Text.assemble(self._title, style=TITLE), width)
        rows = self._rows
        if width >= UNBOUNDED:
            rows = [([on_one_line(cell) for cell in row], style) for row, style in rows]
        fit = self._fit([row for row, _ in rows], width)
        if fit is None:
            yield from self._one_by_one(console, rows, width)
        else:
            headings = [Text(self._columns[at].heading, HEADING) for at in fit.shown]
            yield self._line(headings, fit)
            for row, style in rows:
                for line in self._record(console, row, fit, width):
                    line.stylize_before(style)
                    yield line
            if fit.left_out:
                yield from folded_lines(
                    console, Text(f"left out at this width: {', '.join(fit.left_out)}", NOTE), width
                )
        if self._note.plain:
            yield from folded_lines(console, Text.assemble(self._note, style=NOTE), width)

    def _fit(self, rows: Sequence[list[Text]], width: int) -> _Fit | None:
        """The columns that fit; None: even those that are always shown do not."""
        for number in range(len(self._left_out_first) + 1):
            left_out = self._left_out_first[:number]
            shown = tuple(at for at, column in enumerate(self._columns) if column.heading not in left_out)
            widths = self._widths(rows, shown, width)
            if widths is not None:
                return _Fit(shown=shown, widths=widths, left_out=left_out)
        return None

    def _widths(self, rows: Sequence[list[Text]], shown: Sequence[int], room: int) -> tuple[int, ...] | None:
        columns = [self._columns[at] for at in shown]
        taken = [[width_of(row[at]) for row in rows] for at in shown]
        widths = [column.least(of) for column, of in zip(columns, taken, strict=True)]
        spare = room - sum(widths) - GAP * (len(widths) - 1)
        if spare < 0:
            return None
        wanted = [0] * len(columns)
        for at, column in enumerate(columns):
            if column.kind is _Kind.ID:
                widest = max((width for width in taken[at] if width <= widths[at] + spare), default=0)
                spare -= max(0, widest - widths[at])
                widths[at] = max(widths[at], widest)
            else:
                wanted[at] = max(0, max(taken[at], default=0) - widths[at])
        return tuple(width + more for width, more in zip(widths, _shares(wanted, spare), strict=True))

    def _record(self, console: Console, row: Sequence[Text], fit: _Fit, room: int) -> Iterator[Text]:
        columns: list[list[Text]] = []
        below: list[Text] = []
        for at, width in zip(fit.shown, fit.widths, strict=True):
            cell, column = row[at], self._columns[at]
            if column.kind is not _Kind.ID or width_of(cell) <= width:
                columns.append(fold(console, cell, width))
                continue
            columns.append([Text()])
            if at == fit.shown[0]:
                yield from folded_lines(console, cell, room)
            else:
                below.append(cell)
        for number in range(max(map(len, columns))):
            yield self._line([next(islice(lines, number, None), Text()) for lines in columns], fit)
        for text in below:
            yield from folded_lines(console, text, room, indent=GAP)

    def _line(self, cells: Sequence[Text], fit: _Fit) -> Text:
        return side_by_side(cells, fit.widths, [self._columns[at].to_right for at in fit.shown])

    def _one_by_one(self, console: Console, rows: Sequence[tuple[list[Text], str]], room: int) -> Iterator[Text]:
        for number, (row, style) in enumerate(rows):
            if number:
                yield Text()
            record = FieldTable()
            for column, cell in zip(self._columns, row, strict=True):
                if cell.plain:
                    record.add(column.heading, cell)
            for line in record.lines(console, room):
                line.stylize_before(style)
                yield line


def _shares(wanted: Sequence[int], spare: int) -> list[int]:
    """Divides `spare` cells among columns: each gets an equal share, or its wanted number where that is less."""
    shares = [0] * len(wanted)
    for left, at in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        shares[at] = min(wanted[at], spare // (len(wanted) - left))
        spare -= shares[at]
    return shares
