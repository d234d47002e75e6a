"""What rules compare scores with: for the picture of a replay and for its sieve."""

from dataclasses import dataclass
from math import floor

from config.policy.cel.comparisons import comparisons
from config.policy.cel.syntax import Call, Index, Name, Node, nodes
from config.policy.rules import Rule


@dataclass(frozen=True, kw_only=True, order=True)
class Threshold:
    """A rule compares a score with a number."""

    score: str
    """"<model>/<label>"."""
    value: float
    rule: str
    behind: bool = False
    """It is about what lies behind a picture, in a window."""
    above: bool = False
    """The rule takes a score that is just `value` for one below it: it says `>` or `<=`."""


def thresholds(rule: Rule) -> list[Threshold]:
    """All that the rule has, by score and value, each once."""
    counted = ("count", "fraction")
    found = {(call.name, call.threshold, True, False) for call in rule.condition.windows if call.function in counted}
    for one in comparisons(rule.condition.tree):
        if one.of in ("score", "max"):
            found.add((one.name, one.value, one.of == "max", one.operator in (">", "<=")))
    return sorted(
        Threshold(score=score, value=value, rule=rule.name, behind=behind, above=above)
        for score, value, behind, above in found
    )


def only_compares(tree: Node) -> bool:
    """Whether a condition asks of scores, of their maxima in windows, and of how many samples there are in these,
    nothing but how they compare with numbers, at once and by themselves: then all on the same side of each number are
    the same to it.
    """
    compared = {one.node for one in comparisons(tree)}
    owners = {node.owner for node in compared if isinstance(node, Index)}
    return all(node in compared or node in owners for node in nodes(tree) if _asks(node))


def _asks(node: Node) -> bool:
    if isinstance(node, Call):
        return node.function in ("max", "samples") if node.of_window else node.function == "score"
    return isinstance(node, Name) and node.name == "scores"


def sample_counts(rule: Rule) -> tuple[int, ...]:
    """How many samples a window may have, one number for each way in which that compares with those of the rule."""
    asked = {floor(one.value) for one in comparisons(rule.condition.tree) if one.of == "samples"}
    return tuple(sorted({0, *(max(0, near) for number in asked for near in (number - 1, number, number + 1))}))
