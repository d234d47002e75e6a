"""The record of a stream from the registry, its ledger and its cursor, as shown to people and programs."""

import json
import math
from contextlib import suppress
from typing import Any, Final, TypeVar

from redis import Redis
from redis.exceptions import ResponseError

from config.policy.risk import stream_risk
from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from worker.errors import RegistryError
from worker.events.cloudevent import rfc3339
from worker.health.presence import LIFE_MS, ProcessRole, list_key
from worker.ingest.coverage.ledger import Provisional, coverage_key, summary, with_owed
from worker.ingest.pending.segments import pending_key, pending_ms
from worker.ingest.poll.schedule import TICK
from worker.ingest.registry.kept_risk import own_signals, risk_data, risk_facts, risk_key
from worker.ingest.registry.registration import check_stream_id
from worker.ingest.registry.registry import signals_key, stream_ids, stream_key
from worker.ingest.registry.slow_streams import SlowPart, slow_key
from worker.ingest.registry.watch_state import WatchState, lag_ms
from worker.store.redis_client import time_ms

UNKNOWN: Final = "unknown"
"""Value of a field that a damaged record lacks."""

_Kind = TypeVar("_Kind", dict[str, Any], list[Any])


def stream_status(redis: Redis, stream_id: str, *, risk: RiskSettings = DEFAULT_RISK) -> dict[str, Any]:
    """The record of one stream, as `livewarden streams show ID --json` prints it.

    Args:
        risk: of the policy in force: by it the stream's risk is computed.

    Raises:
        RegistryError: there is none.
    """
    check_stream_id(stream_id)
    # In one transaction: a segment settled between two reads would be counted twice or not at all.
    keys = [key(stream_id) for key in (stream_key, coverage_key, pending_key, signals_key, risk_key)]
    keys += [slow_key(part, stream_id) for part in SlowPart]
    with redis.pipeline(transaction=True) as pipe:
        for key in keys:
            pipe.hgetall(key)
        pipe.time()
        pipe.get(TICK)
        pipe.zrange(list_key(ProcessRole.WORKER), -1, -1, withscores=True)
        *found, time, tick, signs = pipe.execute(raise_on_error=False)
    damaged = [key for key, hash_ in zip(keys, found, strict=True) if isinstance(hash_, ResponseError)]
    stream, ledger, pending, signals, kept, *marks = (
        {} if isinstance(hash_, ResponseError) else hash_ for hash_ in found
    )
    tick = tick if isinstance(tick, str) and tick.isdecimal() else 0
    signs = [] if isinstance(signs, ResponseError) else signs
    if not stream and not damaged:
        raise RegistryError(f"stream_id: {stream_id}: no such stream is on record")
    now_ms = time_ms(time)
    provisional = Provisional.of(stream, now_ms)
    cursor = _object(stream.get("cursor"))
    last_sign_ms = max([int(tick), *(int(score) for _, score in signs)])
    watch = WatchState.of(stream, now_ms=now_ms, anybody_works=now_ms - last_sign_ms <= LIFE_MS)
    purpose = stream.get("purpose") or "live"
    facts = risk_facts(stream, signals, kept, purpose=purpose)
    numbers = {name: _number(number) for name, number in signals.items()}
    numbers |= {name: signal.number for name, signal in own_signals(kept, purpose=purpose).items()}
    lag = lag_ms(stream, now_ms=now_ms, watched=watch.watched or bool(pending))
    return {
        "stream_id": stream_id,
        "state": stream.get("state", UNKNOWN),
        "reason": stream.get("reason", ""),
        "url": stream.get("url", ""),
        "purpose": stream.get("purpose", UNKNOWN),
        "audience": stream.get("audience", UNKNOWN),
        "risk_prior": _number(stream.get("risk_prior")),
        "metadata": _object(stream.get("metadata")),
        "risk": risk_data(stream_risk(facts, now_ms, risk)),
        "signals": dict(sorted(numbers.items())),
        "signals_reported": {
            name: None if signal.at_ms is None else rfc3339(signal.at_ms)
            for name, signal in sorted(facts.signals.items())
        },
        "generation": int(_number(stream.get("generation"))),
        "epoch": cursor.get("epoch", 0),
        "rendition": cursor.get("rendition", ""),
        **summary(with_owed(ledger, stream), pending_ms(pending), provisional),
        "lag_seconds": None if lag is None else lag / 1000,
        "last_polled_seconds_ago": (None if watch.last_poll_ms is None else max(0, now_ms - watch.last_poll_ms) / 1000),
        "unwatched_since": None if watch.unwatched_since_ms is None else rfc3339(watch.unwatched_since_ms),
        "last_scores": {name: _number(score) for name, score in _object(stream.get("last_scores")).items()},
        "still": stream.get("still", ""),
        "slow": [
            str(part) for part, mark in zip(SlowPart, marks, strict=True) if watch.watched and mark.get("slow") == "1"
        ],
        "degraded": [str(problem) for problem in _parsed(stream.get("degraded"), list)],
        "damaged": damaged,
    }


def _parsed(text: str | None, kind: type[_Kind]) -> _Kind:
    """The parsed JSON; empty if missing, or damaged, which the poll reports."""
    with suppress(ValueError, RecursionError):
        found = json.loads(text or "null")
        if isinstance(found, kind):
            return found
    return kind()


def _object(text: str | None) -> dict[str, Any]:
    return _parsed(text, dict)


def _number(value: Any) -> float:
    """The number; 0 if missing, not finite or damaged."""
    with suppress(ValueError, TypeError):
        number = float(value)
        return number if math.isfinite(number) else 0.0
    return 0.0


def stream_statuses(redis: Redis, *, risk: RiskSettings = DEFAULT_RISK) -> list[dict[str, Any]]:
    """The records of all streams in order of registration, without expired ones."""
    known = (stream_id for stream_id in stream_ids(redis) if redis.exists(stream_key(stream_id)))
    return [stream_status(redis, stream_id, risk=risk) for stream_id in known]
