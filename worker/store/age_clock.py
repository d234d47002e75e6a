"""The clock for retention: Redis's time, protected against a clock that has just jumped ahead.

A host that starts with next year's time may be wrong for a moment, in which everything with a retention of a month
would be deleted. So a clock that jumped ahead counts only after it has gone on from there for an hour; until then ages
stay as they were. A deployment that was down for longer than `AHEAD_MS` looks the same, and deletes nothing for its age
in its first hour.

Redis's own expiry follows its clock immediately.
"""

import logging
from typing import Final

from redis import Redis

from worker.logs.failure_log import FailureLog
from worker.store import redis_keys
from worker.store.redis_client import run_script, store_errors

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

AGE_CLOCK: Final = redis_keys.AGE_CLOCK.name

AHEAD_MS: Final = 1_800_000
"""A jump up to this (<=) since the clock was last seen counts immediately. Below all retention times, of which an hour
is the shortest."""

GOES_ON_MS: Final = 3_600_000
"""Time for which a clock that is further ahead must go on (>=)."""

STEP_MS: Final = 10_000
"""Most of that time that one call counts; there is a call every 2 s."""

ORDINARY_MS: Final = 8 * 24 * 3_600_000
"""A jump up to this (<=) is logged as information: the deployment may have been off for a week."""


def age_ms(redis: Redis) -> int:
    """The time with which ages are computed, in milliseconds: Redis's, or an earlier one.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        counts_ms, ahead_ms = run_script(redis, "age_clock", keys=[AGE_CLOCK], args=[AHEAD_MS, GOES_ON_MS, STEP_MS])
    if ahead_ms:
        text = "Redis's clock is %.1f h ahead of when it was last seen; nothing is deleted for its age for an hour"
        level = logging.WARNING if ahead_ms > ORDINARY_MS else logging.INFO
        _trouble.met("ahead", text, ahead_ms / 3_600_000, level=level)
    else:
        _trouble.over("ahead", "things are deleted for their age again, by Redis's clock", level=logging.INFO)
    return int(counts_ms)
