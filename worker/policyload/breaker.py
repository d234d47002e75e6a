"""A circuit breaker for models: no worker runs one whose runs do not end, for a while, and operators get an event.

Such a run can only be ended with its process, and each one costs seconds of a worker. So the first worker that meets
one marks the model in Redis; for STUCK_SECONDS pictures are hashed and matched as always, without that model. Then it
is tried again, and one more run that does not end leaves it out again.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from redis import Redis

from models.classifiers.classifier import StuckRun
from worker.events.cloudevent import derived_id
from worker.events.operations import alert_operators
from worker.store import redis_keys
from worker.store.redis_client import now_ms, store_errors

MODEL_STUCK: Final = "livewarden.operations.model_stuck.v1"

STUCK_SECONDS: Final = 300
"""For which a model is left out. A trial holds each pool child for about 8 s, 3 % of this time."""

_key: Final = redis_keys.STUCK.of
"""Key of the time until which a model is skipped, in milliseconds of Redis's clock."""


def stuck_keys(models: Sequence[str]) -> list[str]:
    """Keys that exist while a model is left out; for MGET, whose answer `stuck_among` reads."""
    return [_key(model) for model in models]


def stuck_among(models: Sequence[str], found: Sequence[object], *, now_ms: int) -> frozenset[str]:
    """Returns those of `models` that are left out now, by Redis's clock."""
    return frozenset(model for model, value in zip(models, found, strict=True) if _lasts(value, now_ms))


def _lasts(until: object, now_ms: int) -> bool:
    with suppress(ValueError):  # of another version, or none
        # A mark that lasts longer than any is set for was set before Redis's clock went back.
        return 0 < int(str(until)) - now_ms <= STUCK_SECONDS * 1000
    return False


def stuck_models(redis: Redis, models: Sequence[str]) -> frozenset[str]:
    """Returns those of `models`, at least one, that are left out now.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        return stuck_among(models, redis.mget(stuck_keys(models)), now_ms=now_ms(redis))


def leave_out(redis: Redis, run: StuckRun) -> None:
    """Makes all workers leave the model out, from their next segment on.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        redis.set(_key(run.model), now_ms(redis) + STUCK_SECONDS * 1000, ex=STUCK_SECONDS)


def publish_model_stuck(redis: Redis, run: StuckRun, *, deployment: str) -> None:
    """Publishes a stuck model to operators, once for these weights, however many workers meet it.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; it may have been published.
    """
    with store_errors():
        now = now_ms(redis)
    data = {
        "model": run.model,
        "version": run.version,
        "sha256": run.sha256,
        "time_limit_seconds": run.limit_seconds,
        "left_out_seconds": STUCK_SECONDS,
    }
    event_id = derived_id(MODEL_STUCK, run.model, run.version, run.sha256)
    alert_operators(redis, MODEL_STUCK, event_id, subject=run.model, data=data, deployment=deployment, now_ms=now)
