"""Names in test cases that nothing goes by: a case with a misspelt list, signal or score tests nothing, and passes."""

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from config.documents.mistakes import Location, Mistake, YamlText, mistake_at
from config.documents.names import unknown
from config.facts import ALLOW, SELFTEST
from config.policy.cel.references import texts
from config.policy.policy import Policy
from worker.errors import ReplayError
from worker.policytests.case_format import CaseFile


@dataclass(frozen=True, kw_only=True)
class _Used:
    """A name, where it comes first."""

    kind: Literal["score", "list", "signal"]
    name: str
    where: Location


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Names of lists or of signals that rules go by."""

    named: frozenset[str]
    any_counts: bool
    """A rule looks at all there are, so that one that nobody names may count as well."""


def check_names(
    policy: Policy, cases: CaseFile, document: YamlText, name: str, *, given_scores: Collection[str]
) -> list[Mistake]:
    """Checks what the pictures and streams of cases have against what a policy asks for.

    Args:
        document: of the cases, whose file is called `name`.
        given_scores: those of all classifiers there are, "<model>/<label>".

    Returns:
        What may be meant: names that no rule goes by. That none holds for them is a thing to test.

    Raises:
        ReplayError: a score that no model gives; or a list or signal that no rule goes by, where one of nearly the same
            name is meant: to a policy that tells neither from the others, any other name is as good.
    """
    scores = frozenset(given_scores) | policy.asked_scores
    known = {"list": _known_lists(policy), "signal": _known_signals(policy)}
    refused: list[Mistake] = []
    doubtful: list[Mistake] = []
    for one in _first_of_each(cases):
        if one.kind == "score":
            if one.name not in scores:
                refused.append(mistake_at(one.where, unknown("score", one.name, scores), document))
            continue
        of = known[one.kind]
        if one.name in of.named:
            continue
        near = difflib.get_close_matches(one.name, of.named, n=1)
        if near and not of.any_counts:
            refused.append(mistake_at(one.where, unknown(one.kind, one.name, of.named), document))
        elif near or not of.any_counts:
            hint = f": did you mean {near[0]!r}?" if near else ""
            doubtful.append(mistake_at(one.where, f"no rule names the {one.kind} {one.name!r}{hint}", document))
    if refused:
        raise ReplayError(f"{name}: {'; '.join(map(str, refused))}")
    return doubtful


def _first_of_each(cases: CaseFile) -> Iterator[_Used]:
    seen: set[tuple[str, str]] = set()
    for one in _used(cases):
        if (one.kind, one.name) not in seen:
            seen.add((one.kind, one.name))
            yield one


def _used(cases: CaseFile) -> Iterator[_Used]:
    for number, case in enumerate(cases.cases):
        for signal in case.stream.signals:
            yield _Used(kind="signal", name=signal, where=("cases", number, "stream", "signals", signal))
        for place, sample in enumerate(case.samples):
            here = ("cases", number, "samples", place)
            for score in sample.scores:
                yield _Used(kind="score", name=score, where=(*here, "scores", score))
            for index, match in enumerate(sample.matches):
                yield _Used(kind="list", name=match.list, where=(*here, "matches", index, "list"))


def _known_lists(policy: Policy) -> _Known:
    return _Known(
        named=policy.asked_lists | _quoted_beside(policy, "matches") | {SELFTEST, ALLOW},
        any_counts=any("matches" in rule.condition.names for rule in policy.rules),
    )


def _known_signals(policy: Policy) -> _Known:
    asked = frozenset[str]().union(*(rule.condition.signals for rule in policy.rules))
    return _Known(
        named=asked | _quoted_beside(policy, "signals"),
        any_counts=any("signals" in rule.condition.names for rule in policy.rules),
    )


def _quoted_beside(policy: Policy, what: str) -> frozenset[str]:
    """All that stands in quotes where rules go through `matches` or `signals`: in what way it is meant nobody knows."""
    conditions = (rule.condition for rule in policy.rules if what in rule.condition.names)
    return frozenset[str]().union(*(texts(condition.tree) for condition in conditions)) - {""}
