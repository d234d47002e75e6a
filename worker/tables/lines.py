"""Lines of tables: escaped, folded and padded, measured in cells of a terminal."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from worker.logs.printable import printable, printable_lines

GAP = 2
"""Cells between two columns."""

UNBOUNDED = 1_000_000
"""Cells of a line without a terminal: a script reads a record a line, and no id is folded."""

TITLE, HEADING, NAME, NOTE = "bold", "bold", "dim", "dim"
"""Styles of a table's title, of its columns' headings, of names beside values, and of the note below."""

Cell = str | Text
"""A foreign text, or one with a style; markup is interpreted in neither."""


def escaped(cell: Cell) -> Text:
    """`cell` with visible characters only; a str is one line."""
    if isinstance(cell, str):
        return Text(printable(cell))
    visible = printable_lines(cell.plain)
    return cell if visible == cell.plain else Text(visible, cell.style)


def on_one_line(text: Text) -> Text:
    """Its lines side by side."""
    return Text(", ").join(text.split("\n")) if "\n" in text.plain else text


def width_of(text: Text) -> int:
    """Cells of its longest line."""
    return max((cell_len(line) for line in text.plain.split("\n")), default=0)


def fold(console: Console, text: Text, room: int) -> list[Text]:
    """Lines of at most `room` cells, at least one; words are broken only where they are longer than that."""
    return list(text.wrap(console, max(1, room), overflow="fold")) or [Text()]


def folded_lines(console: Console, text: Text, room: int, *, indent: int = 0) -> Iterator[Text]:
    """Lines as of `fold`, each indented."""
    for line in fold(console, text, room - indent):
        yield side_by_side([Text(" " * indent) + line], (0,))


def side_by_side(cells: Sequence[Text], widths: Sequence[int], to_right: Sequence[bool] = ()) -> Text:
    """One line of cells, without white space at its end.

    Args:
        to_right: which of them are aligned to the right; empty: none.
    """
    line = Text(no_wrap=True, overflow="ignore")
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        padding = Text(" " * (width - cell_len(cell.plain)))
        line.append_text(padding + cell if to_right and to_right[number] else cell + padding)
        line.append(" " * GAP)
    line.rstrip()
    return line


def blocks(*parts: RenderableType) -> Group:
    """Tables and lines one below the other, with an empty line between them."""
    parted: list[RenderableType] = []
    for part in parts:
        parted += [Text(), part] if parted else [part]
    return Group(*parted)
