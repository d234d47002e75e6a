"""Aliases of a YAML document (`*name`): what they stand for is bounded before anybody walks over it."""

from collections.abc import Sequence
from typing import Final

import yaml

MAX_ALIASED_VALUES: Final = 100_000
"""How many values all aliases of a file may stand for. Ten lines of aliases of aliases stand for 10^9, and what walks
over these, or merges them (`<<`), never ends."""


def check_aliases(document: yaml.Node) -> None:
    """Looks once at each node of a composed document, in which an alias is the very node of its anchor.

    Raises:
        yaml.constructor.ConstructorError: aliases stand for over (>) MAX_ALIASED_VALUES, or one for what it is in.
        RecursionError: the document is too deep.
    """
    _Aliases().count(document)


class _Aliases:
    def __init__(self) -> None:
        self._sizes: dict[yaml.Node, int | None] = {}
        """Of each node that was seen, how many values it stands for, itself among them; None: it is being looked at."""
        self._aliased = 0

    def count(self, node: yaml.Node) -> int:
        self._sizes[node] = None
        size = 1
        for child in _children(node):
            size += self._aliased_size(child, node) if child in self._sizes else self.count(child)
        self._sizes[node] = size
        return size

    def _aliased_size(self, child: yaml.Node, parent: yaml.Node) -> int:
        size = self._sizes[child]
        if size is None:
            raise _error("an alias stands for what it is in", child)
        self._aliased += size
        if self._aliased > MAX_ALIASED_VALUES:
            raise _error(f"aliases stand for over {MAX_ALIASED_VALUES} values", parent)
        return size


def _error(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _children(node: yaml.Node) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()
