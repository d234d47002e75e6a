"""The tick, which sends the polls and reconciliations that are due by Redis's clock. Beat ticks, and so may workers."""

import logging
from collections.abc import Callable

from redis import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from worker.ingest.pending.segments import take_overdue
from worker.ingest.poll.due import offered
from worker.ingest.poll.poll import BATCH_STREAMS
from worker.ingest.poll.slow_polls import slow_polls_due
from worker.ingest.registry.kept_risk import risk_of
from worker.ingest.registry.registry import DUE, DUE_NEW, DUE_SLOW, LONGEST_DUE_MS, NEW_AT_ONCE
from worker.logs.failure_log import FailureLog
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

_failure_log = FailureLog(logging.getLogger(__name__))

TICK = redis_keys.TICK.name
RECONCILED = redis_keys.RECONCILED.name

TICK_SECONDS = 1.0
"""Interval of beat's ticks."""

SHORTEST_TICK_MS = 500
"""Ticks closer together than this count as one, so a second beat does no harm."""

LATE_TICK_MS = 2_000
"""A tick older than this is late: any worker ticks then, so that beat is no single point of failure."""

_NEW_WHILE_SLOW_BEHIND = 5
"""New streams that become due with a tick while slow polls are behind: about as many as slow polls finish."""

RECONCILE_EVERY_MS = 2_000

RECONCILE_BATCH_SEGMENTS = 200


def tick(redis: Redis, *, waiting_polls: int, send: Callable[[str], object], waiting_slow_polls: int = 0) -> int:
    """Sends as many polls as the due streams need, and a reconciliation if one is due; returns the number of polls.

    Args:
        send: sends the task of that name, `poll`, `slow_poll` or `reconcile`.
        waiting_polls: messages waiting in the control queue: polls that have not begun are not sent again.
        waiting_slow_polls: the same of slow polls; at most one waits.
    """
    due, reconcile = run_script(
        redis,
        "tick",
        keys=[TICK, DUE, RECONCILED, DUE_NEW, DUE_SLOW],
        args=[SHORTEST_TICK_MS, RECONCILE_EVERY_MS, LONGEST_DUE_MS, NEW_AT_ONCE, _NEW_WHILE_SLOW_BEHIND],
    )
    if reconcile:
        send("reconcile")
    polls = max(0, polls_needed(int(due) - offered(redis)) - waiting_polls)
    for _ in range(polls):
        send("poll")
    if due >= 0 and waiting_slow_polls == 0 and slow_polls_due(redis):
        send("slow_poll")
    return polls


def polls_needed(due_streams: int) -> int:
    """Number of batches for `due_streams`; 0 if another process ticked (-1)."""
    return -(-max(0, due_streams) // BATCH_STREAMS)


def tick_is_late(redis: Redis) -> bool:
    """Returns whether no process has ticked for `LATE_TICK_MS`."""
    last = redis.get(TICK)
    # A tick in the future is from before Redis's clock went back.
    return last is None or not 0 <= now_ms(redis) - int(last) <= LATE_TICK_MS


def reconcile(redis: Redis, send: Callable[[str, str, float], None], *, risk: RiskSettings = DEFAULT_RISK) -> int:
    """Sends segments again whose deadline has passed, because their message or their worker was lost."""
    overdue = take_overdue(redis, RECONCILE_BATCH_SEGMENTS)
    for stream_id, key in overdue:
        try:
            send(stream_id, key, risk_of(redis, stream_id, risk))
        except OutOfMemoryError:
            raise  # no other segment could be sent either
        except ResponseError as error:
            text = "stream %s: a segment is not sent again: its keys in Redis are damaged: %s"
            _failure_log.met(stream_id, text, stream_id, error)
    return len(overdue)
