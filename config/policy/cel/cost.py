"""The most that a condition can cost on one picture, worked out from its tree.

An evaluation cannot be interrupted, and trials do not see what a guard hides, so a condition that is too expensive is
refused before. The figures were measured with `common-expression-language` 0.10 on a core of 2.4 GHz, and rounded up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from config.policy.cel.checking import kinds_of
from config.policy.cel.folding import constant
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.patterns import pattern_cost
from config.policy.cel.references import uses_metadata
from config.policy.cel.syntax import (
    Call,
    Collection,
    Comprehension,
    Index,
    Name,
    Node,
    Operation,
    Select,
    concerns_matches,
    conjuncts,
)
from config.policy.cel.types import ANY, NOTES_IN, Kind, Sizes, names
from config.policy.cel.values import MAX_TAGS

MAX_MATCHES: Final = 64
"""Matches of one sample that conditions see: bounds what a rule may cost. The nearest of each list are among them."""
MAX_SECONDS: Final = 0.05
"""CPU time of a condition for one sample, the largest there can be: twenty of them a segment would be a second."""

_STEP: Final = 0.1e-6
"""Seconds: any part."""
_CALL: Final = 0.8e-6
"""Seconds: a call of a function in Python."""
_ROUND: Final = 0.3e-6
"""Seconds: a round of a comprehension, beside its steps."""
_COPY: Final = 0.06e-6
"""A value: the engine copies what it takes out of a map or list, with all that is in it."""
_GATHER: Final = 0.12e-6
"""A value that map() or filter() has gathered: all of them are copied for each that is added."""
_COMPARE: Final = 0.03e-6
"""A value, in `==` and `in`."""
_SWITCH: Final = 70e-6
"""Seconds: to change the matches for a rule that uses metadata; other rules share a context."""
_CHARACTER: Final = 0.1e-9
"""Seconds: a character of a text that is compared or searched."""
_JOINED: Final = 1e-9
"""Seconds: a character of a new text, for its memory rather than its time: 0.05 s are 50 MB."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Upper bounds (<=) for one condition on one picture."""

    seconds: float
    """To evaluate it, and again for its grounds."""
    of_videos_seconds: float
    """To evaluate it for each listed video, too."""
    costliest: Node
    """The most expensive part of it."""


@lru_cache(maxsize=1_000)
def cost_of(tree: Node) -> Cost:
    """Bounds what a condition costs.

    Raises:
        ConditionError: it has a pattern that is not constant, or none; or as `kinds_of`.
    """
    whole, costliest = _at_most(tree, tree, MAX_MATCHES)
    # `SampleEvaluator` then evaluates the parts that are about matches: without those that were allowed, without any,
    # for each alone; and for each video, with all pictures that are in none: half of them is the worst.
    parts = [part for part in conjuncts(tree) if concerns_matches(part)]
    every, one, half = (
        sum(_at_most(tree, part, matches)[0] for part in parts) for matches in (MAX_MATCHES, 1, MAX_MATCHES // 2 + 1)
    )
    switching = (MAX_MATCHES + 2) * _SWITCH if any(map(uses_metadata, parts)) else 0.0
    return Cost(
        seconds=whole + every + (MAX_MATCHES + 1) * one + switching,
        of_videos_seconds=max(MAX_MATCHES * one, MAX_MATCHES // 2 * half),
        costliest=costliest,
    )


def _at_most(tree: Node, part: Node, matches: int) -> tuple[float, Node]:
    """Seconds that a part of a condition costs, and what in it costs most.

    Of all shapes of the metadata the worst: where lists lie in lists, what is long in one place is short in another.
    """
    bounds = [
        _Bound(kinds_of(tree, names(Sizes(matches=matches, tags=MAX_TAGS, notes_in=level))), part) for level in NOTES_IN
    ]
    worst = max(bounds, key=lambda bound: bound.seconds)
    return worst.seconds, worst.costliest


class _Bound:
    """Adds up what a tree costs, with values of certain sizes."""

    def __init__(self, kinds: Mapping[Node, Kind], tree: Node) -> None:
        self._kinds = kinds
        self._most = 0.0
        self.costliest = tree
        """The comprehension or call that costs most, with what is in it."""
        self.seconds = self._seconds(tree)

    def _seconds(self, node: Node) -> float:
        if isinstance(node, Comprehension):
            seconds = self._gathered(node)
        else:
            seconds = _STEP + sum(map(self._seconds, node.parts)) + self._own(node)
        if isinstance(node, Comprehension | Call) and seconds > self._most:
            self.costliest, self._most = node, seconds
        return seconds

    def _gathered(self, node: Comprehension) -> float:
        over = self._kinds[node.range]
        rounds = len(over.fields) if over.fields is not None else over.most
        step = _ROUND + _COPY * over.element.values + sum(map(self._seconds, node.steps))
        seconds = self._seconds(node.range) + rounds * step
        if node.macro in ("map", "filter"):
            item = self._kinds[node].item or ANY
            each = _GATHER * item.values + (_CHARACTER * item.most if item.name == "string" else 0.0)
            seconds += rounds * rounds / 2 * each
        return seconds

    def _own(self, node: Node) -> float:
        """Without its parts."""
        if isinstance(node, Select) and isinstance(node.owner, Name) and node.field == "metadata":
            return 0.0  # config/policy/cel/references.py has a variable for it
        if isinstance(node, Select | Index):
            return _COPY * self._kinds[node].values
        if isinstance(node, Collection):
            return _COPY * self._kinds[node].values
        if isinstance(node, Call):
            return self._called(node)
        return self._calculated(node) if isinstance(node, Operation) else 0.0

    def _called(self, node: Call) -> float:
        if node.of_window or node.function == "has":
            return 0.0
        characters = sum(self._kinds[part].characters for part in node.parts)
        seconds = _CALL + _CHARACTER * characters
        if node.function == "matches" and node.target is not None:
            pattern = constant(node.arguments[0])
            if not isinstance(pattern, str):
                at = node.arguments[0].start
                raise ConditionError('expected the pattern of matches() as a plain text, as in matches("^a")', at)
            try:
                compiling, per_character = pattern_cost(pattern)
            except ConditionError as error:
                raise ConditionError(str(error), node.arguments[0].start) from error
            seconds += compiling + per_character * self._kinds[node.target].characters
        return seconds

    def _calculated(self, node: Operation) -> float:
        given = [self._kinds[operand] for operand in node.operands]
        if node.operator in ("&&", "||", "!", "?"):
            return 0.0
        if node.operator == "in":
            return _COMPARE * given[1].values
        if node.operator in ("==", "!=", "<", "<=", ">", ">="):
            shorter = min(kind.characters for kind in given)
            return _COMPARE * min(kind.values for kind in given) + _CHARACTER * shorter
        characters = _JOINED * self._kinds[node].characters if node.operator == "+" else 0.0
        joined = node.operator == "+" and self._kinds[node].name in ("list", "dyn")
        return characters + (_COPY * sum(kind.values for kind in given) if joined else 0.0)
