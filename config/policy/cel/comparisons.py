"""Comparisons of a score or a signal with a number in conditions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from config.policy.cel.folding import constant, number
from config.policy.cel.mistakes import ConditionError, together
from config.policy.cel.syntax import Call, Comprehension, Index, Name, Node, Operation, nodes

_COMPARING: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
"""Operator to its mirror, for sides exchanged."""
_SHARES: Final = ("score", "max", "fraction")
"""Functions that return 0.0 to 1.0."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One of what a picture scored, or of what lies behind it, with a number."""

    of: str
    """score, signal, or a function of `window`: max, count, fraction, samples."""
    name: str
    """Name of the score, "<model>/<label>", or of the signal; empty for `samples`."""
    operator: str
    """The operator, as if the number stood on the right."""
    value: float
    at: int
    """Position of the number in the condition, in characters."""
    node: Node
    """The compared value."""


def comparisons(tree: Node) -> Iterator[Comparison]:
    """Comparisons of one score, or one result of a window, with a constant: from left to right."""
    yield from _comparisons(tree, _named_value, "scores")


def stated(tree: Node) -> list[Comparison]:
    """The thresholds of a condition: its comparisons of scores, windows and signals with a constant."""
    signals = _comparisons(tree, lambda node: _one_of(node, "signal", "signals"), "signals")
    return sorted((*comparisons(tree), *signals), key=lambda one: one.at)


def _comparisons(tree: Node, known_as: Callable[[Node], tuple[str, str] | None], variable: str) -> Iterator[Comparison]:
    """Comparisons with a constant of what `known_as` knows; `variable`: another thing, where a comprehension calls it
    so."""
    bound = any(isinstance(node, Comprehension) and node.variable == variable for node in nodes(tree))
    for node in nodes(tree):
        if not isinstance(node, Operation) or node.operator not in _COMPARING:
            continue
        left, right = node.operands
        for operand, other, operator in ((left, right, node.operator), (right, left, _COMPARING[node.operator])):
            value, known = number(other), known_as(operand)
            if value is None or known is None or (bound and isinstance(operand, Index)):
                continue
            of, name = known
            yield Comparison(of=of, name=name, operator=operator, value=float(value), at=other.start, node=operand)


def _named_value(node: Node) -> tuple[str, str] | None:
    """The function, and the name of a score."""
    if isinstance(node, Call) and node.of_window and node.function != "matched":
        name = "" if node.function == "samples" else constant(node.arguments[0])
        return (node.function, name) if isinstance(name, str) else None
    return _one_of(node, "score", "scores")


def _one_of(node: Node, function: str, variable: str) -> tuple[str, str] | None:
    """`function`, and the name in `function("NAME")` or `variable["NAME"]`."""
    key: Node | None = None
    if isinstance(node, Call) and node.function == function and len(node.parts) == 1:
        key = node.parts[0]
    elif isinstance(node, Index) and isinstance(node.owner, Name) and node.owner.name == variable:
        key = node.key
    name = None if key is None else constant(key)
    return (function, name) if isinstance(name, str) else None


def check_comparisons(tree: Node) -> None:
    """Checks that a score can be above what it is compared with, or counted from.

    Raises:
        ConditionError: it cannot: that is more than 1, as a percentage would be; with its place, and with all others
            (`further`).
    """
    mistakes = list(_impossible(tree))
    if mistakes:
        raise together(mistakes)


def _impossible(tree: Node) -> Iterator[ConditionError]:
    for found in comparisons(tree):
        if found.of in _SHARES and found.value > 1:
            what = "shares" if found.of == "fraction" else "scores"
            yield ConditionError(f"{what} are 0.0 to 1.0: expected no {found.value:g} to compare one with", found.at)
    for node in nodes(tree):
        if isinstance(node, Call) and node.of_window and node.function in ("count", "fraction"):
            least = node.arguments[1]
            value = number(least)
            if value is not None and value > 1:
                yield ConditionError(f"scores are 0.0 to 1.0: expected no {value:g} to count from", least.start)
