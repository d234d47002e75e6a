"""Fair shares of streams in a lane."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from worker.ingest.pending.fair_queue import (
    QUEUE_OF,
    Lane,
    _held_prefix,
    add_waiting,
    lacks_message,
    note_held,
    take_waiting,
    waiting_key,
    waiting_streams,
)
from worker.ingest.pending.segments import OVERDUE, pending_key
from worker.ingest.poll.schedule import reconcile
from worker.ingest.registry.registry import stream_key
from worker.ingest.registry.slow_streams import SlowPart, note_slowness


@pytest.fixture(params=Lane)
def lane(request: pytest.FixtureRequest) -> Lane:
    return Lane(request.param)


def note(redis: Redis, lane: Lane, stream_id: str, held_seconds: float) -> None:
    """Notes for how long a stream held a process."""
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


def test_a_stream_that_was_slow_once_does_not_wait_behind_slow_ones(redis: Redis, lane: Lane):
    """An honest stream with one bad second would stay unwatched for as long as hostile ones fill the slow queue."""
    held = {f"hostile-{index}": 5.0 for index in range(8)} | {"honest": 0.3}
    for stream_id in held:
        note(redis, lane, stream_id, 1.0)
    for stream_id in list(held)[:-1]:
        for index in range(60):
            add_waiting(redis, lane, stream_id, f"{index}")
    serve(redis, lane, held, 30)  # they have had the processes for a while
    for index in range(6):
        add_waiting(redis, lane, "honest", f"{index}")
    served = serve(redis, lane, held, 12)
    assert served.count("honest") == 6
    assert served.index("honest") <= 1


def test_time_is_shared_evenly(redis: Redis, lane: Lane):
    """The stream that holds a process longest would get most of the time."""
    held = {"long": 4.0, "short": 1.0}
    for stream_id in held:
        note(redis, lane, stream_id, 1.0)
        for index in range(100):
            add_waiting(redis, lane, stream_id, f"{index}")
    served = serve(redis, lane, held, 50)
    assert served.count("short") in range(39, 42)


def test_a_resent_segment_waits_once(redis: Redis, lane: Lane):
    """The reconciler's repetitions would fetch a slow segment again and again."""
    for _ in range(3):
        add_waiting(redis, lane, "s", "k")
    assert waiting_streams(redis, lane) == 1
    assert take_waiting(redis, lane) == ("s", "k")
    assert take_waiting(redis, lane) is None
    assert redis.keys("lw:lane:waiting:*") == []


def test_segments_of_one_stream_keep_their_order(redis: Redis, lane: Lane):
    """Rules that are evaluated in order would wait for skipped segments."""
    for key in ("9", "10", "11"):
        add_waiting(redis, lane, "s", key)
        redis.zadd(waiting_key(lane, "s"), {key: int(key)})
    assert [take_waiting(redis, lane) for _ in range(3)] == [("s", "9"), ("s", "10"), ("s", "11")]


def test_a_segment_taken_but_never_begun_waits_again(redis: Redis, lane: Lane):
    """A worker killed just after taking a segment would leave it pending and unmoderated."""
    redis.hset(pending_key("s"), "k", "{}")
    add_waiting(redis, lane, "s", "k")
    assert take_waiting(redis, lane) == ("s", "k")
    redis.zadd(OVERDUE, {"s k": 0})
    reconcile(redis, lambda stream_id, key, _: add_waiting(redis, lane, stream_id, key))
    assert take_waiting(redis, lane) == ("s", "k")


def test_a_stream_with_nothing_waiting_blocks_nobody(redis: Redis, lane: Lane):
    """Waiting segments expire after an hour: messages would select that stream, and take nothing."""
    for stream_id in ("gone", "s"):
        add_waiting(redis, lane, stream_id, "k")
    redis.delete(waiting_key(lane, "gone"))
    assert take_waiting(redis, lane) == ("s", "k")
    assert waiting_streams(redis, lane) == 0


def test_streams_that_come_and_go_leave_nothing_behind(redis: Redis, lane: Lane):
    """A thousand broadcasts a day would fill Redis within months."""
    for number in range(200):
        add_waiting(redis, lane, f"s{number}", "k")
        taken = take_waiting(redis, lane)
        assert taken is not None
        note(redis, lane, taken[0], 0.3)
    kept = [key for key in redis.scan_iter("lw:*", count=1_000) if redis.ttl(key) < 0]
    assert kept == [f"lw:lane:clock:{lane}"]


def test_shares_are_even_after_years(redis: Redis, lane: Lane):
    """A clock that grows with each turn would lose precision, or stop."""
    redis.set(f"lw:lane:clock:{lane}", 10 * 365 * 86_400_000 * 64)  # ten years of 64 processes
    held = {"a": 1.0, "b": 1.0}
    for stream_id in held:
        note(redis, lane, stream_id, 1.0)
        for index in range(50):
            add_waiting(redis, lane, stream_id, f"{index}")
    served = serve(redis, lane, held, 40)
    assert served.count("a") == 20
    assert float(redis.get(f"lw:lane:clock:{lane}") or 0) == 10 * 365 * 86_400_000 * 64 + 19_000


class Messages:
    """A lane's queue as kombu keeps it, with workers that take from it as `worker.runtime.tasks` does."""

    def __init__(self, redis: Redis, lane: Lane) -> None:
        self.redis, self.lane = redis, lane

    def send(self, stream_id: str, key: str, _: float = 0.0) -> None:
        if add_waiting(self.redis, self.lane, stream_id, key):
            self.redis.lpush(QUEUE_OF[self.lane], "{}")

    def receive(self) -> bool:
        return self.redis.rpop(QUEUE_OF[self.lane]) is not None

    def take(self) -> tuple[str, str] | None:
        taken = take_waiting(self.redis, self.lane)
        if taken is not None and lacks_message(self.redis, self.lane):
            self.redis.lpush(QUEUE_OF[self.lane], "{}")
        return taken

    def count(self) -> int:
        return int(self.redis.llen(QUEUE_OF[self.lane]))


@pytest.fixture
def messages(redis: Redis, lane: Lane) -> Messages:
    return Messages(redis, lane)


def test_a_busy_lane_accumulates_no_messages(messages: Messages):
    """Each repetition of the reconciler would leave a message behind, 400 MB a day for eight hostile streams, until
    Redis is full."""
    for _ in range(20):
        for stream_id in ("a", "b"):
            for index in range(64):
                messages.send(stream_id, f"{index}")
    assert messages.count() == 2 * 64, "one for each that waits"
    for index in range(200):
        # A taken segment comes back: it was passed on, or its worker was killed.
        assert messages.receive()
        taken = messages.take()
        assert taken is not None
        messages.send(*taken)
        messages.send("b", f"{index % 64}")
    assert messages.count() <= 2 * 64


def test_one_message_serves_all_waiting_segments(redis: Redis, messages: Messages):
    """Segments whose messages were lost together would each wait two minutes for the reconciler."""
    for stream_id in ("a", "b", "c"):
        for index in range(20):
            messages.send(stream_id, f"{index}")
    redis.delete(QUEUE_OF[messages.lane])
    messages.send("d", "0")
    taken = set()
    while messages.receive():
        found = messages.take()
        if found is not None:
            taken.add(found)
    assert len(taken) == 61
    assert messages.count() == 0


def test_the_reconciler_sends_a_message_where_none_is_left(redis: Redis, messages: Messages):
    """A segment whose message was lost would stay pending for ever."""
    redis.hset(pending_key("s"), "k", "{}")
    messages.send("s", "k")
    assert messages.receive()  # and its worker was killed before it took anything
    redis.zadd(OVERDUE, {"s k": 0})
    reconcile(redis, messages.send)
    assert messages.receive()
    assert messages.take() == ("s", "k")


STEPS = ("new", "new", "again", "receive", "receive", "take", "take", "lose", "restore", "die", "deadline")


@given(st.lists(st.sampled_from(STEPS), max_size=60))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_segment_waits_without_a_message_whatever_is_lost(redis: Redis, steps: list[str]):
    """A segment would stay unmoderated for as long as its origin has it; or messages would accumulate."""
    redis.flushdb()
    messages = Messages(redis, Lane.SHARED)
    received = most_received = unacknowledged = restored = 0
    for number, step in enumerate(steps):
        if step == "new":
            messages.send(f"s{number % 3}", f"{number}")
        elif step == "again":
            messages.send(f"s{number % 3}", f"{number // 2}")
        elif step == "receive":
            received += messages.receive()
            most_received = max(received, most_received)
        elif step == "take" and received:
            received, unacknowledged = received - 1, unacknowledged + 1
            messages.take()
        elif step == "lose":
            messages.receive()  # Redis gave it to a worker that was killed then
        elif step == "restore" and unacknowledged:
            unacknowledged, restored = unacknowledged - 1, restored + 1
            redis.rpush(QUEUE_OF[Lane.SHARED], "{}")  # kombu does, for a worker that is gone
        elif step == "die":
            received = 0
        elif step == "deadline":
            reach_a_deadline(messages)
        waiting = sum(redis.zcard(waiting_key(Lane.SHARED, f"s{stream}")) for stream in range(3))
        assert messages.count() <= waiting + most_received + restored
    reach_a_deadline(messages)
    while messages.receive():
        messages.take()
    assert waiting_streams(redis, Lane.SHARED) == 0


def reach_a_deadline(messages: Messages) -> None:
    """Lets one waiting segment, if any, reach its deadline: the reconciler sends it again."""
    for stream_id in messages.redis.zrange(f"lw:lane:order:{messages.lane}", 0, 0):
        messages.send(stream_id, messages.redis.zrange(waiting_key(messages.lane, stream_id), 0, 0)[0])


@pytest.mark.parametrize("which", ["waiting", "mark", "number"])
def test_damaged_keys_of_one_stream_cost_others_no_turn(redis: Redis, lane: Lane, which: str):
    """No segment would be moderated as long as the damaged key exists: each turn would begin with it."""
    for stream_id in ("damaged", "sound"):
        note(redis, lane, stream_id, 1.0)
        for index in range(2):
            add_waiting(redis, lane, stream_id, f"{index}")
    mark = _held_prefix(lane) + "damaged"
    if which == "number":
        redis.hset(mark, mapping={"held_ms": "{", "turn": "{"})
    else:
        key = waiting_key(lane, "damaged") if which == "waiting" else mark
        redis.delete(key)
        redis.set(key, "x")
    taken = [take_waiting(redis, lane) for _ in range(4)]
    assert [one for one in taken if one and one[0] == "sound"] == [("sound", "0"), ("sound", "1")]


@pytest.mark.parametrize("key", ["waiting", "pending", "cursor"])
def test_damaged_keys_of_one_stream_cost_others_no_overdue_segments(redis: Redis, key: str):
    """One stream would keep lost segments of all streams from being sent again."""
    for stream_id in ("damaged", "sound"):
        redis.hset(pending_key(stream_id), "k", json.dumps({"stream_id": stream_id}))
        redis.zadd(OVERDUE, {f"{stream_id} k": 0})
    damaged = {
        "waiting": waiting_key(Lane.SHARED, "damaged"),
        "pending": pending_key("damaged"),
        "cursor": stream_key("damaged"),
    }[key]
    redis.delete(damaged)
    redis.set(damaged, "x")
    sent = []
    reconcile(redis, lambda stream_id, segment_key, _: sent.append(add_and_name(redis, stream_id, segment_key)))
    assert "sound" in sent


def add_and_name(redis: Redis, stream_id: str, segment_key: str) -> str:
    add_waiting(redis, Lane.SHARED, stream_id, segment_key)
    return stream_id
