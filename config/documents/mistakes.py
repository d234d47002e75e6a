"""Mistakes in a YAML file that an operator wrote, each with its place in the file: line, column, field, rule."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import yaml
from pydantic import ValidationError

from config.documents.loading import Loader
from config.documents.names import shortened, unknown
from config.documents.scalars import place_of

_QUOTED: Final = re.compile(r"'([^']*)'")
_TAG: Final = re.compile(r"(?:^|when:)[ \t]*!(?=[^!\s])")
"""A value that begins with an exclamation mark; no tag has a meaning in these files, but `!!str` and its like."""

_KEY: Final = "[key]"
"""Pydantic's last part of the place of a key that is wrong itself."""

MAX_MISTAKES: Final = 100
"""Reported of one file: each is located in it, and nobody reads more."""

Location = Sequence[str | int]
"""Path of a field: keys and indexes, from the top of the file."""


class PlacedError(ValueError):
    """A value that is not usable; the text names what was expected."""

    def __init__(self, text: str, offset: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset
        """Place of the mistake in the value, in characters; None: it has no place of its own."""
        self.further: tuple[Self, ...] = ()
        """Further mistakes in it, from left to right."""

    @property
    def every(self) -> "tuple[Self, ...]":
        """All mistakes in the value."""
        return (self, *self.further)


class Problem(NamedTuple):
    """A mistake in a field, whose place in the file is not looked up yet."""

    where: Location
    text: str
    """The value that was expected."""
    offset: int | None = None
    """Into the field's text, in characters."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A mistake in a policy."""

    text: str
    """The mistake, and what was expected."""
    line: int | None = None
    """Line of the file, from 1; None: it has no place of its own."""
    column: int | None = None
    """From 1."""
    field: str = ""
    """Its path in the file, as in rules[0].when."""
    rule: str = ""
    """Name of the rule that it is in."""

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}"
        place += "" if self.column is None else f", column {self.column}"
        rule = f" (rule {self.rule!r})" if self.rule else ""
        return ": ".join(part for part in (place, f"{self.field}{rule}", self.text) if part)


class YamlText:
    """A YAML document, with the places of its values in the text."""

    def __init__(self, text: str, *, max_tokens: int | None = None) -> None:
        """Raises PyYAML's errors, ValueError and RecursionError among them.

        Args:
            max_tokens: keys, values and brackets that it may have; None: any number.
        """
        self._text = text
        loader = Loader(text, max_tokens=max_tokens)
        try:
            self._node: yaml.Node | None = loader.get_single_node()
            self.value: Any = None if self._node is None else loader.construct_document(self._node)
        finally:
            loader.dispose()

    @property
    def kind(self) -> str:
        """The kind of its value, in words."""
        known = {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing"}
        return known.get(type(self.value), "a single value")

    def place(self, location: Location, offset: int | None = None) -> tuple[int | None, int | None]:
        """Line and column, from 1, of a value, or of the nearest thing around it that is there.

        Args:
            offset: into the value's text, in characters.
        """
        node: yaml.Node | None = self._node
        key: yaml.Node | None = None
        for part in location:
            found = _child(node, part)
            if found is None:
                break
            key, node = found
        else:
            if offset is not None and isinstance(node, yaml.ScalarNode):
                inside = place_of(self._text, node, offset)
                if inside is not None:
                    return inside
        shown = node if key is None else key
        return (None, None) if shown is None else (shown.start_mark.line + 1, shown.start_mark.column + 1)


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The node at the place (a key, or the item itself), and the value."""
    if isinstance(node, yaml.MappingNode):
        # Merged entries (`<<`) come first, and give way to the mapping's own.
        return next(((key, value) for key, value in reversed(node.value) if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def mistakes_of(error: ValidationError, document: YamlText, known_fields: Mapping[str, Sequence[str]]) -> list[Mistake]:
    """All mistakes that pydantic found.

    Args:
        known_fields: by the part of the file that has them, "" for the top.
    """
    problems = problems_of(error)
    found: list[Mistake] = []
    for number, one in enumerate(problems):
        if len(found) >= MAX_MISTAKES:
            found.append(mistake_at(one["loc"], f"and {len(problems) - number:,} fields more", document))
            break
        found += _mistakes(one, document, known_fields)
    return found


def problems_of(error: ValidationError) -> list[Mapping[str, Any]]:
    """Mistakes that pydantic found, without lists that are too short only since it leaves out their wrong items."""
    problems = error.errors()
    around = {problem["loc"][:length] for problem in problems for length in range(len(problem["loc"]))}
    return [dict(one) for one in problems if one["type"] != "too_short" or one["loc"] not in around]


def _mistakes(
    problem: Mapping[str, Any], document: YamlText, known_fields: Mapping[str, Sequence[str]]
) -> Iterator[Mistake]:
    location: tuple[str | int, ...] = tuple(part for part in problem["loc"] if part != _KEY)
    text, offset = str(problem["msg"]).removeprefix("Value error, "), None
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, PlacedError):
        for one in cause.every[:MAX_MISTAKES]:
            yield mistake_at(location, str(one), document, one.offset)
        return
    if problem["type"] == "extra_forbidden":
        owner = next((part for part in reversed(location[:-1]) if part in known_fields), "")
        text = unknown("field", str(location[-1]), known_fields[str(owner)])
    elif problem["type"] in ("enum", "literal_error") and isinstance(problem["input"], str):
        text, offset = unknown(str(location[-1]), problem["input"], _QUOTED.findall(problem["ctx"]["expected"])), 0
    yield mistake_at(location, text, document, offset)


def mistake_at(location: Location, text: str, document: YamlText, offset: int | None = None) -> Mistake:
    """A mistake in a field, with its place; `offset` is into the field's text, in characters."""
    line, column = document.place(location, offset)
    return Mistake(
        text=text,
        line=line,
        column=column,
        field="".join(
            f"[{part}]" if isinstance(part, int) else f".{shortened(part)}" for part in location
        ).removeprefix("."),
        rule=_rule(location, document.value),
    )


def yaml_mistake(error: yaml.MarkedYAMLError, document: str) -> Mistake:
    """The reason why a file's text is refused as YAML."""
    mark = error.problem_mark
    if mark is None:
        return Mistake(text=f"expected YAML: {error.problem}")
    begin = mark.index - mark.column
    tag = _TAG.search(document[begin:].partition("\n")[0])
    if tag is not None:
        what = "a condition that begins with ! needs quotes around it: without them YAML takes it for a tag"
        return Mistake(text=what, line=mark.line + 1, column=tag.end())
    return Mistake(text=f"expected YAML: {error.problem}", line=mark.line + 1, column=mark.column + 1)


def _rule(location: Location, document: Any) -> str:
    if location[:1] == ("rules",) and len(location) > 1 and isinstance(location[1], int):
        entry = document["rules"][location[1]]
        return str(entry["name"]) if isinstance(entry, dict) and "name" in entry else ""
    return ""
