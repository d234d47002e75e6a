"""Names in test cases that no rule uses: a case with a misspelt list, signal or score tests nothing, and passes."""

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
    """A name, and its first place."""

    kind: Literal["score", "list", "signal"]
    name: str
    where: Location


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Names of lists or signals that rules use."""

    named: frozenset[str]
    any_counts: bool
    """A rule iterates over all of them, so that one that is not named may count as well."""


def check_names(
    policy: Policy, cases: CaseFile, document: YamlText, name: str, *, given_scores: Collection[str]
) -> list[Mistake]:
    """Checks the names in cases against those that a policy uses.

    Args:
        document: the file of the cases; `name` is its name in messages.
        given_scores: scores of all installed classifiers, "<model>/<label>".

    Returns:
        Names that no rule uses, which may be meant: that no rule holds for them can be tested.

    Raises:
        ReplayError: a score that no model has; or a list or signal that no rule uses, where a rule uses a similar
            name and no rule iterates over all of them.
    """
    scores = frozenset(given_scores) | policy.referenced_scores
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
        named=policy.referenced_lists | _quoted_beside(policy, "matches") | {SELFTEST, ALLOW},
        any_counts=any("matches" in rule.condition.names for rule in policy.rules),
    )


def _known_signals(policy: Policy) -> _Known:
    used = frozenset[str]().union(*(rule.condition.signals for rule in policy.rules))
    return _Known(
        named=used | _quoted_beside(policy, "signals"),
        any_counts=any("signals" in rule.condition.names for rule in policy.rules),
    )


def _quoted_beside(policy: Policy, what: str) -> frozenset[str]:
    """All quoted texts of rules that iterate over `matches` or `signals`: their meaning is unknown."""
    conditions = (rule.condition for rule in policy.rules if what in rule.condition.names)
    return frozenset[str]().union(*(texts(condition.tree) for condition in conditions)) - {""}
