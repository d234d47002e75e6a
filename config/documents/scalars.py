"""The place in the file of each character of a YAML scalar: quotes, escapes, folds and indentation lie between.

PyYAML keeps only the value of a scalar, its begin and its end. This module reads each style once more, as PyYAML does;
where it comes to another value, it returns no place.
"""

import re
from collections.abc import Iterator
from typing import Final

import yaml

_Placed = tuple[str, int]
"""A character of the value, and the index in the file of its source."""

_BREAK: Final = "(?:\r\n|[\r\n\x85\u2028\u2029])"
_REST_OF_LINE: Final = "[^\r\n\x85\u2028\u2029]*"
_BREAKS: Final = re.compile(_BREAK)
_LINE: Final = re.compile(rf"(?P<line>{_REST_OF_LINE})(?P<end>{_BREAK}|\Z)")
_PROPERTIES: Final = re.compile(rf"(?:[&!]\S*(?:[ \t]|{_BREAK})+(?:#{_REST_OF_LINE}(?:[ \t]|{_BREAK})+)*)*")
"""Anchor and tag, which stand before the scalar proper."""
_HEADER: Final = re.compile(rf"[|>][-+0-9]*[ \t]*(?:#{_REST_OF_LINE})?{_BREAK}")

_FOLD: Final = rf"(?P<fold>[ \t]*{_BREAK}(?:[ \t]|{_BREAK})*)|(?P<blanks>[ \t]+)"
_FLOW: Final = {
    None: re.compile(rf"{_FOLD}|(?P<one>.)", re.DOTALL),
    "'": re.compile(rf"{_FOLD}|(?P<quote>'')|(?P<one>.)", re.DOTALL),
    '"': re.compile(
        rf"{_FOLD}|\\(?P<joint>{_BREAK}(?:[ \t]|{_BREAK})*)"
        r"|\\(?:x(?P<x>..)|u(?P<u>.{4})|U(?P<U>.{8})|(?P<escaped>.))|(?P<one>.)",
        re.DOTALL,
    ),
}
"""A piece of a scalar by its style: plain, or in quotes."""


def place_of(text: str, node: yaml.ScalarNode, offset: int) -> tuple[int, int] | None:
    """Line and column, from 1, of the character at `offset` of a scalar's value; None: unknown.

    Args:
        text: the file's.
        offset: where it is behind the value, or in the line breaks that end it, the end of its last line is meant.
    """
    start, end = node.start_mark.index, node.end_mark.index
    if text[start : start + 1] in ("&", "!"):
        properties = _PROPERTIES.match(text, start, end)
        start = start if properties is None else properties.end()
    if node.style in ("|", ">"):
        placed = list(_block(text, start, end, node))
    else:
        inside = 1 if node.style else 0
        placed = list(_flow(text, start + inside, end - inside, node.style))
        end -= inside
    if not "".join(character for character, _ in placed).startswith(node.value):
        return None
    at = min(offset, len(node.value.rstrip("\n")))
    return _line_and_column(text, node.start_mark, [*placed, ("", end)][at][1])


def _line_and_column(text: str, start: yaml.Mark, index: int) -> tuple[int, int]:
    """Lines as PyYAML counts them."""
    line, begin = start.line, start.index - start.column
    for found in _BREAKS.finditer(text, start.index, index):
        line, begin = line + 1, found.end()
    return line + 1, index - begin + 1


def _flow(text: str, start: int, end: int, style: str | None) -> Iterator[_Placed]:
    for found in _FLOW[style].finditer(text, start, end):
        kind, at = str(found.lastgroup), found.start()
        part = found[kind]
        if kind == "fold":
            yield from _folded(part, at)
        elif kind == "joint":  # the first line break is escaped
            yield from list(_line_breaks(part, at + 1))[1:]
        elif kind == "blanks":
            yield from zip(part, range(at, found.end()), strict=True)
        elif kind in ("x", "u", "U"):
            yield chr(int(part, 16)), at
        elif kind == "escaped":
            yield yaml.SafeLoader.ESCAPE_REPLACEMENTS[part], at
        else:
            yield part[0], at


def _line_breaks(part: str, at: int) -> Iterator[_Placed]:
    for found in _BREAKS.finditer(part):
        yield found[0] if found[0] in "\u2028\u2029" else "\n", at + found.start()


def _folded(part: str, at: int) -> Iterator[_Placed]:
    """A line break becomes a blank, unless others follow it, which stay."""
    first, *others = _line_breaks(part, at)
    if first[0] != "\n":
        yield first
    elif not others:
        yield " ", first[1]
    yield from others


def _block(text: str, start: int, end: int, node: yaml.ScalarNode) -> Iterator[_Placed]:
    """All of it, with the line breaks that end it, whether they are kept or not."""
    header = _HEADER.match(text, start, end)
    if header is None:
        return
    lines = [found for found in _LINE.finditer(text, header.end(), end) if found[0]]
    indent = _leading_blanks([found["line"] for found in lines]) - _leading_blanks(_BREAKS.split(node.value))
    before: _Placed | None = None
    """The end of the line before, if that has text."""
    flush = False
    """That line begins with its text."""
    empty: list[_Placed] = []
    """Ends of empty lines since then."""
    for found in lines:
        line, line_end = found["line"], found.end("line")
        breaks = list(_line_breaks(found["end"], line_end))
        if len(line) <= indent and not line.strip(" "):
            empty += breaks
            continue
        if indent < 0 or line[:indent].strip(" "):
            return
        now_flush = line[indent] not in " \t"
        if before is not None and not (node.style == ">" and before[0] == "\n" and flush and now_flush):
            yield before
        elif before is not None and not empty:
            yield " ", before[1]
        yield from empty
        yield from zip(line[indent:], range(found.start() + indent, line_end), strict=True)
        before, flush, empty = next(iter(breaks), None), now_flush, []
    if before is not None:
        yield before
    yield from empty


def _leading_blanks(lines: list[str]) -> int:
    """Their number in the first line that has something else."""
    return next((len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" ")), 0)
