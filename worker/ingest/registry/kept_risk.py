"""The records from which a stream's risk follows: signals with their times in its hash, and `lw:risk:{id}` with its
highest scores, Livewarden's own signals, and its latest decided incidents.

    score: PURPOSE MODEL/LABEL      "number at_ms"
    signal: PURPOSE NAME            "number at_ms", of `config.facts.OWN_SIGNALS` and `NOTE_SIGNALS`
    decided: PURPOSE INCIDENT       "outcome at_ms"
"""

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from config.facts import NOTE_SIGNALS, OWN_SIGNALS
from config.policy.risk import Risk, RiskFacts, TimedNumber, TimedOutcome, decay, stream_risk
from config.policy.risk_settings import SIGNALS, RiskSettings
from worker.ingest.registry.registry import signals_key, stream_key
from worker.store import redis_keys
from worker.store.redis_client import time_ms

risk_key: Final = redis_keys.RISK.of

RISK_FIELDS: Final = ("purpose", "risk_prior", "registered_ms", "signal_times")
"""Fields of a stream's hash that `risk_facts` reads."""

_SCORE: Final = "score: "
_SIGNAL: Final = "signal: "
_DECIDED: Final = "decided: "


def risk_facts(
    stream: Mapping[str, str], signals: Mapping[str, str], kept: Mapping[str, str], *, purpose: str
) -> RiskFacts:
    """The facts by a stream's records, without what is damaged.

    Args:
        stream: its hash, with `RISK_FIELDS`.
        signals: `lw:signals:{id}`.
        kept: `lw:risk:{id}`.
        purpose: of the watch: scores and decisions of a drill count on drills alone.
    """
    times = _times(stream.get("signal_times", ""))
    numbers = {name: number_of(text) for name, text in signals.items()}
    scores, decided = f"{_SCORE}{purpose} ", f"{_DECIDED}{purpose} "
    return RiskFacts(
        prior=number_of(stream.get("risk_prior", "")) or 0.0,
        prior_ms=_ms(stream.get("registered_ms", "")),
        signals={name: TimedNumber(number, times.get(name)) for name, number in numbers.items() if number is not None}
        | own_signals(kept, purpose=purpose),
        scores={
            name.removeprefix(scores): seen
            for name, text in kept.items()
            if name.startswith(scores) and (seen := _timed(text)) is not None
        },
        decided={
            name.removeprefix(decided): decision
            for name, text in kept.items()
            if name.startswith(decided) and (decision := _decision(text)) is not None
        },
    )


def own_signals(kept: Mapping[str, str], *, purpose: str) -> dict[str, TimedNumber]:
    """Livewarden's own signals in `lw:risk:{id}`, without what is damaged; a platform's of the same name are none."""
    names = (*OWN_SIGNALS, *NOTE_SIGNALS.values())
    found = {name: _timed(kept.get(f"{_SIGNAL}{purpose} {name}", "")) for name in names}
    return {name: signal for name, signal in found.items() if signal is not None}


def signals_now(
    facts: RiskFacts, kept: Mapping[str, str], now_ms: int, *, purpose: str, settings: RiskSettings
) -> dict[str, float]:
    """The signals as rules see them: a platform's until it reports another, our own fade by their half-life.

    Args:
        facts: by `risk_facts`, of the same records.
    """
    own = {
        name: signal.number * decay(max(0, now_ms - (signal.at_ms or 0)) / 1000, _half_life_seconds(name, settings))
        for name, signal in own_signals(kept, purpose=purpose).items()
    }
    return {name: signal.number for name, signal in facts.signals.items()} | own


def signal_fields(
    lost_ms: Mapping[str, int],
    *,
    segment_ms: int,
    purpose: str,
    now_ms: int,
    settings: RiskSettings,
    notes: Iterable[str] = (),
) -> dict[str, str]:
    """The fields with which `settle` keeps our own signals of a segment.

    Args:
        lost_ms: time of the segment that was not moderated, by reason.
        notes: on the segment.
    """
    lost = {name: sum(lost_ms.get(reason, 0) for reason in reasons) for name, reasons in OWN_SIGNALS.items()}
    numbers = {name: min(part_ms / segment_ms, 1.0) for name, part_ms in lost.items() if part_ms and segment_ms > 0}
    numbers |= {NOTE_SIGNALS[note]: 1.0 for note in notes if note in NOTE_SIGNALS}
    return {
        f"{_SIGNAL}{purpose} {name}": f"{number:.4f} {now_ms} {round(_half_life_seconds(name, settings) * 1000)}"
        for name, number in numbers.items()
    }


def _half_life_seconds(name: str, settings: RiskSettings) -> float:
    """Half-life of one of our own signals; the built-in one, where the policy takes it out of the risk."""
    return (settings.signals.get(name) or SIGNALS[name]).half_life_seconds


def risk_of(redis: Redis, stream_id: str, settings: RiskSettings) -> float:
    """The stream's risk now; 0 if its records are gone or damaged."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.hmget(stream_key(stream_id), RISK_FIELDS)
        pipe.hgetall(signals_key(stream_id))
        pipe.hgetall(risk_key(stream_id))
        pipe.time()
        known, signals, kept, clock = pipe.execute(raise_on_error=False)
    for answer in (known, signals, kept):
        if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
            raise answer
    values = [None] * len(RISK_FIELDS) if isinstance(known, ResponseError) else known
    stream = {name: str(value or "") for name, value in zip(RISK_FIELDS, values, strict=True)}
    facts = risk_facts(stream, hash_of(signals), hash_of(kept), purpose=stream["purpose"] or "live")
    return stream_risk(facts, time_ms(clock), settings).value


def score_fields(
    scores: Iterable[Mapping[str, float]], *, purpose: str, now_ms: int, settings: RiskSettings
) -> dict[str, str]:
    """The fields with which `settle` keeps the highest of a segment's scores that count for the stream's risk.

    Args:
        scores: of each of its samples.
    """
    highest: dict[str, float] = {}
    for of_sample in scores:
        for name in settings.scores.keys() & of_sample.keys():
            score = settings.scores[name]
            if score is not None and of_sample[name] >= score.least and math.isfinite(of_sample[name]):
                highest[name] = max(of_sample[name], highest.get(name, 0.0))
    return {
        f"{_SCORE}{purpose} {name}": f"{number:.4f} {now_ms} {round(score.half_life_seconds * 1000)}"
        for name, number in sorted(highest.items())
        if (score := settings.scores[name]) is not None
    }


def decided_field(purpose: str, incident_id: str) -> str:
    """The field of `lw:risk:{id}` for a decided incident."""
    return f"{_DECIDED}{purpose} {incident_id}"


def risk_data(risk: Risk) -> dict[str, Any]:
    """The risk part by part, as `livewarden streams show --json` prints it."""
    return {
        "value": round(risk.value, 4),
        "parts": [
            {
                "source": str(part.source),
                "name": part.name,
                "given": part.given,
                "weight": part.weight,
                "age_seconds": part.age_seconds,
                "half_life_seconds": part.half_life_seconds,
                "part": round(part.part, 4),
            }
            for part in risk.parts
        ],
    }


def number_of(text: str) -> float | None:
    """The number; None: there is none, or it is damaged."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None  # JSON has neither infinity nor NaN


def hash_of(answer: Any) -> dict[str, str]:
    """A hash as Redis returned it; empty if the key is of another type."""
    return {str(name): str(value) for name, value in answer.items()} if isinstance(answer, dict) else {}


def undated(stream: Mapping[str, str], signals: Mapping[str, str]) -> bool:
    """Returns whether any signal has no time: a version without times has stored it."""
    return not signals.keys() <= _times(stream.get("signal_times", "")).keys()


def _times(text: str) -> dict[str, int]:
    with suppress(ValueError, RecursionError):
        found = json.loads(text or "{}")
        if isinstance(found, dict):
            timed = {name: _ms(str(at_ms)) for name, at_ms in found.items()}
            return {name: at_ms for name, at_ms in timed.items() if at_ms is not None}
    return {}


def _ms(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MS_DIGITS else None


_MS_DIGITS: Final = 15


def _timed(text: str) -> TimedNumber | None:
    number, _, at = text.partition(" ")
    found, at_ms = number_of(number), _ms(at)
    return None if found is None or at_ms is None else TimedNumber(found, at_ms)


def _decision(text: str) -> TimedOutcome | None:
    outcome, _, at = text.partition(" ")
    at_ms = _ms(at)
    return None if at_ms is None else TimedOutcome(outcome, at_ms)
