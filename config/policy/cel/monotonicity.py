"""Proofs about a condition, which trials cannot give: the parts for which it can hold at all.

A condition is taken apart at `&&` and `||`; what is left are its atoms. Nothing of that negates, so it holds on where
any of its atoms comes to hold. What is not recognised counts as unproved.
"""

from collections.abc import Callable, Iterator
from typing import Final

from config.policy.cel.folding import number
from config.policy.cel.syntax import Call, Comprehension, Index, Literal, Name, Node, Operation, nodes

_JOINTS: Final = ("&&", "||")
_OF_SCORES: Final = ("count", "fraction", "max")
"""Functions of `window` that grow with a score."""


def atoms(tree: Node) -> Iterator[Node]:
    """The parts of a condition that are not taken apart any further, from left to right."""
    if isinstance(tree, Operation) and tree.operator in _JOINTS:
        for part in tree.operands:
            yield from atoms(part)
    else:
        yield tree


def unproved(tree: Node, proved: Callable[[Node], bool]) -> Node | None:
    """The part for which a condition can hold with none of the `proved` atoms; None: it needs one of them to hold."""
    if not (isinstance(tree, Operation) and tree.operator in _JOINTS):
        return None if proved(tree) else tree
    left = [part for part in (unproved(part, proved) for part in tree.operands) if part is not None]
    if tree.operator == "||":
        return left[0] if left else None
    return tree if len(left) == len(tree.operands) else None


def begin(tree: Node) -> int:
    """Beginning of a part, in characters: its first atom, without brackets around several."""
    return next(atoms(tree)).start


def floor(atom: Node) -> float | None:
    """The number from which on `score("a/b") >= 0.5` and its like hold. None: it is something else.

    It may have to be exceeded (>) or reached (>=). There may be windows over scores in it too, and sums of both; it
    holds on where any score in it rises.
    """
    if not isinstance(atom, Operation) or atom.operator not in (">", ">=", "<", "<="):
        return None
    rising, least = atom.operands if atom.operator in (">", ">=") else atom.operands[::-1]
    value = number(least)
    return float(value) if value is not None and _rises(rising) else None


def needs_match(atom: Node) -> bool:
    """True if an atom surely fails where the picture matched nothing."""
    if isinstance(atom, Call):
        return atom.function == "matched" and atom.target is None and _is_named(atom.arguments)
    if isinstance(atom, Comprehension):
        return atom.macro in ("exists", "exists_one") and _is_matches(atom.range)
    if not isinstance(atom, Operation) or len(atom.operands) != 2:
        return False
    counted, other = atom.operands
    least = number(other)
    if least is None or not (isinstance(counted, Call) and counted.function == "size" and len(counted.parts) == 1):
        return False
    some = {">": least >= 0, ">=": least > 0, "!=": least == 0}.get(atom.operator, False)
    return some and _is_matches(counted.parts[0])


def unnamed_scores(tree: Node) -> int | None:
    """The place where a condition uses a score by no constant name, as score(s) or scores.exists(…) do.

    Its offset, in characters; None: it does not. Names with escapes count as such, too.
    """
    named = {node.owner for node in nodes(tree) if isinstance(node, Index) and _is_plain(node.key)}
    places = [
        node.function_at
        for node in nodes(tree)
        if isinstance(node, Call) and node.function == "score" and not _is_named_score(node)
    ]
    places += [
        node.start
        for node in nodes(tree)
        if isinstance(node, Name)
        and node.name == "scores"
        and not (node in named and node.end - node.start == len(node.name))
    ]
    return min(places, default=None)


def _rises(node: Node) -> bool:
    """True if a number never falls where a score in it rises: a score, a window over one, sums, multiples."""
    if isinstance(node, Operation) and node.operator == "+" and len(node.operands) == 2:
        return all(map(_rises, node.operands))
    if isinstance(node, Operation) and node.operator == "*":
        factors = [value for value in map(number, node.operands) if value is not None]
        return len(factors) == 1 and factors[0] >= 0 and any(map(_rises, node.operands))
    if isinstance(node, Call) and node.of_window:
        return node.function in _OF_SCORES and bool(node.arguments) and _is_plain(node.arguments[0])
    return _is_named_score(node)


def _is_named_score(node: Node) -> bool:
    if isinstance(node, Index):
        return isinstance(node.owner, Name) and node.owner.name == "scores" and _is_plain(node.key)
    return isinstance(node, Call) and node.function == "score" and node.target is None and _is_named(node.arguments)


def _is_named(arguments: tuple[Node, ...]) -> bool:
    return len(arguments) == 1 and _is_plain(arguments[0])


def _is_plain(node: Node) -> bool:
    """True for a text in quotes, without escapes or brackets."""
    return isinstance(node, Literal) and isinstance(node.value, str) and node.end - node.start == len(node.value) + 2


def _is_matches(node: Node) -> bool:
    return isinstance(node, Name) and node.name == "matches"
