"""Redis's clock goes back by ten minutes: a host is corrected, or another one takes over. Nothing may stop for so
long."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery
from redis import Redis
from redis_clock import ServerWithClock, server_with_clock
from scene import Scene

from config.facts import StreamFacts
from config.policy.policy import Policy
from config.settings import Settings
from models.bank.entries import Entry, HashKind, ListSpec
from models.classifiers.classifier import StuckRun
from models.pdq.pdq import PdqHash
from worker.bank import edits
from worker.bank.keys import WRITER
from worker.bank.own_lists import allow
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import QueueError
from worker.health.presence import Presence, ProcessRole, give_sign, present
from worker.incidents.events import EventType
from worker.incidents.keys import incident_key
from worker.ingest.messages.batches import claim
from worker.ingest.messages.keys import LISTS
from worker.ingest.pending.segments import (
    LEASE_MS,
    OVERDUE,
    Begun,
    SegmentRecord,
    begin,
    defer,
    end_trial,
    pending_key,
    take_overdue,
)
from worker.ingest.playlist.poll_pace import LONGEST_IDLE_DELAY_MS
from worker.ingest.poll.due import POLL_LEASE_MS, offer, offered, take_due
from worker.ingest.poll.poll import poll_due
from worker.ingest.poll.schedule import tick, tick_is_late
from worker.ingest.poll.slow_polls import move_slow, slow_polls_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE_NEW, DUE_SLOW, LONGEST_DUE_MS, watch
from worker.ingest.registry.slow_streams import SlowPart, note_slowness
from worker.ingest.status import stream_status
from worker.lookback import jobs as look_back_jobs
from worker.lookback.jobs import LEASE, REST, UNCHECKED, is_due
from worker.lookback.late_files import next_late
from worker.moderation.moderation_context import ModerationContext
from worker.people.actor import Actor
from worker.people.actor import Role as ActorRole
from worker.policyload.breaker import leave_out, stuck_models
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.open_incidents import open_incidents
from worker.queue.record_fields import LEASE_SECONDS as HOLD_SECONDS
from worker.runtime.segment_task import moderate_segment
from worker.runtime.timed_task import HARD_LIMIT_SECONDS
from worker.runtime.worker_process import SEED, WorkerProcess
from worker.store.lease import LEASE_SECONDS, leased
from worker.store.redis_client import connect, now_ms

BACK_SECONDS = 600
RECORD = SegmentRecord(
    key="1.0.sole.7.aa",
    generation=1,
    epoch=0,
    sequence=7,
    url="http://o/7.ts",
    duration_ms=4000,
    capture_ms=1_000,
    admitted_ms=2_000,
)


@pytest.fixture
def server(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[ServerWithClock]:
    with server_with_clock(tmp_path / "server", ci_or_skip) as running:
        yield running


@pytest.fixture
def redis(server: ServerWithClock) -> Iterator[Redis]:
    with connect(server.url) as client:
        yield client


def test_a_lease_outlives_the_time_limit():
    """Two workers would moderate each slow segment."""
    assert LEASE_MS > HARD_LIMIT_SECONDS * 1000


def test_no_poll_interval_looks_like_a_clock_set_back():
    """Streams would be polled without pause, or by two workers."""
    assert 2 * max(POLL_LEASE_MS, LONGEST_IDLE_DELAY_MS) < LONGEST_DUE_MS


def test_due_work_stays_due(server: ServerWithClock, redis: Redis):
    """No stream would be polled for ten minutes, and no segment sent again."""
    for stream in ("s", "slow"):
        watch(redis, register(stream, "http://o.example/live.m3u8", url_template="", legal_basis=""))
    note_slowness(redis, SlowPart.PLAYLIST, "slow", slow=True, held_seconds=3.0)
    redis.hset(pending_key("s"), RECORD.key, RECORD.to_json())
    redis.zadd(OVERDUE, {f"s {RECORD.key}": 0})
    offer(redis, 5, within_seconds=2.0)
    sent: list[str] = []
    tick(redis, waiting_polls=0, send=sent.append)
    assert len(take_overdue(redis, 10)) == 1
    assert [taken.stream_id for taken in take_due(redis, 10)] == ["s"]
    assert redis.zcard(DUE_SLOW) == 1
    redis.zadd(DUE_NEW, {"new": now_ms(redis)})
    server.set_back(BACK_SECONDS)
    sent.clear()
    assert tick_is_late(redis)
    assert offered(redis) == 0
    assert tick(redis, waiting_polls=0, send=sent.append) == 1
    assert sent == ["reconcile", "poll", "slow_poll"]
    assert not tick_is_late(redis)
    assert not redis.exists(DUE_NEW)
    assert slow_polls_due(redis)
    assert take_overdue(redis, 10) == [("s", RECORD.key)]
    assert take_overdue(redis, 10) == []
    assert [taken.stream_id for taken in take_due(redis, 10)] == ["s"]
    assert take_due(redis, 10) == []
    assert [taken.stream_id for taken in take_due(redis, 10, due=DUE_SLOW)] == ["slow"]


def test_leases_of_dead_workers_expire(server: ServerWithClock, redis: Redis):
    """Segments, platforms' messages and look-backs of a worker that died just then would be blocked for ten minutes."""
    redis.hset(pending_key("s"), RECORD.key, RECORD.to_json())
    first = begin(redis, "s", RECORD.key, slow_too=False)
    assert isinstance(first, Begun)
    redis.lpush(LISTS[0], "message")
    assert claim(redis).batch is not None
    redis.set(LEASE, "of one that died", px=round(LEASE_SECONDS * 1000))
    redis.set(WRITER, "of one that died", px=round(LEASE_SECONDS * 1000))
    redis.zadd(UNCHECKED, {"0/file": now_ms(redis) + look_back_jobs.LONGEST_DUE_MS})
    server.set_back(BACK_SECONDS)
    second = begin(redis, "s", RECORD.key, slow_too=False)
    # The trial of the dead worker lasts as long as any trial may.
    assert second is None
    assert redis.pttl("lw:trial:s") <= 3_000
    end_trial(redis, "s", quick=True)
    second = begin(redis, "s", RECORD.key, slow_too=False)
    assert isinstance(second, Begun)
    assert begin(redis, "s", RECORD.key) is None
    defer(redis, "s", first, delay_ms=0)
    assert begin(redis, "s", RECORD.key) is None, "who lost the lease gives it back"
    batch = claim(redis).batch
    assert batch is not None
    assert batch.claims == 2
    assert not is_due(redis)
    assert redis.pttl(LEASE) <= LEASE_SECONDS * 1000
    redis.delete(LEASE)
    redis.set(REST, "1", px=15_000 + BACK_SECONDS * 1000)
    assert is_due(redis)
    late = next_late(redis)
    assert late is not None, "a file of the log would be compared ten minutes later"
    assert late.path == "0/file"
    with leased(redis, WRITER) as lease:
        assert lease is None
    assert redis.pttl(WRITER) <= LEASE_SECONDS * 1000


def test_a_moderators_lease_is_not_extended(server: ServerWithClock, redis: Redis, policy: Policy):
    """An incident held by a moderator who went home would be blocked for ten minutes more."""
    scene = Scene(redis=redis, policy=policy)
    first, second = (scene.raise_incident(stream) for stream in ("cam-1", "cam-2"))
    for _ in range(2):
        assert take(redis, "ann", another=True) is not None
    server.set_back(BACK_SECONDS)
    assert {incident.holder for incident in open_incidents(redis)} == {"ann"}
    assert max(incident.lease_seconds for incident in open_incidents(redis)) <= HOLD_SECONDS
    with pytest.raises(QueueError, match=r"held by ann for another ([1-5]\d\d|600) s"):
        decide_incident(redis, first, "harmless", by="bob", note="seen", deployment="test")
    assert take(redis, "bob") is None, "ann is at work"
    for incident in (first, second):
        left_ms = int(redis.hget(incident_key(incident), "lease_until_ms")) - now_ms(redis)
        assert 0 < left_ms <= HOLD_SECONDS * 1000
    assert decide_incident(redis, second, "harmless", by="ann", note="seen", deployment="test").by == "ann"


def test_updates_are_published_as_before(server: ServerWithClock, redis: Redis, policy: Policy):
    """For ten minutes moderators would not learn that an incident goes on."""
    scene = Scene(redis=redis, policy=policy)
    scene.raise_incident("cam-1")
    server.set_back(BACK_SECONDS)
    (event,) = scene.settle("cam-1", scene.hits([5000], lists=["known"])).events
    assert event.type == EventType.UPDATED
    assert scene.settle("cam-1", scene.hits([6000], lists=["known"])).events == ()


def test_a_suspended_model_is_tried_again(server: ServerWithClock, redis: Redis):
    """A model suspended after a hang would stay suspended for ten minutes more, and no picture would be classified."""
    leave_out(redis, StuckRun(model="m", version="1", sha256="5a" * 32, limit_seconds=1.0, on_trial=False))
    assert stuck_models(redis, ["m"]) == {"m"}
    server.set_back(BACK_SECONDS)
    assert stuck_models(redis, ["m"]) == frozenset()


def test_an_allowance_ends_by_the_clock_of_redis(
    server: ServerWithClock, redis: Redis, origin: LiveOrigin, tmp_path: Path
):
    """Workers whose clocks differ from Redis's would call moderators for pictures that a lead has just allowed."""
    server.set_back(BACK_SECONDS)
    redis.set(SEED, "s3cret")
    storage, lead = SnapshotStorage(root=tmp_path / "bank", dedicated=True), Actor(name="lea", role=ActorRole.LEAD)
    environment = {
        "LIVEWARDEN_REDIS_URL": server.url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_BANK_DIR": str(storage.root),
    }
    with closing(WorkerProcess(Settings.from_mapping(environment))) as process:
        (sample,) = process.pipeline.moderate(
            segment_bytes(card=True),
            context=ModerationContext(stream=StreamFacts(stream_id="s"), capture_ms=0),
            seed=b"",
        ).samples
        assert sample.pdq is not None
        pdq = PdqHash(bits=bytes.fromhex(sample.pdq), quality=100)
        edits.create(redis, follow(redis, storage).bank, ListSpec(name="police", source="police"))
        edits.add(redis, follow(redis, storage).bank, "police", [Entry(entry="7", kind=HashKind.PDQ, value=pdq.bits)])
        # By this machine's clock it has expired.
        allow(redis, follow(redis, storage).bank, pdq, list_name="police", hours=BACK_SECONDS / 2 / 3600, actor=lead)
        process.bank.refresh()
        origin.add("0.ts", segment_bytes(card=True))
        watch(redis, register("s", origin.url, url_template="", legal_basis=""))
        keys: list[str] = []
        poll_due(redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
        (key,) = keys
        moderate_segment(process, "s", key)
    assert redis.xlen("lw:escalations:review") == 1
    assert not redis.exists("lw:escalations:critical")


def test_dead_processes_are_not_reported_as_present(server: ServerWithClock, redis: Redis):
    """`doctor` would list workers for ten minutes that died before the clock went back."""
    presence = Presence.of_this_process(ProcessRole.WORKER)
    give_sign(redis, presence)
    assert len(present(redis, ProcessRole.WORKER)) == 1
    server.set_back(BACK_SECONDS)
    assert present(redis, ProcessRole.WORKER) == []
    give_sign(redis, presence)
    assert len(present(redis, ProcessRole.WORKER)) == 1


def test_a_slow_mark_expires(server: ServerWithClock, redis: Redis):
    """A stream that was slow once would stay in the slow queue for ten minutes."""
    note_slowness(redis, SlowPart.PLAYLIST, "s", slow=True, held_seconds=3.0)
    server.set_back(BACK_SECONDS)
    assert not note_slowness(redis, SlowPart.PLAYLIST, "s", slow=False, held_seconds=0.1)
    assert move_slow(redis) == 0


def test_a_live_stream_is_still_watched(server: ServerWithClock, redis: Redis, tmp_path: Path):
    """A deployment would watch nothing for ten minutes, and look healthy."""
    with serving(LiveOrigin()) as origin:
        origin.add("0.ts", segment_bytes(card=False))
        watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
        environment = {"LIVEWARDEN_REDIS_URL": server.url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
        with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
            eventually(lambda: moderated(redis) == 2, within_seconds=90, what=worker.text)
            server.set_back(BACK_SECONDS)
            origin.add("1.ts", segment_bytes(card=True))
            eventually(lambda: redis.xlen("lw:escalations:high"), within_seconds=60, what=worker.text)
            # Listed segments may be read once more: the origin's playlist did not change meanwhile.
            eventually(lambda: moderated(redis) >= 4, within_seconds=60, what=lambda: str(stream_status(redis, "s")))


def moderated(redis: Redis) -> float:
    return float(stream_status(redis, "s")["moderated_seconds"])
