"""Slow segments in the real pipeline: which processes wait for them, and which do not."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from admitted import draw_alike
from hls_origin import SEGMENT_SECONDS, LiveOrigin, fragmented_mp4, segment_bytes, serving
from redis import Redis
from slow_origin import DRIP, HEADERS, SILENT, SlowOrigin, serving_slowly

from config.settings import Settings
from worker.ingest.pending.segments import OVERDUE, TRIAL_MS, begin, member
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, watch
from worker.ingest.registry.slow_streams import (
    QUICK_DECODE_SECONDS,
    QUICK_SECONDS,
    SlowPart,
    is_slow,
    note_slowness,
    slow_key,
)
from worker.ingest.status import stream_status
from worker.runtime.segment_fetches import FETCH_TIMEOUT_SECONDS
from worker.runtime.segment_pace import QUICK_FAILURE_SECONDS, SegmentPace
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess

WAYS = {"drip": DRIP, "silent": SILENT, "headers": HEADERS}


@pytest.fixture
def hostile() -> Iterator[SlowOrigin]:
    with serving_slowly(SlowOrigin(streams=WAYS, segments=3)) as served:
        yield served


@pytest.fixture
def honest() -> Iterator[LiveOrigin]:
    with serving(LiveOrigin()) as served:
        yield served


@pytest.fixture
def process(
    redis: Redis, redis_url: str, hostile: SlowOrigin, honest: LiveOrigin, tmp_path: Path
) -> Iterator[WorkerProcess]:
    draw_alike(redis)
    process = WorkerProcess(
        Settings.from_mapping(
            {
                "LIVEWARDEN_REDIS_URL": redis_url,
                "LIVEWARDEN_ALLOWED_ORIGINS": f"{hostile.host},{honest.host}",
                "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
            }
        )
    )
    yield process
    process.close()


def admit(process: WorkerProcess, stream_id: str, url: str) -> list[str]:
    """Registers and polls the stream; gives the keys of its segments."""
    keys: list[str] = []
    watch(process.redis, register(stream_id, url, purpose="drill", url_template="", legal_basis=""))
    process.redis.zadd(DUE, {stream_id: 0}, xx=True)
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    return keys


class SlowQueue:
    """Records the segments passed on."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, stream_id: str, segment_key: str) -> None:
        self.keys.append(segment_key)


@pytest.mark.parametrize("way", WAYS)
def test_a_slow_segment_is_passed_on_without_counting_a_try(process: WorkerProcess, hostile: SlowOrigin, way: str):
    """A slow origin's segment would be lost, or fail for the short time that a shared queue allows."""
    slow = SlowQueue()
    first, *rest = admit(process, way, hostile.url(way))
    assert process.active.policy.rules  # models are loaded before the clock runs
    begin_seconds = time.monotonic()
    moderate_segment(process, way, first, pass_on=slow)
    assert time.monotonic() - begin_seconds < FETCH_TIMEOUT_SECONDS / 2
    requested = len(hostile.requests)
    for key in rest:
        moderate_segment(process, way, key, pass_on=slow)
    assert len(hostile.requests) == requested, "what else waits of the stream is not fetched in a shared queue"
    assert slow.keys == [first, *rest]
    tries = process.redis.hgetall(f"lw:tries:{member(way, first)}")
    assert {name: count for name, count in tries.items() if count != "0"} == {}
    record = stream_status(process.redis, way)
    assert record["pending_seconds"] == record["elapsed_seconds"] == 3 * 2
    assert record["slow"] == ["segments"]


def tried(process: WorkerProcess, honest: LiveOrigin, stream_id: str) -> tuple[SlowQueue, list[str]]:
    """Moderates a new stream's first segment while other processes are given the rest; returns what was sent, and the
    rest."""
    sent = SlowQueue()
    honest.gates.clear()
    first, *rest = admit(process, stream_id, f"{honest.url}?{stream_id}")
    gate = honest.hold("0.ts")
    honest.gates |= {f"/live/{index}.ts": gate for index in range(3)}  # whichever is sent first
    begun: list[object] = []

    def meanwhile() -> None:
        assert gate.reached.wait(60)
        begun.extend(begin(process.redis, stream_id, key, slow_too=False) for key in rest)
        gate.opened.set()

    other_processes = threading.Thread(target=meanwhile)
    other_processes.start()
    moderate_segment(process, stream_id, first, pass_on=sent)
    other_processes.join()
    assert begun == [None] * len(rest), "others leave its segments alone while one is fetched"
    return sent, rest


def test_a_new_stream_holds_one_process_until_its_pace_is_known(process: WorkerProcess, honest: LiveOrigin):
    """A hostile stream with a dozen segments would hold a dozen processes for its first second."""
    process.pipeline.warm_up(when_stuck=process.stuck_model.end)
    for index in range(3):
        honest.add(f"{index}.ts", segment_bytes(card=False))
    for stream_id in ("one", "two", "three", "four"):
        sent, rest = tried(process, honest, stream_id)
        if not is_slow(process.redis, SlowPart.SEGMENTS, stream_id):  # as on a machine that stalls meanwhile
            break
    assert sent.keys == rest, "what waited is sent when the stream is known"
    for key in rest:
        moderate_segment(process, stream_id, key, pass_on=sent)
    assert sent.keys == rest, "from then on all of them immediately"
    record = stream_status(process.redis, stream_id)
    assert record["moderated_seconds"] == record["elapsed_seconds"] == 3 * SEGMENT_SECONDS


def test_segments_waiting_for_a_trial_survive_the_death_of_its_process(process: WorkerProcess, honest: LiveOrigin):
    """A worker killed at the start of a watch would leave the stream's first segments unmoderated."""
    for index in range(2):
        honest.add(f"{index}.ts", segment_bytes(card=False))
    first, second = admit(process, "s", honest.url)
    assert begin(process.redis, "s", first, slow_too=False) is not None
    sent = SlowQueue()
    moderate_segment(process, "s", second, pass_on=sent)
    assert 0 < process.redis.pttl("lw:trial:s") <= TRIAL_MS
    assert process.redis.zscore(OVERDUE, member("s", second)) is not None, "the reconciler sends it again"
    process.redis.delete("lw:trial:s")  # its time is over
    moderate_segment(process, "s", second, pass_on=sent)
    assert stream_status(process.redis, "s")["moderated_seconds"] == SEGMENT_SECONDS


def test_a_slow_segment_has_its_full_time_in_the_slow_queue(process: WorkerProcess, honest: LiveOrigin):
    """A stream whose origin takes two seconds would never be moderated."""
    honest.add("0.ts", segment_bytes(card=True))
    gate = honest.hold("0.ts")
    slow = SlowQueue()
    (key,) = admit(process, "s", honest.url)
    moderate_segment(process, "s", key, pass_on=slow)
    assert slow.keys == [key]
    gate.opened.set()
    moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    assert record["moderated_seconds"] == record["elapsed_seconds"] == SEGMENT_SECONDS
    assert record["slow"] == ["segments"], "held for a while"


def test_a_stream_that_is_quick_again_leaves_the_slow_queue(process: WorkerProcess, honest: LiveOrigin):
    """An honest stream with one bad second would stay in the slow queue for good."""
    honest.add("0.ts", segment_bytes(card=False))
    (key,) = admit(process, "s", honest.url)
    process.pipeline.warm_up(when_stuck=process.stuck_model.end)
    note_slowness(process.redis, SlowPart.SEGMENTS, "s", slow=True, held_seconds=1.0)
    process.redis.hset(slow_key(SlowPart.SEGMENTS, "s"), "until_ms", 0)
    moderate_segment(process, "s", key)
    assert not is_slow(process.redis, SlowPart.SEGMENTS, "s")
    assert stream_status(process.redis, "s")["slow"] == []


def test_segment_and_initialisation_section_share_the_short_time(process: WorkerProcess, honest: LiveOrigin):
    """An origin with a slow EXT-X-MAP would have twice the time."""
    init, segment = fragmented_mp4(card=True)
    honest.bodies["/live/init.mp4"] = init
    honest.add("0.m4s", segment)
    honest.extra["0.m4s"] = '#EXT-X-MAP:URI="init.mp4"'
    honest.hold("init.mp4")
    slow = SlowQueue()
    (key,) = admit(process, "s", honest.url)
    assert process.active.policy.rules  # models are loaded before the clock runs
    begin_seconds = time.monotonic()
    moderate_segment(process, "s", key, pass_on=slow)
    assert time.monotonic() - begin_seconds < FETCH_TIMEOUT_SECONDS / 2
    assert slow.keys == [key]


def test_an_origin_that_fails_quickly_is_not_slow(process: WorkerProcess, honest: LiveOrigin):
    """A segment that an edge does not have yet would delay slow streams, and mark its own stream as slow."""
    honest.add("0.ts", segment_bytes(card=False))
    honest.status["/live/0.ts"] = 503
    slow = SlowQueue()
    (key,) = admit(process, "s", honest.url)
    moderate_segment(process, "s", key, pass_on=slow)
    assert slow.keys == []
    assert process.redis.hget(f"lw:tries:{member('s', key)}", "fetches") == "1"
    assert not is_slow(process.redis, SlowPart.SEGMENTS, "s")


def test_an_endlessly_slow_segment_becomes_a_gap_with_its_reason(process: WorkerProcess, hostile: SlowOrigin):
    """An unreadable stream would stay pending, and no rule about gaps would apply to it."""
    key, *_ = admit(process, "silent", hostile.url("silent"))
    for _ in range(6):
        moderate_segment(process, "silent", key)
    record = stream_status(process.redis, "silent")
    assert record["reasons"] == {"failed: timeout": 2.0}
    assert record["failed_seconds"] + record["pending_seconds"] == record["elapsed_seconds"] == 3 * 2


def test_pictures_that_decode_slowly_count_as_slow():
    """A hostile stream whose pictures take five seconds to decode would hold every process without a slow origin."""
    assert not SegmentPace(fetch_seconds=QUICK_SECONDS, decode_seconds=QUICK_DECODE_SECONDS).slow
    assert SegmentPace(fetch_seconds=0.1, decode_seconds=QUICK_DECODE_SECONDS + 0.1).slow
    assert SegmentPace(fetch_seconds=QUICK_SECONDS + 0.1).slow
    assert not SegmentPace().slow
    assert SegmentPace(fetch_seconds=QUICK_FAILURE_SECONDS + 0.1).failed_slowly


def test_a_fetch_amid_the_decoding_counts_as_one():
    """A stream of open GOPs, each of whose segments needs the one before, would count as slow for two quick fetches."""
    pace, never = SegmentPace(), threading.Event()
    with pace.fetching():
        never.wait(0.1)
    with pace.decoding(), pace.fetching():
        never.wait(0.3)
    assert pace.fetch_seconds is not None
    assert 0.3 <= pace.fetch_seconds < pace.fetched_seconds
    assert pace.decode_seconds < 0.1
    assert pace.held_seconds == pytest.approx(pace.fetched_seconds + pace.decode_seconds)


def test_a_segment_that_ended_its_process_twice_is_tried_again_in_the_slow_queue(
    process: WorkerProcess, honest: LiveOrigin
):
    """A stream whose pictures end or hang processes would do so eight times a segment to shared ones."""
    honest.add("0.ts", segment_bytes(card=False))
    (key,) = admit(process, "ends", honest.url)
    for _ in range(2):
        assert begin(process.redis, "ends", key, slow_too=False)
        process.redis.delete("lw:trial:ends")
        process.redis.hdel(f"lw:tries:{member('ends', key)}", "leased_until_ms")
    slow = SlowQueue()
    moderate_segment(process, "ends", key, pass_on=slow)
    assert slow.keys == [key]
    assert is_slow(process.redis, SlowPart.SEGMENTS, "ends")
    assert honest.requests == ["GET /live/index.m3u8"]
    moderate_segment(process, "ends", key)
    assert stream_status(process.redis, "ends")["moderated_seconds"] == SEGMENT_SECONDS
