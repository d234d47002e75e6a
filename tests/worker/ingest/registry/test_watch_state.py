"""Whether a stream is watched, and its lag, by the clock."""

import pytest

from worker.ingest.registry.watch_state import LATE_POLL_MS, WatchState, lag_ms

NOW = 1_700_000_100_000


def record(state: str = "live", **ago_seconds: float) -> dict[str, str]:
    return {"state": state, **{f"{name}_ms": str(NOW - round(ago * 1000)) for name, ago in ago_seconds.items()}}


def unwatched_for(stream: dict[str, str], *, anybody_works: bool = True) -> float | None:
    """Seconds for which the record counts as unwatched."""
    since = WatchState.of(stream, now_ms=NOW, anybody_works=anybody_works).unwatched_since_ms
    return None if since is None else (NOW - since) / 1000


def test_a_stream_polled_in_time_is_watched():
    """An operator would look for faults where there are none."""
    assert unwatched_for(record(registered=60, last_poll=2, next_poll=-1)) is None
    assert unwatched_for(record(registered=60, last_poll=20, next_poll=10)) is None, "LATE_POLL_MS is <="
    assert unwatched_for(record("waiting", registered=1, next_poll=1)) is None


def test_a_stream_whose_poll_is_overdue_is_unwatched_since_its_last_one():
    """Streams would be shown as "live" while every polling process is stuck."""
    assert LATE_POLL_MS == 10_000
    assert unwatched_for(record(registered=60, last_poll=20, next_poll=10.001)) == 20
    assert unwatched_for(record("waiting", registered=11, next_poll=11)) == 11
    assert unwatched_for(record(registered=5, last_poll=500, next_poll=11)) == 5, "the last poll was of another watch"


@pytest.mark.parametrize("state", ["live", "waiting", "stalled", "unreachable", "malformed"])
def test_without_workers_no_stream_is_watched(state: str):
    """A dead deployment would look healthy while its streams' next polls are not due."""
    assert unwatched_for(record(state, registered=60, last_poll=4, next_poll=-6), anybody_works=False) == 4
    assert unwatched_for(record(state, registered=60), anybody_works=False) == 60


@pytest.mark.parametrize("state", ["ended", "removed"])
def test_ended_streams_need_no_watch(state: str):
    """Each ended broadcast would be shown as a fault."""
    assert unwatched_for(record(state, registered=6000, last_poll=5000, next_poll=4999), anybody_works=False) is None


def test_a_record_of_version_0_1_0_counts_from_its_last_poll():
    """After an upgrade every stream would be shown as unwatched, or none ever."""
    assert unwatched_for(record(registered=60, last_poll=19)) is None
    assert unwatched_for(record(registered=60, last_poll=21)) == 21
    assert unwatched_for({"state": "live"}) is None


def test_lag_grows_with_the_clock_while_a_stream_is_watched():
    """The last stored lag, 0.3 s, would be shown for ever."""
    stream = {"settled_until_ms": str(NOW - 7_000), "lag_ms": "300"}
    assert lag_ms(stream, now_ms=NOW, watched=True) == 7_000
    assert lag_ms(stream, now_ms=NOW + 60_000, watched=True) == 67_000
    assert lag_ms(stream, now_ms=NOW - 9_000, watched=True) == 0, "captured ahead of the clock"
    assert lag_ms(stream, now_ms=NOW + 60_000, watched=False) == 300, "what is over lags no more"
    assert lag_ms({"lag_ms": "300"}, now_ms=NOW, watched=True) == 300
    assert lag_ms({}, now_ms=NOW, watched=True) is None
