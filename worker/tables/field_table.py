"""A table of one thing's fields: names and values."""

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from worker.tables.lines import GAP, NAME, TITLE, Cell, escaped, fold, folded_lines, side_by_side, width_of

LEAST_VALUE = 20
"""Cells of the values beside their names; with fewer (<) each name is in front of its value, unaligned."""


class FieldTable:
    """Names and their values, one pair a line; a long value is folded in its column."""

    def __init__(self, *, title: Cell = "") -> None:
        self._title = escaped(title)
        self._pairs: list[tuple[Text, Text]] = []

    def add(self, name: Cell, value: Cell) -> None:
        """Adds a pair; a name may occur more than once."""
        self._pairs.append((escaped(name), escaped(value)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The protocol of rich."""
        yield from self.lines(console, options.max_width)

    def lines(self, console: Console, room: int) -> Iterator[Text]:
        """Lines of at most `room` cells."""
        if self._title.plain:
            yield from folded_lines(console, Text.assemble(self._title, style=TITLE), room)
        names = max((width_of(name) for name, _ in self._pairs), default=0)
        for name, value in self._pairs:
            if room - names - GAP < LEAST_VALUE:
                yield from folded_lines(console, Text.assemble((f"{name.plain}: ", NAME), value), room)
                continue
            for number, line in enumerate(fold(console, value, room - names - GAP)):
                yield side_by_side([Text() if number else Text.assemble(name, style=NAME), line], (names, 0))
