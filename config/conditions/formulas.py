"""Conditions taken apart at `&&`, `||` and parentheses, for what has to be proved of them and not tried.

CEL's package shows no syntax tree. What is needed of one is little, and whatever is not recognised counts as unproved.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal

from config.conditions.names import without_texts

_TEXT: Final = r"""(?:"[^"\\\n]*"|'[^'\\\n]*')"""
_NUMBER: Final = r"(?:(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?)"
_NAMED_SCORE: Final = rf"(?:score\s*\(\s*{_TEXT}\s*\)|scores\s*\[\s*{_TEXT}\s*\])"
_WINDOW: Final = (
    rf"(?:window\s*\.\s*(?:count|fraction)\s*\(\s*{_TEXT}\s*,\s*-?{_NUMBER}\s*,\s*{_TEXT}\s*\)"
    rf"|window\s*\.\s*max\s*\(\s*{_TEXT}\s*,\s*{_TEXT}\s*\))"
)
_TERM: Final = rf"(?:(?:{_NUMBER}\s*\*\s*)?(?:{_NAMED_SCORE}|{_WINDOW})(?:\s*\*\s*{_NUMBER})?)"
_SUM: Final = rf"{_TERM}(?:\s*\+\s*{_TERM})*"
_FLOOR: Final = re.compile(
    rf"(?:{_SUM}\s*(?:>=|>)\s*(?P<at_right>-?{_NUMBER})|(?P<at_left>-?{_NUMBER})\s*(?:<=|<)\s*{_SUM})"
)
_QUOTED: Final = re.compile(r"""(["'])((?:(?!\1)[^\\\n]|\\.)*)\1""")
"""Of all texts, with escapes too: a text that ends with one must not be taken to go on up to the next."""
_SCORES: Final = re.compile(r"\bscores?\b")
_NAMED: Final = re.compile(_NAMED_SCORE)
_MATCHED: Final = re.compile(rf"matched\s*\(\s*{_TEXT}\s*\)")
_EXISTS: Final = re.compile(r"matches\s*\.\s*(?:exists|exists_one)\s*\(")
_SOME_MATCHES: Final = re.compile(
    r"(?:size\s*\(\s*matches\s*\)|matches\s*\.\s*size\s*\(\s*\))\s*(?:>\s*\d+|>=\s*[1-9]\d*|!=\s*0)"
)


@dataclass(frozen=True, kw_only=True)
class Atom:
    """A part of a condition that is not taken apart any further."""

    text: str
    """Without the blanks around it."""
    offset: int
    """In the condition, in characters."""

    @cached_property
    def quoted(self) -> frozenset[str]:
        """All that stands in quotes: names of scores among it."""
        return frozenset(found[2] for found in _QUOTED.finditer(self.text))

    @cached_property
    def floor(self) -> float | None:
        """Of `score("a/b") >= 0.5` and its like: the number from which on it holds. None: it is something else.

        It may have to be exceeded (>) or reached (>=). There may be windows over scores in it too, and sums of both; it
        holds on where any score in it rises.
        """
        found = _FLOOR.fullmatch(self.text)
        return None if found is None else float(found["at_right"] or found["at_left"])

    @cached_property
    def needs_match(self) -> bool:
        """Whether it surely fails where the picture matched nothing."""
        if _MATCHED.fullmatch(self.text) or _SOME_MATCHES.fullmatch(self.text):
            return True
        found = _EXISTS.match(self.text)
        return found is not None and _closing(without_texts(self.text), found.end() - 1) == len(self.text) - 1


@dataclass(frozen=True, kw_only=True)
class Junction:
    """Parts that are joined by one operator."""

    operator: Literal["&&", "||"]
    parts: "tuple[Formula, ...]"

    @property
    def offset(self) -> int:
        """Of its first part."""
        return self.parts[0].offset


Formula = Atom | Junction
"""A condition as it is joined. It holds on where any of its atoms comes to hold: nothing here negates."""


def read_formula(text: str) -> Formula:
    """Takes a condition apart that compiles."""
    return _read(text, without_texts(text), 0, len(text))


def atoms(formula: Formula) -> Iterator[Atom]:
    """All of them, from left to right."""
    if isinstance(formula, Atom):
        yield formula
    else:
        for part in formula.parts:
            yield from atoms(part)


def unproved(formula: Formula, proved: Callable[[Atom], bool]) -> Formula | None:
    """The part for which a condition can hold with none of the `proved` atoms; None: it needs one of them to hold."""
    if isinstance(formula, Atom):
        return None if proved(formula) else formula
    left = [part for part in (unproved(part, proved) for part in formula.parts) if part is not None]
    if formula.operator == "||":
        return left[0] if left else None
    return formula if len(left) == len(formula.parts) else None


def unnamed_scores(text: str) -> int | None:
    """Where a condition asks for a score whose name does not stand there, as score(s) or scores.exists(…) do.

    Its offset, in characters; None: it does not. Names with escapes count as such, too.
    """
    bare = without_texts(text)
    for found in _SCORES.finditer(bare):
        of_something = bare[: found.start()].rstrip().endswith(".")
        if of_something and not bare[found.end() :].lstrip().startswith("("):
            continue  # a field by that name, of `stream.metadata` perhaps
        if of_something or not _NAMED.match(text, found.start()):
            return found.start()
    return None


def _read(text: str, bare: str, start: int, end: int) -> Formula:
    while True:
        while start < end and bare[start].isspace() and text[start].isspace():
            start += 1
        while end > start and bare[end - 1].isspace() and text[end - 1].isspace():
            end -= 1
        if start == end or bare[start] != "(" or _closing(bare, start) != end - 1:
            break
        start, end = start + 1, end - 1
    joints = _joints(bare, start, end)
    if "?" not in joints:  # `a ? b : c` binds least of all, and what is in it may be negated by it
        for operator in ("||", "&&"):
            places = joints.get(operator)
            if places:
                borders = [start - 2, *places, end]
                parts = tuple(_read(text, bare, before + 2, after) for before, after in pairwise(borders))
                return Junction(operator=operator, parts=parts)
    return Atom(text=text[start:end], offset=start)


def _joints(bare: str, start: int, end: int) -> dict[str, list[int]]:
    """Where operators stand that are in no brackets: `&&`, `||`, and `?` of a choice."""
    found: dict[str, list[int]] = {}
    depth = 0
    for place in range(start, end):
        if bare[place] in "([{":
            depth += 1
        elif bare[place] in ")]}":
            depth -= 1
        elif depth == 0:
            for operator in ("&&", "||", "?"):
                if bare.startswith(operator, place):
                    found.setdefault(operator, []).append(place)
    return found


def _closing(bare: str, opening: int) -> int:
    """The bracket that closes the one at `opening`."""
    depth = 0
    for place in range(opening, len(bare)):
        depth += (bare[place] in "([{") - (bare[place] in ")]}")
        if depth == 0:
            return place
    return len(bare)
