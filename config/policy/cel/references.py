"""Names in a condition: scores, signals, hash lists, variables and functions."""

from collections.abc import Iterable, Iterator
from typing import Final

from config.policy.cel.folding import constant
from config.policy.cel.syntax import (
    Call,
    Collection,
    Comprehension,
    Index,
    Literal,
    Name,
    Node,
    Operation,
    Select,
    nodes,
)


def call_names(tree: Node, function: str, container: str) -> frozenset[str]:
    """Names in calls of a function, or in the map of the same values: score("x") or scores["x"]."""
    keys: list[Node] = []
    for node in nodes(tree):
        if isinstance(node, Call) and node.function == function and not node.of_window:
            keys += node.parts[:1]
        if isinstance(node, Index) and isinstance(node.owner, Name) and node.owner.name == container:
            keys.append(node.key)
    return frozenset(_texts(keys))


def referenced_lists(tree: Node) -> frozenset[str]:
    """Hash lists that it names: matched("x"), m.list == "x", m.list in ["x", "y"]."""
    return call_names(tree, "matched", "") | frozenset(_texts(_compared_lists(tree)))


def texts(tree: Node) -> frozenset[str]:
    """All constant texts in it: names of scores and lists among them."""
    return frozenset(node.value for node in nodes(tree) if isinstance(node, Literal) and isinstance(node.value, str))


def used(tree: Node) -> frozenset[str]:
    """Names of variables and functions in it, but for calls of `window`."""
    variables = {node.name for node in nodes(tree) if isinstance(node, Name)}
    functions = {node.function for node in nodes(tree) if isinstance(node, Call) and not node.of_window}
    return frozenset(variables | functions)


NOTES: Final = "stream_metadata"
"""The variable that stands for stream.metadata, as long as that: out of `stream` the engine would copy it each time."""
NOTES_INSIDE: Final = "stream.metadata"
"""Among what is used: metadata is needed in `stream` too."""


def uses_metadata(tree: Node) -> bool:
    """True if it uses the metadata of the stream, or all of the stream."""
    others = {node.owner for node in nodes(tree) if isinstance(node, Select) and node.field != "metadata"}
    return any(isinstance(node, Name) and node.name == "stream" and node not in others for node in nodes(tree))


def with_metadata_apart(plain: str, tree: Node) -> tuple[str, frozenset[str]]:
    """A condition's text with NOTES in place of stream.metadata where that is the same, and what of both is then used.

    Args:
        plain: as long as the text of which `tree` is, and the same but for windows.
    """
    inside = {NOTES_INSIDE}
    if any(isinstance(node, Comprehension) and node.variable == "stream" for node in nodes(tree)):
        return plain, frozenset(inside)
    parents = {part: node for node in nodes(tree) for part in node.parts}
    found: set[str] = set()
    for node in nodes(tree):
        if not isinstance(node, Name) or node.name != "stream":
            continue
        owner = parents.get(node)
        if not isinstance(owner, Select):
            found |= inside
        elif owner.field == "metadata":
            asker = parents.get(owner)
            tested = isinstance(asker, Call) and asker.function == "has"
            if tested or plain[owner.start : owner.end] != NOTES_INSIDE:
                found |= inside
            else:
                plain = plain[: owner.start] + NOTES + plain[owner.end :]
                found.add(NOTES)
    return plain, frozenset(found)


def _compared_lists(tree: Node) -> Iterator[Node]:
    for node in nodes(tree):
        if not isinstance(node, Operation) or node.operator not in ("==", "!=", "in"):
            continue
        if any(isinstance(operand, Select) and operand.field == "list" for operand in node.operands):
            for operand in node.operands:
                yield from operand.items if isinstance(operand, Collection) else (operand,)


def _texts(parts: Iterable[Node]) -> Iterator[str]:
    for value in map(constant, parts):
        if isinstance(value, str):
            yield value
