"""The time by which things are deleted for their age: Redis's, but for a clock that has just jumped ahead.

A host that starts with next year's time, or a hand that sets it, may be wrong for a moment, in which all that is kept
for a month is older than that. So a clock that jumped ahead counts once it has gone on from there for an hour; until
then things are as old as they were before. A deployment that was away for longer than `AHEAD_MS` cannot be told from
that, and deletes nothing for its age in its first hour.

What Redis itself expires goes by its clock at once.
"""

import logging
from typing import Final

from redis import Redis

from worker.logs.failure_log import Troubles
from worker.store import redis_keys
from worker.store.redis_client import run_script, store_errors

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

AGE_CLOCK: Final = redis_keys.AGE_CLOCK.name

AHEAD_MS: Final = 1_800_000
"""How far ahead (<=) of when it was last seen the clock counts at once. Below all ages at which things are deleted, of
which an hour is the least."""

GOES_ON_MS: Final = 3_600_000
"""For how long a clock that is further ahead has to go on (>=)."""

STEP_MS: Final = 10_000
"""Most of that by each time that it is seen, which is every 2 s."""

ORDINARY_MS: Final = 8 * 24 * 3_600_000
"""How far ahead (<=) it is where a deployment was switched off for a week: that is no warning."""


def age_ms(redis: Redis) -> int:
    """By which time things are as old as they are, in milliseconds: Redis's, or an earlier one.

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
