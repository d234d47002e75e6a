"""The thresholds with which rules compare scores: for the plot of a replay and for its prefilter."""

from dataclasses import dataclass
from math import floor

from config.policy.cel.comparisons import comparisons
from config.policy.cel.syntax import Call, Index, Name, Node, nodes
from config.policy.rules import Rule


@dataclass(frozen=True, kw_only=True, order=True)
class Threshold:
    """A number with which a rule compares a score."""

    score: str
    """"<model>/<label>"."""
    value: float
    rule: str
    behind: bool = False
    """It applies to a window behind a picture."""
    above: bool = False
    """A score equal to `value` counts as below: the rule has `>` or `<=`."""


def thresholds(rule: Rule) -> list[Threshold]:
    """The rule's thresholds, by score and value, each once."""
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
    """Returns whether a condition does nothing with scores, their maxima in windows, and sample counts of windows but
    compare each with numbers: then values on the same side of each number are equal to it."""
    compared = {one.node for one in comparisons(tree)}
    owners = {node.owner for node in compared if isinstance(node, Index)}
    return all(node in compared or node in owners for node in nodes(tree) if _reads_score(node))


def _reads_score(node: Node) -> bool:
    if isinstance(node, Call):
        return node.function in ("max", "samples") if node.of_window else node.function == "score"
    return isinstance(node, Name) and node.name == "scores"


def sample_counts(rule: Rule) -> tuple[int, ...]:
    """Sample counts of a window, one for each outcome of the rule's comparisons."""
    limits = {floor(one.value) for one in comparisons(rule.condition.tree) if one.of == "samples"}
    return tuple(sorted({0, *(max(0, near) for number in limits for near in (number - 1, number, number + 1))}))
