"""The risk of a stream, 0 to 1: the reasons to watch it closely, before anything on it is an incident. Pure.

Each part of it has a weight, the most that it adds, and a half-life (`config.policy.risk_settings`). The parts are
combined as 1 - (1 - a)(1 - b)…: more reasons never lower it, their order does not count, and it is 1 only where one
part alone is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from math import prod
from typing import Final, NamedTuple

from config.policy.risk_settings import RiskSettings

_DECIMALS: Final = 9


class TimedNumber(NamedTuple):
    """A number, and the time when it was reported or seen."""

    number: float
    at_ms: int | None
    """Redis's clock; None: unknown, which counts as now."""


class TimedOutcome(NamedTuple):
    """The outcome of a decided incident, and the time of its decision by Redis's clock."""

    outcome: str
    at_ms: int


@dataclass(frozen=True, kw_only=True)
class RiskFacts:
    """The facts from which a stream's risk follows."""

    prior: float = 0.0
    """The platform's estimate, 0 to 1."""
    prior_ms: int | None = None
    """Time of the registration."""
    signals: Mapping[str, TimedNumber] = field(default_factory=dict)
    """By name; numbers <= 0 add nothing."""
    scores: Mapping[str, TimedNumber] = field(default_factory=dict)
    """By "<model>/<label>": of the scores seen, the one that adds most now (`higher_now`)."""
    decided: Mapping[str, TimedOutcome] = field(default_factory=dict)
    """By incident."""


class RiskSource(StrEnum):
    """Origin of a part of a stream's risk."""

    PRIOR = "prior"
    SIGNAL = "signal"
    SCORE = "score"
    DECISION = "decision"


@dataclass(frozen=True, kw_only=True)
class RiskPart:
    """A part of a stream's risk, with what it follows from."""

    source: RiskSource
    name: str
    """Name of the signal or score, or the incident's id; `risk_prior`."""
    given: float | str
    """The number, or the outcome of the decision."""
    weight: float
    """The most that it adds."""
    age_seconds: float | None
    """Since it was reported, seen or decided; None: unknown, which counts as now, or it does not matter."""
    half_life_seconds: float | None
    """None: it stays."""
    part: float
    """Share that it adds now, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Risk:
    """A stream's risk, with its parts."""

    value: float
    """0 to 1."""
    parts: tuple[RiskPart, ...]
    """Those that add something: the prior, signals, scores and decisions, each by name."""


def stream_risk(facts: RiskFacts, now_ms: int, settings: RiskSettings) -> Risk:
    """The risk of a stream at a time of Redis's clock.

    It never falls where a number rises, and never rises with age. A time in the future, from before Redis's clock went
    back, counts as now.
    """
    parts = tuple(part for part in _parts(facts, now_ms, settings) if part.part > 0)
    # Rounded, so that a prior of 0.7 alone is 0.7, which two subtractions may miss.
    return Risk(value=round(1 - prod(1 - part.part for part in parts), _DECIMALS), parts=parts)


def higher_now(before: TimedNumber | None, seen: TimedNumber, now_ms: int, half_life_seconds: float) -> TimedNumber:
    """The one of two scores that adds more, now and, since both decay alike, at any later time."""
    if before is None:
        return seen
    return max(before, seen, key=lambda one: one.number * decay(_age_seconds(one.at_ms, now_ms), half_life_seconds))


def decay(age_seconds: float | None, half_life_seconds: float | None) -> float:
    """The share of a part that is left at that age, 1 to 0."""
    if age_seconds is None or half_life_seconds is None:
        return 1.0
    return float(2.0 ** -(age_seconds / half_life_seconds))


def _age_seconds(at_ms: int | None, now_ms: int) -> float | None:
    return None if at_ms is None else max(0, now_ms - at_ms) / 1000


def _parts(facts: RiskFacts, now_ms: int, settings: RiskSettings) -> Iterator[RiskPart]:
    part = partial(_part, now_ms)
    half_life_seconds = settings.prior_half_life_seconds
    prior = TimedNumber(min(max(facts.prior, 0.0), 1.0), None if half_life_seconds is None else facts.prior_ms)
    yield part(RiskSource.PRIOR, "risk_prior", prior, 1.0, half_life_seconds, prior.number)
    for name, given in sorted(facts.signals.items()):
        signal = settings.signals.get(name)
        if signal is not None:
            share = min(max(given.number / signal.scale, 0.0), 1.0)
            yield part(RiskSource.SIGNAL, name, given, signal.weight, signal.half_life_seconds, share)
    for name, seen in sorted(facts.scores.items()):
        score = settings.scores.get(name)
        if score is not None:
            share = min(seen.number, 1.0) if seen.number >= score.least else 0.0
            yield part(RiskSource.SCORE, name, seen, score.weight, score.half_life_seconds, share)
    for incident_id, decided in sorted(facts.decided.items()):
        decision = settings.decisions.get(decided.outcome)
        if decision is not None:
            yield part(RiskSource.DECISION, incident_id, decided, decision.weight, decision.half_life_seconds, 1.0)


def _part(
    now_ms: int,
    source: RiskSource,
    name: str,
    given: TimedNumber | TimedOutcome,
    weight: float,
    half_life_seconds: float | None,
    share: float,
) -> RiskPart:
    age_seconds = _age_seconds(given.at_ms, now_ms)
    return RiskPart(
        source=source,
        name=name,
        given=given.outcome if isinstance(given, TimedOutcome) else given.number,
        weight=weight,
        age_seconds=age_seconds,
        half_life_seconds=half_life_seconds,
        part=weight * share * decay(age_seconds, half_life_seconds),
    )
