"""Bounds on the cost of a policy: to read it, and to evaluate all its rules on one picture."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from config.documents.mistakes import Problem
from config.policy.cel.cost import MAX_SECONDS, cost_of
from config.policy.cel.expressions import parse_condition
from config.policy.cel.mistakes import ConditionError
from config.policy.rules import MAX_CONDITION_CHARACTERS, Rule

MAX_POLICY_SECONDS: Final = 0.25
"""CPU time of all rules for one sample, the largest there can be, beside some 0.02 s for their context. A segment has
some ten samples: were all of them like that, a worker would still keep up with segments of 4 s, and stay far from the
time limit of its tasks."""

MAX_ENTRIES: Final[Mapping[str, int]] = {"rules": 250, "sampling_for": 100, "cascade": 100, "profiles": 100}
"""Entries of a policy's sections. A condition takes some 4 ms to be compiled and tried."""

MAX_TRIED_SECONDS: Final = 4 * MAX_POLICY_SECONDS
"""Cost of all rules together (by `cost_of`) up to which each is tried. Trials take up to two thirds of that."""


def excesses(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Reasons why a policy's file is too large to be checked; this comes before the check."""
    found = False
    for section, most in MAX_ENTRIES.items():
        entries = document.get(section)
        if isinstance(entries, list | dict) and len(entries) > most:
            found = True
            yield Problem((section,), f"{len(entries):,} entries: expected at most {most}")
    rules = document.get("rules")
    if found or not isinstance(rules, list):
        return
    seconds = 0.0
    for index, rule in enumerate(rules):
        seconds += _seconds_of(rule.get("when") if isinstance(rule, dict) else None)
        if seconds > MAX_TRIED_SECONDS:
            text = f"the rules up to this one could cost {seconds:.2g} s of CPU on one picture: expected at most "
            yield Problem(("rules", index, "when"), f"{text}{MAX_POLICY_SECONDS} s for all together")
            return


def _seconds_of(condition: object) -> float:
    """Cost of a condition; 0 if it is not usable, which is reported later."""
    if not isinstance(condition, str) or len(condition) > MAX_CONDITION_CHARACTERS:
        return 0.0
    try:
        return min(MAX_SECONDS, cost_of(parse_condition(condition).tree).seconds)
    except ConditionError:
        return 0.0


def over_budget(rules: Sequence[Rule]) -> Problem | None:
    """The problem of rules that cost too much together, placed at the most expensive one; None: they do not."""
    seconds = [_seconds(rule) for rule in rules]
    if sum(seconds) <= MAX_POLICY_SECONDS:
        return None
    costliest = max(range(len(rules)), key=seconds.__getitem__)
    text = (
        f"all rules together could cost {sum(seconds):.2g} s of CPU on one picture, "
        f"this one {seconds[costliest]:.2g} s: expected at most {MAX_POLICY_SECONDS} s. Join rules that go through the "
        "same lists, and write x in list, x == y or startsWith() in place of exists() and matches()"
    )
    return Problem(("rules", costliest, "when"), text, cost_of(rules[costliest].condition.tree).costliest.start)


def _seconds(rule: Rule) -> float:
    cost = cost_of(rule.condition.tree)
    return cost.seconds + (0.0 if rule.persistence.video_frames is None else cost.of_videos_seconds)
