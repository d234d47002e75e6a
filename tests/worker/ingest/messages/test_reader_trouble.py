"""Readers of `intake` that die, or lose Redis or their lease within a batch: no message is lost or refused for it."""

import threading
from collections.abc import Callable

import pytest
from envelopes import URL, message
from hls_origin import eventually
from listening_client import listening
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis_between import Command, Send, redis_between

from config.settings import Settings
from worker.ingest.messages.batches import Batch, claim, done
from worker.ingest.messages.keys import CLAIM, QUEUE, REST
from worker.ingest.messages.reader import A_LITTLE_SECONDS, MAX_TRIES, RENEW_SECONDS, MessageReader, keep_reading
from worker.ingest.messages.refusals import refused_messages
from worker.ingest.registry.registry import stream_ids
from worker.store.redis_client import connect

SETTINGS = Settings(deployment="d")


class Died(BaseException):
    """Stands for SIGKILL: none of the reader's handlers run after it."""


def at(stream_id: str, act: Callable[[], None]) -> Callable[[bytes], None]:
    """Runs `act` before each command about that stream."""

    def sends(command: bytes) -> None:
        if f"lw:stream:{stream_id}\r\n".encode() in command:
            act()

    return sends


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def send(redis: Redis, *stream_ids: str) -> None:
    redis.lpush(QUEUE, *[message([one, URL]) for one in stream_ids])


def look(redis: Redis) -> float:
    return MessageReader(redis, SETTINGS, threading.Event()).read_batch()


def lease_is_over(redis: Redis) -> None:
    """Lets the reader's lease expire."""
    redis.hset(CLAIM, "until_ms", 0)


def taken(redis: Redis) -> Batch:
    batch = claim(redis).batch
    assert batch is not None
    return batch


def test_a_message_that_kills_readers_is_refused_alone(redis: Redis, redis_url: str) -> None:
    """One message would end worker after worker, or honest messages would be refused with it."""
    send(redis, "before", "killer", "after")
    dying = listening(redis_url, at("killer", raising(Died())))
    deaths = 0
    while not refused_messages(redis):
        try:
            look(dying)
        except Died:
            deaths += 1
            lease_is_over(redis)
    # The first reader did not know yet that the batch kills readers, and removed nothing from it.
    assert deaths == 1 + MAX_TRIES
    assert stream_ids(redis) == ["before", "after"]
    assert [record["reason"] for record in refused_messages(redis)] == ["internal"]


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("gone"),
        RedisTimeoutError("gone"),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ReadOnlyError("You can't write against a read only replica."),
        NoPermissionError("this user has no permissions"),
        ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
        ResponseError("BUSY Redis is busy running a script."),
        OSError("no route"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:30],
)
def test_a_failure_of_redis_does_not_count_against_a_message(redis: Redis, redis_url: str, error: Exception) -> None:
    """Streams enqueued while Redis is away or full would be refused, and never be watched."""
    send(redis, "a", "b", "c")
    with pytest.raises((RedisError, OSError)):
        look(listening(redis_url, at("b", raising(error))))
    given_back = taken(redis)
    assert (given_back.first, len(given_back.messages), given_back.tries) == (1, 2, 0)
    lease_is_over(redis)
    look(redis)
    assert stream_ids(redis) == ["a", "b", "c"]
    assert refused_messages(redis) == []


@pytest.mark.parametrize("readers", [1, 2, 6])
def test_readers_that_lose_redis_and_come_back_do_not_count_against_a_message(
    redis: Redis, redis_url: str, readers: int
) -> None:
    """A platform's message would be refused, and its stream never watched, because Redis failed several times."""
    away = threading.Event()

    def sends(command: bytes) -> None:
        # From the first message on nothing arrives, so that the batch is not given back either.
        at("a", away.set)(command)
        if away.is_set():
            raise RedisConnectionError("gone")

    send(redis, "a", "b")
    in_turn = [MessageReader(listening(redis_url, sends), SETTINGS, threading.Event()) for _ in range(readers)]
    for number in range(4 * MAX_TRIES):
        with pytest.raises(RedisConnectionError):
            in_turn[number % readers].read_batch()
        away.clear()
        # All of them are back, and poll: the lease of the one that failed lasts.
        for reader in in_turn:
            reader.read_batch()
        lease_is_over(redis)
    look(redis)
    assert refused_messages(redis) == []
    assert stream_ids(redis) == ["a", "b"]


def test_a_claim_without_an_answer_does_not_count_against_a_message(redis: Redis, redis_url: str) -> None:
    """A Redis that executes claims and is cut off from its workers would have them refuse messages that none read."""
    send(redis, "a")

    def between(command: Command, answer: Send) -> bytes | None:
        raw = answer()
        return None if CLAIM.encode() in command else raw

    with redis_between(redis_url, between) as url, connect(url, retries=0) as cut_off:
        reader = MessageReader(cut_off, SETTINGS, threading.Event())
        for _ in range(2 * MAX_TRIES):
            with pytest.raises(RedisConnectionError):
                reader.read_batch()
            lease_is_over(redis)
    look(redis)
    assert refused_messages(redis) == []
    assert stream_ids(redis) == ["a"]


def test_a_reader_that_lost_its_batch_stops(redis: Redis, redis_url: str) -> None:
    """A reader that slept through its lease would apply messages again that another applies: an unwatch before its
    watch."""
    send(redis, "a", "b")
    taken(redis)
    lease_is_over(redis)
    other: list[Batch] = []

    def sleep() -> None:
        if not other:
            lease_is_over(redis)
            other.append(taken(redis))

    look(listening(redis_url, at("a", sleep)))
    assert [batch.claims for batch in other] == [3]
    assert stream_ids(redis) == ["a"]


def test_a_reader_that_is_slow_keeps_its_batch(redis: Redis, redis_url: str) -> None:
    """With a slow disk under Redis, readers would constantly take batches from each other."""
    send(redis, "a", "b")
    until_ms: list[int] = []

    def slow() -> None:
        until_ms.append(int(redis.hget(CLAIM, "until_ms") or 0))
        threading.Event().wait(RENEW_SECONDS + 0.05)

    def sends(command: bytes) -> None:
        for stream_id in ("a", "b"):
            at(stream_id, slow)(command)

    look(listening(redis_url, sends))
    assert until_ms[-1] >= until_ms[0] + RENEW_SECONDS * 1000


def test_readers_pause_so_that_a_flood_costs_streams_nothing(redis: Redis, redis_url: str) -> None:
    """A flood of messages would take the processor from moderation."""
    redis.lpush(QUEUE, *[b"x"] * 200)
    commands: list[bytes] = []
    pause = look(listening(redis_url, commands.append))
    (finished,) = [
        command for command in commands if CLAIM.encode() in command and QUEUE.encode() + b"\r" not in command
    ]
    rest_ms = int(finished.split(b"\r\n")[-2])
    assert rest_ms > 0
    assert pause == pytest.approx(rest_ms / 1000 + A_LITTLE_SECONDS, abs=0.001)
    redis.delete(REST)
    batch = taken(redis)
    done(redis, batch, 64, rest_seconds=60)
    assert claim(redis).batch is None
    assert redis.llen(QUEUE) == 200 - 2 * 64


@pytest.mark.expected_errors("intake is not read")
def test_an_unforeseen_error_ends_no_reader(redis: Redis, redis_url: str) -> None:
    """Platforms' messages would stay unread until workers are restarted."""
    errors = [ValueError("a bug of ours")]

    def sends(command: bytes) -> None:
        if errors and CLAIM.encode() in command:
            raise errors.pop()

    send(redis, "a")
    stopping = threading.Event()
    reading = threading.Thread(target=keep_reading, args=(listening(redis_url, sends), SETTINGS, stopping))
    reading.start()
    try:
        eventually(lambda: stream_ids(redis) == ["a"], within_seconds=60, what="it reads on")
    finally:
        stopping.set()
        reading.join()
    assert errors == []
