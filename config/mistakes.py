"""Mistakes in a YAML file that an operator wrote, each with its place in the file: line, column, field, rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from config.aliases import check_aliases
from config.names import ConditionError, unknown

Location = Sequence[str | int]
"""Of a field: keys and places, from the top of the file."""


class Problem(NamedTuple):
    """What is wrong with a field, for somebody who does not know where in the file that stands."""

    where: Location
    text: str
    """What was expected."""
    offset: int | None = None
    """Into the field's text, in characters."""


class PartError(ValueError):
    """What parts of a field say does not fit together; `problem.where` is from that field on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One thing that is wrong with a policy."""

    text: str
    """What is wrong, and what was expected."""
    line: int | None = None
    """Of the file, from 1; None: it has no place of its own."""
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


class _Loader(yaml.SafeLoader):
    """YAML without repeated keys, of which the last would win silently, and without dates: versions look like them."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as the base class has it)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class YamlText:
    """A YAML document, and where in its text each of its values stands."""

    def __init__(self, text: str) -> None:
        """Raises what PyYAML raises, ValueError and RecursionError among it."""
        self._lines = text.split("\n")
        loader = _Loader(text)
        try:
            self._node: yaml.Node | None = loader.get_single_node()
            if self._node is not None:
                check_aliases(self._node)
            self.value: Any = None if self._node is None else loader.construct_document(self._node)
        finally:
            loader.dispose()

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
            inside = None if offset is None else self._inside(node, offset)
            if inside is not None:
                return inside
        shown = node if key is None else key
        return (None, None) if shown is None else (shown.start_mark.line + 1, shown.start_mark.column + 1)

    def _inside(self, node: yaml.Node | None, offset: int) -> tuple[int, int] | None:
        """Where the character stands; None: the value is written in a way that hides it, with escapes perhaps."""
        if not isinstance(node, yaml.ScalarNode):
            return None
        start = node.start_mark
        if node.style in ("|", ">"):
            first = start.line + 1
            lines = [line.lstrip(" ").rstrip("\r") for line in self._lines[first : node.end_mark.line + 1]]
            glue = "\n" if node.style == "|" else " "
            for number, line in enumerate(lines):
                before = sum(len(one) + 1 for one in lines[:number])
                if offset <= before + len(line) and glue.join(lines).startswith(node.value.strip()):
                    indent = len(self._lines[first + number]) - len(self._lines[first + number].lstrip(" "))
                    return first + number + 1, indent + offset - before + 1
            return None
        column = start.column + (1 if node.style else 0)
        if self._lines[start.line][column:].startswith(node.value):
            return start.line + 1, column + offset + 1
        return None


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """What stands for the place (a key, or the item itself), and the value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def mistakes_of(error: ValidationError, document: YamlText, known_fields: Mapping[str, Sequence[str]]) -> list[Mistake]:
    """All that pydantic found.

    Args:
        known_fields: by the part of the file that has them, "" for the top.
    """
    return [_mistake(dict(problem), document, known_fields) for problem in error.errors()]


def _mistake(problem: Mapping[str, Any], document: YamlText, known_fields: Mapping[str, Sequence[str]]) -> Mistake:
    location: tuple[str | int, ...] = problem["loc"]
    text = str(problem["msg"]).removeprefix("Value error, ")
    cause = problem.get("ctx", {}).get("error")
    offset = cause.offset if isinstance(cause, ConditionError) else None
    if isinstance(cause, PartError):
        location, offset = (*location, *cause.problem.where), cause.problem.offset
    if problem["type"] == "extra_forbidden":
        owner = next((part for part in reversed(location[:-1]) if part in known_fields), "")
        text = unknown("field", str(location[-1]), known_fields[str(owner)])
    owner_field, colon, rest = text.partition(": ")
    if not location and colon and owner_field in document.value:
        location, text = (owner_field,), rest  # what the parts of a policy say of one another
    return mistake_at(location, text, document, offset)


def mistake_at(location: Location, text: str, document: YamlText, offset: int | None = None) -> Mistake:
    """What is wrong with a field, with the field's place; `offset` is into its text, in characters."""
    line, column = document.place(location, offset)
    return Mistake(
        text=text,
        line=line,
        column=column,
        field="".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix("."),
        rule=_rule(location, document.value),
    )


def _rule(location: Location, document: Any) -> str:
    if location[:1] == ("rules",) and len(location) > 1 and isinstance(location[1], int):
        entry = document["rules"][location[1]]
        return str(entry["name"]) if isinstance(entry, dict) and "name" in entry else ""
    return ""
