"""The turns of streams among themselves."""

import pytest
from redis import Redis

from worker.polling.lanes import Lane, add_waiting, note_held, take_waiting, waiting_key, waiting_streams
from worker.streams.slowness import SlowPart, note_slowness


@pytest.fixture(params=Lane)
def lane(request: pytest.FixtureRequest) -> Lane:
    return Lane(request.param)


def note(redis: Redis, lane: Lane, stream_id: str, held_seconds: float) -> None:
    """What a stream held a process for."""
    if lane is Lane.SLOW:
        note_slowness(redis, SlowPart.SEGMENTS, stream_id, slow=True, held_seconds=held_seconds)
    else:
        note_held(redis, lane, stream_id, held_seconds=held_seconds)


def serve(redis: Redis, lane: Lane, held_seconds: dict[str, float], turns: int) -> list[str]:
    """Takes segments and holds a process with each for as long as its stream does."""
    served = []
    for _ in range(turns):
        taken = take_waiting(redis, lane)
        if taken is None:
            break
        stream_id, _ = taken
        served.append(stream_id)
        note(redis, lane, stream_id, held_seconds[stream_id])
    return served


def test_a_stream_that_was_slow_once_does_not_wait_behind_all_that_drips(redis: Redis, lane: Lane):
    """An honest stream with one bad second would go unwatched for as long as hostile ones fill the slow queue."""
    held = {f"hostile-{index}": 5.0 for index in range(8)} | {"honest": 0.3}
    for stream_id in held:
        note(redis, lane, stream_id, 1.0)
    for stream_id in list(held)[:-1]:
        for index in range(60):
            add_waiting(redis, lane, stream_id, f"{index}")
    serve(redis, lane, held, 30)  # they have been at it for a while
    for index in range(6):
        add_waiting(redis, lane, "honest", f"{index}")
    served = serve(redis, lane, held, 12)
    assert served.count("honest") == 6
    assert served.index("honest") <= 1


def test_time_is_shared_evenly(redis: Redis, lane: Lane):
    """The stream that holds a process longest would have most of the time."""
    held = {"long": 4.0, "short": 1.0}
    for stream_id in held:
        note(redis, lane, stream_id, 1.0)
        for index in range(100):
            add_waiting(redis, lane, stream_id, f"{index}")
    served = serve(redis, lane, held, 50)
    assert served.count("short") in range(39, 42)


def test_a_segment_that_is_sent_again_waits_once(redis: Redis, lane: Lane):
    """The reconciler's repetitions would fetch a dripping segment over and over."""
    for _ in range(3):
        add_waiting(redis, lane, "s", "k")
    assert waiting_streams(redis, lane) == 1
    assert take_waiting(redis, lane) == ("s", "k")
    assert take_waiting(redis, lane) is None
    assert redis.keys("lw:lane:waiting:*") == []


def test_segments_of_one_stream_keep_their_order(redis: Redis, lane: Lane):
    """Rules that are judged in order would wait for what was passed over."""
    for key in ("9", "10", "11"):
        add_waiting(redis, lane, "s", key)
        redis.zadd(waiting_key(lane, "s"), {key: int(key)})
    assert [take_waiting(redis, lane) for _ in range(3)] == [("s", "9"), ("s", "10"), ("s", "11")]
