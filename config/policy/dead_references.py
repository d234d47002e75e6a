"""Dead references of rules: a list that does not exist, a score that no classifier gives, a purpose of no stream.

Such a rule, or the part of it with the reference, never holds, and looks as good as others.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Literal

from config.documents.mistakes import Mistake
from config.documents.names import nearest
from config.policy.cel.never_holds import UnknownNames, impossible_values
from config.policy.policy import Policy
from config.policy.rules import Rule

Kind = Literal["list", "score", "value"]


@dataclass(frozen=True, kw_only=True)
class DeadReference:
    """A name in a rule that nothing has."""

    rule: str
    mode: str
    kind: Kind
    name: str
    nearest: str | None
    """Nearest name that there is; None: none is near."""
    never_fires: bool
    """The whole rule holds for no picture; False: its other parts may."""
    place: Mistake
    """Its place in the file, with the message."""


def dead_references(policy: Policy, *, lists: Set[str] | None, scores: Set[str]) -> Iterator[DeadReference]:
    """Dead references in a policy, in the order of its rules.

    Args:
        lists: those that exist; None: unknown.
        scores: that classifiers give, "<model>/<label>".
    """
    for number, rule in enumerate(policy.rules):
        gone_scores = rule.condition.scores - scores
        named = rule.condition.lists | set(rule.lists)
        gone_lists = frozenset[str]() if lists is None else named - lists
        never = UnknownNames(lists=gone_lists, scores=gone_scores).never_holds(rule.condition.tree)
        for name in sorted(gone_lists):
            near = nearest(name, lists or ())
            text = f"no list {name!r} is in this deployment: {f'did you mean {near!r}? ' if near else ''}"
            text += f"there are {', '.join(sorted(lists or ()))}"
            yield _dead(policy, number, "list", name, near, text, never=never)
        for name in sorted(gone_scores):
            text = f"{name} is always 0.0: its classifier does not run where this policy is in force, see `cascade`"
            yield _dead(policy, number, "score", name, nearest(name, scores), text, never=never)
        for impossible in impossible_values(rule.condition.tree):
            near = nearest(impossible.value, impossible.known)
            text = f"{impossible.field} is never {impossible.value!r}: {f'did you mean {near!r}? ' if near else ''}"
            text += f"it is one of {', '.join(map(repr, impossible.known))}"
            yield _dead(policy, number, "value", impossible.value, near, text, never=never)


def _dead(
    policy: Policy, number: int, kind: Kind, name: str, near: str | None, text: str, *, never: bool
) -> DeadReference:
    rule = policy.rules[number]
    text += "; this rule never fires" if never and kind != "score" else ""
    return DeadReference(
        rule=rule.name,
        mode=rule.mode,
        kind=kind,
        name=name,
        nearest=near,
        never_fires=never,
        place=policy.placed(_field(rule, number, name), text, _offset(rule, name)),
    )


def _field(rule: Rule, number: int, name: str) -> tuple[str | int, ...]:
    if _offset(rule, name) is None and name in rule.lists:
        return ("rules", number, "lists", rule.lists.index(name))
    return ("rules", number, "when")


def _offset(rule: Rule, name: str) -> int | None:
    """Offset of its first place in quotes in the condition."""
    places = [rule.when.find(f"{quote}{name}{quote}") for quote in ('"', "'")]
    return min((place + 1 for place in places if place >= 0), default=None)
