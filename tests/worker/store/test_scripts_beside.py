"""A script that runs beside another one, in its round trip and its write to the disk."""

import pytest
from redis import Redis
from redis.exceptions import RedisError

from worker.errors import StoreError
from worker.store.redis_client import ScriptCall, run_beside_to_disk
from worker.timeline.series import SeriesSegment, SeriesStretch
from worker.timeline.series_store import lately_key, note_call, series_key

MAIN = ScriptCall(name="series_write", keys=[series_key("case-1")], args=["0", "text", 100])


def note() -> ScriptCall:
    segment = SeriesSegment(key="a", begin_ms=1000, stretches=(SeriesStretch(1000, 3000, ""),))
    return note_call("s", "live", segment)


def test_both_are_written_and_answered(redis: Redis) -> None:
    """A segment would be settled, and missing in its case's timeline."""
    assert run_beside_to_disk(redis, MAIN, note()) == (1, [])
    assert redis.zcard(lately_key("s")) == 1


def test_a_server_that_knows_neither_gets_both(redis: Redis) -> None:
    """After a restart of Redis the first segment of each worker would be missing."""
    redis.script_flush()
    assert run_beside_to_disk(redis, MAIN, note()) == (1, [])
    redis.script_flush()
    assert run_beside_to_disk(redis, MAIN, None) == (0, None)


def test_what_runs_beside_cannot_fail_the_other(redis: Redis) -> None:
    """A timeline would keep an escalation from being published."""
    redis.script_flush()
    broken = note()
    other = ScriptCall(name="series_write", keys=[series_key("case-2")], args=MAIN.args)
    run_beside_to_disk(redis, other, broken)
    done, told = run_beside_to_disk(redis, MAIN, ScriptCall(name=broken.name, keys=broken.keys, args=["x"]))
    assert done == 1
    assert isinstance(told, RedisError)


def test_the_failure_of_the_first_is_raised(redis: Redis) -> None:
    """A segment that was not settled would count as settled."""
    with pytest.raises(StoreError):
        run_beside_to_disk(redis, ScriptCall(name="series_write", keys=MAIN.keys, args=["0", "text", "never"]), note())
