"""The timeline that a real pipeline writes."""

from collections import Counter

from hls_origin import LiveOrigin, segment_bytes
from redis import Redis

from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, watch
from worker.queue.open_cases import read_open_cases
from worker.runtime.segment_series import note_missed
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.timeline.series import CaseSeries
from worker.timeline.series_store import case_series, lately_key


def moderate(process: WorkerProcess, origin: LiveOrigin, names: dict[str, bytes], purpose: str) -> None:
    for name, data in names.items():
        origin.add(name, data)
    keys: list[str] = []
    watch(process.redis, register("s", origin.url, purpose=purpose, url_template="", legal_basis=""))
    process.redis.zadd(DUE, {"s": 0}, xx=True)
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    for key in keys:
        moderate_segment(process, "s", key)


def series_of(redis: Redis) -> CaseSeries:
    (case, *_), _ = read_open_cases(redis)
    return case_series(redis, case.case_id)


def test_a_case_has_coverage_samples_and_hits(process: WorkerProcess, origin: LiveOrigin):
    """A moderator would judge without knowing what was seen of the stream."""
    media = {"0.ts": segment_bytes(card=False), "1.ts": segment_bytes(card=True)}
    moderate(process, origin, media, "drill")
    series = series_of(process.redis)
    moderated_ms = int(process.redis.hget("lw:coverage:s", "moderated") or 0)
    assert sum(cell.moderated_ms for cell in series.cells.values()) == moderated_ms > 0
    assert sum(cell.samples for cell in series.cells.values()) >= 2
    assert {(hit.list, hit.distance <= 31) for hit in series.hits} == {("selftest", True)}


def test_a_segment_that_cannot_be_decoded_is_a_gap_with_its_reason(process: WorkerProcess, origin: LiveOrigin):
    """A gap would be drawn as coverage, or without the reason."""
    moderate(process, origin, {"1.ts": segment_bytes(card=True), "2.ts": b"no media" * 400}, "drill")
    series = series_of(process.redis)
    lost = {reason for cell in series.cells.values() for reason in cell.lost_ms}
    failed = {name for name in process.redis.hkeys("lw:coverage:s") if str(name).startswith("failed: ")}
    assert lost == failed != set()


def test_a_canary_has_no_timeline(process: WorkerProcess, origin: LiveOrigin):
    """Redis would keep what no person looks at."""
    moderate(process, origin, {"0.ts": segment_bytes(card=True)}, "canary")
    assert process.redis.exists(lately_key("s")) == 0


def test_time_that_no_poll_listed_is_missed_with_its_reason(process: WorkerProcess, origin: LiveOrigin):
    """A moderator would not learn that the stream went on unseen."""
    moderate(process, origin, {"0.ts": segment_bytes(card=True)}, "drill")
    origin.add("1.ts", segment_bytes(card=False), window=1)
    origin.add("2.ts", segment_bytes(card=False), window=1)
    process.redis.zadd(DUE, {"s": 0}, xx=True)
    keys: list[str] = []
    poll_due(
        process.redis,
        process.fetcher,
        height_pixels=360,
        send=lambda _, key, __: keys.append(key),
        note_missed=lambda stream, missed: note_missed(process.redis, stream, missed),
    )
    assert len(keys) == 1
    lost: Counter[str] = Counter()
    for cell in series_of(process.redis).cells.values():
        lost.update(cell.lost_ms)
    assert lost == {"missed: left_window": int(process.redis.hget("lw:coverage:s", "missed: left_window") or 0)}
