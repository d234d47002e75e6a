"""What all rules of a policy may cost together on one picture."""

from collections.abc import Sequence
from typing import Final

from config.conditions.cost import cost_of
from config.documents.mistakes import Problem
from config.rules import Rule

MAX_POLICY_SECONDS: Final = 0.25
"""CPU time of all rules for one sample, the largest there can be, beside some 0.02 s to show it to them. A segment has
some ten samples: were all of them like that, a worker would still keep up with segments of 4 s, and stay far from the
time limit of its tasks."""


def over_budget(rules: Sequence[Rule]) -> Problem | None:
    """What to tell of rules that cost too much together, at the one that costs most; None: they do not."""
    seconds = [_seconds(rule) for rule in rules]
    if sum(seconds) <= MAX_POLICY_SECONDS:
        return None
    dearest = max(range(len(rules)), key=seconds.__getitem__)
    text = (
        f"all rules together could cost {sum(seconds):.2g} s of CPU on one picture, this one {seconds[dearest]:.2g} s: "
        f"expected at most {MAX_POLICY_SECONDS} s. Join rules that go through the same lists, and write x in list, "
        "x == y or startsWith() in place of exists() and matches()"
    )
    return Problem(("rules", dearest, "when"), text, cost_of(rules[dearest].condition.tree).dearest.start)


def _seconds(rule: Rule) -> float:
    cost = cost_of(rule.condition.tree)
    return cost.seconds + (0.0 if rule.persistence.video_frames is None else cost.of_videos_seconds)
