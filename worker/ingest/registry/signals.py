"""Signals: numbers that a platform reports on a live stream, such as viewers' reports, for use in rules.

One hash a stream, `lw:signals:{id}`: name to number. A new watch generation begins without any.
"""

import json
import math
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from redis import Redis

from config.facts import StreamFacts
from worker.errors import RegistryError
from worker.ingest.registry.registry import KEPT_AFTER_END_SECONDS, signals_key, stream_key
from worker.store.redis_client import ONCE_SECONDS, once_key, run_script

MAX_SIGNALS: Final = 50
"""Limit for one stream: every segment carries all of them to the verdict log."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def check_signals(value: object) -> dict[str, float]:
    """Validates reported signals; nothing in them is trusted.

    Raises:
        RegistryError: naming the signal, what came and what was expected.
    """
    if not isinstance(value, Mapping) or not value:
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
    """Stores validated signals; others that were reported before stay as they are.

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
        keys=[stream_key(stream_id), signals_key(stream_id), once_key(token)],
        args=[KEPT_AFTER_END_SECONDS, MAX_SIGNALS, ONCE_SECONDS, *pairs],
    )
    if answer == "unknown":
        raise RegistryError(f"stream_id: {stream_id}: no such stream is watched")
    if answer == "too many":
        raise RegistryError(f"signals: stream {stream_id} would have more than {MAX_SIGNALS}")


def _number(text: str) -> float | None:
    """The number; None: there is none, or it is damaged."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None  # JSON has neither infinity nor NaN


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


def stream_facts(redis: Redis, stream_id: str, *, purpose: str = "", generation: int | None = None) -> StreamFacts:
    """The facts about a stream that rules can use.

    Args:
        purpose: purpose of the watch generation, which may be an earlier one; empty: the current purpose.
        generation: the watch generation; an earlier one has ended. None: the current one.
    """
    names = ("purpose", "audience", "risk_prior", "metadata", "state", "generation")
    with redis.pipeline(transaction=False) as pipe:
        pipe.hmget(stream_key(stream_id), names)
        pipe.hgetall(signals_key(stream_id))
        known, signals = pipe.execute()
    purpose_now, audience, risk_prior, metadata, state, now = ("" if value is None else str(value) for value in known)
    return StreamFacts(
        stream_id=stream_id,
        purpose=purpose or purpose_now or "live",
        audience=audience or "public",
        risk_prior=min(max(_number(risk_prior) or 0.0, 0.0), 1.0),
        metadata=_metadata(metadata),
        signals={str(name): number for name, text in signals.items() if (number := _number(str(text))) is not None},
        state=_state(state, is_over=generation is not None and now not in ("", str(generation))),
    )
