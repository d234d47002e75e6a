"""Syntax trees of conditions, without their meaning; config/policy/cel/parsing.py makes them of texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MACROS: Final = ("all", "exists", "exists_one", "existsOne", "map", "filter")
"""Comprehensions, as the engine knows them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A part of a condition, distinguished by identity: two parts may read the same."""

    start: int
    """Position in the text, in characters: [start, end)."""
    end: int
    depth: int
    """Depth of the tree; 1: a leaf."""

    @property
    def parts(self) -> "tuple[Node, ...]":
        """Its parts, from left to right."""
        return ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Literal(Node):
    """A constant."""

    value: bool | int | float | str | None
    unsigned: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Name(Node):
    """A variable; with a dot before it where CEL's namespaces begin."""

    name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Select(Node):
    """`owner.field`."""

    owner: Node
    field: str
    field_at: int

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.owner,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Index(Node):
    """`owner[key]`."""

    owner: Node
    key: Node

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.owner, self.key)


@dataclass(frozen=True, kw_only=True, eq=False)
class Call(Node):
    """`function(arguments)` or `target.function(arguments)`."""

    function: str
    function_at: int
    target: Node | None
    arguments: tuple[Node, ...]

    @property
    def of_window(self) -> bool:
        """True for a call that config/policy/cel/windows.py evaluates."""
        return isinstance(self.target, Name) and self.target.name == "window"

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.arguments if self.target is None else (self.target, *self.arguments)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comprehension(Node):
    """`range.macro(variable, steps…)`: the steps are evaluated for each item of the range, or key of it."""

    macro: str
    range: Node
    variable: str
    steps: tuple[Node, ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.range, *self.steps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation(Node):
    """One operand: `!`, `-`. Three: `?`. Else two, and of `&&` and `||` as many as are joined."""

    operator: str
    operator_at: int
    operands: tuple[Node, ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.operands


@dataclass(frozen=True, kw_only=True, eq=False)
class Collection(Node):
    """`[…]`, or `{…}`: of that, keys and values in turn."""

    mapping: bool
    items: tuple[Node, ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.items


def nodes(tree: Node) -> Iterator[Node]:
    """All parts of a condition, itself first, from left to right."""
    yield tree
    for part in tree.parts:
        yield from nodes(part)


def conjuncts(tree: Node) -> tuple[Node, ...]:
    """Parts all of which hold where the whole holds."""
    return tree.operands if isinstance(tree, Operation) and tree.operator == "&&" else (tree,)


def concerns_matches(tree: Node) -> bool:
    """True if its value depends on the matches of the picture itself."""
    return any(
        (isinstance(node, Name) and node.name == "matches")
        or (isinstance(node, Call) and node.function == "matched" and not node.of_window)
        for node in nodes(tree)
    )
