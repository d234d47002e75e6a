"""Signals: numbers that a platform reports on a live stream, such as viewers' reports, for use in rules.

One hash a stream, `lw:signals:{id}`: name to number; `signal_times` in the stream's hash has the time of each report. A
new watch generation begins without any.
"""

import json
import math
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from redis import Redis

from config.facts import IMMINENT_DANGER_RULE, StreamFacts
from config.policy.risk import stream_risk
from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from worker.errors import RegistryError
from worker.ingest.registry.kept_risk import hash_of, number_of, risk_facts, risk_key, signals_now, undated
from worker.ingest.registry.registry import DUE_DANGER, KEPT_AFTER_END_SECONDS, signals_key, stream_key
from worker.store.redis_client import ONCE_SECONDS, once_key, run_script, time_ms

MAX_SIGNALS: Final = 50
"""Limit for one stream: every segment carries all of them to the verdict log."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def check_signals(value: object) -> dict[str, float]:
    """Validates reported signals; nothing in them is trusted.

    Raises:
        RegistryError: naming the signal, what came and what was expected.
    """
    if isinstance(value, Mapping) and not value:
        raise RegistryError("signals: expected at least one")
    if not isinstance(value, Mapping):
        raise RegistryError(f"signals: expected an object of names and numbers, got {type(value).__name__}")
    if len(value) > MAX_SIGNALS:
        raise RegistryError(f"signals: {len(value)} of them: expected at most {MAX_SIGNALS}")
    checked: dict[str, float] = {}
    for name, number in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise RegistryError(f"signals: {str(name)[:80]!r}: expected 1 to 64 characters of a-z 0-9 _ . -")
        checked[name] = _finite(name, number)
    return checked


def _finite(name: str, number: object) -> float:
    with suppress(OverflowError):  # an integer beyond the range of floats
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number):
            return float(number)
    raise RegistryError(f"signals: {name}: {str(number)[:80]!r}: expected a number")


def report_signals(redis: Redis, stream_id: str, signals: Mapping[str, float], *, token: str | None = None) -> None:
    """Stores validated signals, with the time of this report; others that were reported before stay as they are. One of
    imminent danger above (>) 0 is raised as an incident within a second (`worker.incidents.imminent_danger`).

    Args:
        token: identifies this call; repeating it does nothing. None: a new one.

    Raises:
        RegistryError: the stream is not watched, or would have more than MAX_SIGNALS.
    """
    token = secrets.token_hex(16) if token is None else token
    pairs = [part for name in signals for part in (name, repr(signals[name]))]
    answer = run_script(
        redis,
        "signals",
        keys=[stream_key(stream_id), signals_key(stream_id), once_key(token), DUE_DANGER],
        args=[stream_id, KEPT_AFTER_END_SECONDS, MAX_SIGNALS, ONCE_SECONDS, IMMINENT_DANGER_RULE, *pairs],
    )
    if answer == "unknown":
        raise RegistryError(f"stream_id: {stream_id}: no such stream is watched")
    if answer == "too many":
        raise RegistryError(f"signals: stream {stream_id} would have more than {MAX_SIGNALS}")


def _metadata(text: str) -> dict[str, Any]:
    """The metadata; empty if missing or damaged, since a stream is moderated without it too."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _state(text: str, *, is_over: bool) -> str:
    if not re.fullmatch(r"[a-z_]{1,20}", text):
        return ""
    return "ended" if is_over else text


def stream_facts(
    redis: Redis,
    stream_id: str,
    *,
    purpose: str = "",
    generation: int | None = None,
    risk: RiskSettings = DEFAULT_RISK,
) -> StreamFacts:
    """The facts about a stream that rules can use.

    Args:
        purpose: purpose of the watch generation, which may be an earlier one; empty: the current purpose.
        generation: the watch generation; an earlier one has ended. None: the current one.
        risk: of the policy in force.
    """
    names = ("purpose", "audience", "risk_prior", "metadata", "state", "generation", "registered_ms", "signal_times")
    with redis.pipeline(transaction=False) as pipe:
        pipe.hmget(stream_key(stream_id), names)
        pipe.hgetall(signals_key(stream_id))
        pipe.hgetall(risk_key(stream_id))
        pipe.time()
        known, signals, kept, clock = pipe.execute(raise_on_error=False)
    for answer in (known, signals):
        if isinstance(answer, Exception):
            raise answer
    stream = {name: str(value or "") for name, value in zip(names, known, strict=True)}
    given = hash_of(signals)
    if undated(stream, given) and stream["state"]:
        run_script(
            redis,
            "date_signals",
            keys=[stream_key(stream_id), signals_key(stream_id), DUE_DANGER],
            args=[stream_id, IMMINENT_DANGER_RULE],
        )
    purpose = purpose or stream["purpose"] or "live"
    facts = risk_facts(stream, given, hash_of(kept), purpose=purpose)
    return StreamFacts(
        stream_id=stream_id,
        purpose=purpose,
        audience=stream["audience"] or "public",
        risk_prior=min(max(number_of(stream["risk_prior"]) or 0.0, 0.0), 1.0),
        metadata=_metadata(stream["metadata"]),
        signals=signals_now(facts, hash_of(kept), time_ms(clock), purpose=purpose, settings=risk),
        risk=stream_risk(facts, time_ms(clock), risk).value,
        state=_state(
            stream["state"], is_over=generation is not None and stream["generation"] not in ("", str(generation))
        ),
    )
