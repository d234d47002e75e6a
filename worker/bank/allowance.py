"""Allowances of a lead for harmless pictures that a foreign list has. An allowance lowers a match, and hides none.

An entry of the list `allow` is for one list, within a distance of 8, until a time; its tags have both.
"""

from collections.abc import Iterable
from dataclasses import replace

from config.facts import ALLOW, Evaluation, ListMatch, SampleFacts, StreamFacts
from config.policy.evaluation import judge_alone
from config.policy.policy import Policy

_FOR = "for:"
_UNTIL = "until:"


def allow_tags(list_name: str, until_ms: int, by: str) -> tuple[str, ...]:
    """The tags of an entry of `allow` for `list_name`, until (<) a time of Redis's clock."""
    return (f"{_FOR}{list_name}", f"{_UNTIL}{until_ms}", f"by:{by}")


def allowed_until_ms(tags: Iterable[str]) -> int | None:
    """The end of an entry of `allow` with these tags; None: it has no valid end, and allows nothing."""
    for tag in tags:
        if tag.startswith(_UNTIL) and tag.removeprefix(_UNTIL).isdecimal():
            return int(tag.removeprefix(_UNTIL))
    return None


def allowed_lists(matches: Iterable[ListMatch], *, now_ms: int) -> frozenset[str]:
    """The lists whose matches of a picture are allowed."""
    names = set()
    for match in matches:
        until = allowed_until_ms(match.tags) if match.list == ALLOW else None
        if until is not None and now_ms < until:
            names |= {tag.removeprefix(_FOR) for tag in match.tags if tag.startswith(_FOR)}
    return frozenset(names)


def mark_allowed(matches: Iterable[ListMatch], *, now_ms: int) -> tuple[ListMatch, ...]:
    """Marks those of a picture's matches that a lead allowed: the policy lowers hits that rest on them to `review`."""
    found = tuple(matches)
    allowed = allowed_lists(found, now_ms=now_ms)
    return tuple(replace(match, allowed=match.list in allowed) for match in found) if allowed else found


def evaluate(policy: Policy, stream: StreamFacts, sample: SampleFacts, *, now_ms: int) -> Evaluation:
    """Evaluates one sample alone, with the allowances of now."""
    return judge_alone(policy, stream, replace(sample, matches=mark_allowed(sample.matches, now_ms=now_ms)))
