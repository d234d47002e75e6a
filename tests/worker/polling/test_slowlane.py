"""The turns of slow streams among themselves."""

from redis import Redis

from worker.polling.slowlane import ORDER, WAITING_PREFIX, add_waiting, take_waiting, waiting_streams
from worker.redisdb import run_script
from worker.streams.slowness import SlowPart, note_slowness


def serve(redis: Redis, held_seconds: dict[str, float], turns: int) -> list[str]:
    """Takes segments and holds a process with each for as long as its stream does."""
    served = []
    for _ in range(turns):
        taken = take_waiting(redis)
        if taken is None:
            break
        stream_id, _ = taken
        served.append(stream_id)
        note_slowness(redis, SlowPart.SEGMENTS, stream_id, slow=True, held_seconds=held_seconds[stream_id])
    return served


def test_a_stream_that_was_slow_once_does_not_wait_behind_all_that_drips(redis: Redis):
    """An honest stream with one bad second would go unwatched for as long as hostile ones fill the slow queue."""
    held = {f"hostile-{index}": 5.0 for index in range(8)} | {"honest": 0.3}
    for stream_id in held:
        note_slowness(redis, SlowPart.SEGMENTS, stream_id, slow=True, held_seconds=1.0)
    for stream_id in list(held)[:-1]:
        for index in range(60):
            add_waiting(redis, stream_id, f"{index}")
    serve(redis, held, 30)  # they have been at it for a while
    for index in range(6):
        add_waiting(redis, "honest", f"{index}")
    served = serve(redis, held, 12)
    assert served.count("honest") == 6
    assert served.index("honest") <= 1


def test_time_is_shared_evenly(redis: Redis):
    """The stream that holds a process longest would have most of the time."""
    held = {"long": 4.0, "short": 1.0}
    for stream_id in held:
        note_slowness(redis, SlowPart.SEGMENTS, stream_id, slow=True, held_seconds=1.0)
        for index in range(100):
            add_waiting(redis, stream_id, f"{index}")
    served = serve(redis, held, 50)
    assert served.count("short") in range(39, 42)


def test_a_segment_that_is_sent_again_waits_once(redis: Redis):
    """The reconciler's repetitions would fetch a dripping segment over and over."""
    for _ in range(3):
        add_waiting(redis, "s", "k")
    assert waiting_streams(redis) == 1
    assert take_waiting(redis) == ("s", "k")
    assert take_waiting(redis) is None
    assert redis.keys("lw:slow:waiting:*") == []


def test_segments_of_one_stream_keep_their_order(redis: Redis):
    """Rules that are judged in order would wait for what was passed over."""
    for key in ("9", "10", "11"):
        add_waiting(redis, "s", key)
        redis.zadd(WAITING_PREFIX + "s", {key: int(key)})
    assert [take_waiting(redis) for _ in range(3)] == [("s", "9"), ("s", "10"), ("s", "11")]


def test_a_take_whose_answer_was_lost_gives_the_same_again(redis: Redis):
    """A segment would wait for the reconciler each time that a connection breaks."""
    for key in ("1", "2"):
        add_waiting(redis, "s", key)
    sent = {
        "keys": [ORDER, "lw:slow:clock", "lw:slow:taken:abc"],
        "args": [WAITING_PREFIX, "lw:slow:segments:", 1000, 60],
    }
    first = run_script(redis, "slow_take", **sent)
    assert run_script(redis, "slow_take", **sent) == first
    assert redis.zcard(WAITING_PREFIX + "s") == 1
