"""Conditions that cannot hold: some of what they name does not exist, or they compare with what never comes."""

import operator
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final

from config.policy.cel.folding import constant, number
from config.policy.cel.syntax import Call, Collection, Comprehension, Index, Name, Node, Operation, Select, nodes

_COMPARED: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}

_VALUES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("stream", "purpose"): ("live", "drill", "canary"),
    ("stream", "audience"): ("public", "limited", "private"),
    ("sample", "reason"): ("keyframe", "cut", "gap", "audit"),
    ("", "variant"): ("", "mirror", "rotate", "crop"),
}
"""Values of fields, by their owner; those of matches have any name."""


@dataclass(frozen=True, kw_only=True)
class ImpossibleValue:
    """A text with which a field is compared that it never is."""

    field: str
    value: str
    known: tuple[str, ...]
    at: int
    """Position in the condition, in characters."""


def impossible_values(tree: Node) -> Iterator[ImpossibleValue]:
    """From left to right."""
    for node in nodes(tree):
        if isinstance(node, Operation) and node.operator in ("==", "!=", "in") and len(node.operands) == 2:
            yield from _impossible_values(node)


def _impossible_values(node: Operation) -> Iterator[ImpossibleValue]:
    for operand, other in (node.operands, node.operands[::-1]):
        yield from _impossible_in(operand, other)


def _impossible_in(operand: Node, other: Node) -> Iterator[ImpossibleValue]:
    if not isinstance(operand, Select) or not isinstance(operand.owner, Name):
        return
    owner = operand.owner.name
    known = _VALUES.get((owner, operand.field)) or _VALUES.get(("", operand.field))
    for item in other.parts if isinstance(other, Collection) else (other,):
        value = constant(item)
        if known is not None and isinstance(value, str) and value not in known:
            yield ImpossibleValue(field=f"{owner}.{operand.field}", value=value, known=known, at=item.start)


@dataclass(frozen=True, kw_only=True)
class UnknownNames:
    """Lists and scores that do not exist here."""

    lists: Set[str]
    scores: Set[str]
    """These are 0.0 for every picture."""

    def never_holds(self, tree: Node) -> bool:
        """True if a condition holds for no picture. False: it may."""
        match tree:
            case Operation(operator="&&"):
                return any(map(self.never_holds, tree.operands))
            case Operation(operator="||"):
                return all(map(self.never_holds, tree.operands))
            case Operation(operator="?"):
                return all(map(self.never_holds, tree.operands[1:]))
            case Operation():
                return self._is_false(tree)
            case Call(function="matched") if not tree.of_window and tree.parts:
                return constant(tree.parts[0]) in self.lists
            case Comprehension(macro="exists" | "exists_one" | "existsOne"):
                return self.never_holds(tree.steps[-1])
        return False

    def _is_false(self, node: Operation) -> bool:
        if len(node.operands) != 2:
            return False
        left, right = node.operands
        if node.operator == "==" and any(_impossible_values(node)):
            return True
        if node.operator == "in":
            items = right.items if isinstance(right, Collection) and not right.mapping else ()
            return _is_list(left) and bool(items) and all(constant(item) in self.lists for item in items)
        if node.operator == "==" and (_is_list(left) or _is_list(right)):
            return constant(right if _is_list(left) else left) in self.lists
        for operand, sign, other in ((left, node.operator, right), (right, _MIRRORED.get(node.operator, ""), left)):
            value = number(other)
            compared = _COMPARED.get(sign)
            if value is not None and compared is not None and self._is_zero(operand):
                return not compared(0.0, float(value))
        return False

    def _is_zero(self, node: Node) -> bool:
        """True if a number is 0 for every picture."""
        if isinstance(node, Index) and isinstance(node.owner, Name) and node.owner.name == "scores":
            return False  # a missing key makes the whole false, which is reported as a score that is 0.0
        if not isinstance(node, Call) or not node.arguments:
            return False
        name = constant(node.arguments[0])
        if not node.of_window:
            return node.function == "score" and name in self.scores
        if node.function == "matched":
            return name in self.lists
        if node.function in ("count", "fraction"):
            least = number(node.arguments[1])
            return name in self.scores and least is not None and least > 0
        return node.function == "max" and name in self.scores


def _is_list(node: Node) -> bool:
    """The name of a match's list: m.list."""
    return isinstance(node, Select) and node.field == "list"
