"""Turns of audits in other renditions: what they cost other streams, with real origins, processes and a real Valkey."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from full_redis import fill, server_to_fill
from hls_origin import SEGMENT_SECONDS, LiveOrigin
from redis import Redis
from two_renditions import ALWAYS, large, moderate, serve, small

from worker.ingest.status import stream_status
from worker.processes.soft_limit import soft_limit
from worker.runtime.rendition_turns import LONGEST_REST_MS, rendition_turn, rest_ms_after
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import connect
from worker.store.redis_keys import RENDITION_REST

Process = Callable[[str | None], WorkerProcess]
REST = RENDITION_REST.of("s")


def test_after_a_rendition_that_does_not_answer_the_stream_s_audits_rest(process_with: Process, origin: LiveOrigin):
    """A broadcaster whose other renditions drip would hold a process for 3 s with each of his segments."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut"), small("coffee"), small("camera")], "high": [large("astronaut")] * 3})
    origin.hold("high/index.m3u8")
    record = moderate(process, origin)
    assert origin.requests.count("GET /live/high/index.m3u8") == 1
    assert record["counts"]["rendition_audits_failed"] == 1
    assert record["moderated_seconds"] == 3 * SEGMENT_SECONDS


def test_a_quick_audit_leaves_no_rest(process_with: Process, origin: LiveOrigin):
    """Fewer segments would be audited than the operator's profile says."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [large("astronaut")]})

    def leaves_no_rest(stream_id: str) -> bool:
        audits = moderate(process, origin, stream_id)["counts"].get("rendition_audits")
        return audits == 1 and not process.redis.exists(RENDITION_REST.of(stream_id))

    # On a busy machine an audit may take a while: that of one of five streams does not.
    assert any(map(leaves_no_rest, ["s", "t", "u", "v", "w"]))


def test_a_process_that_an_audit_ends_leaves_the_longest_rest(redis: Redis):
    """Segments that no worker survives, or that run out of their time, would end one process after another."""

    def end_in_the_middle() -> None:
        with rendition_turn(redis, "s") as may_begin:
            assert may_begin
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        end_in_the_middle()
    assert LONGEST_REST_MS - 60_000 < redis.pttl(REST) <= LONGEST_REST_MS
    with rendition_turn(redis, "s") as may_begin:
        assert not may_begin


def test_a_stream_has_one_audit_at_a_time(redis: Redis):
    """A stream of many segments at once would hold all processes with audits."""
    with (
        rendition_turn(redis, "s") as first,
        rendition_turn(redis, "s") as second,
        rendition_turn(redis, "other") as other,
    ):
        assert (first, second, other) == (True, False, True)
    assert not redis.exists(REST)


def test_a_rest_from_before_the_clock_went_back_is_shortened(redis: Redis):
    """For years no segment of the stream would be audited."""
    redis.set(REST, "token", ex=10**8)
    with rendition_turn(redis, "s") as may_begin:
        assert not may_begin
    assert redis.pttl(REST) <= LONGEST_REST_MS


def test_where_redis_is_full_nothing_is_audited(tmp_path: Path):
    """An audit can wait for room, and must not keep its segment from being settled."""
    with server_to_fill(tmp_path) as server, connect(f"{server.connection_url}/0") as redis:
        fill(redis)
        with rendition_turn(redis, "s") as may_begin:
            assert not may_begin


@pytest.mark.parametrize(
    ("held_seconds", "rest_seconds"), [(0.2, 0.0), (1.0, 0.0), (1.5, 90.0), (8.0, 480.0), (20.0, 600.0)]
)
def test_rests_are_a_multiple_of_what_an_audit_held(held_seconds: float, rest_seconds: float):
    """A stream could hold a process for most of the time, or an honest one on a slow machine have no audits."""
    assert rest_ms_after(held_seconds) == rest_seconds * 1000


def test_a_segment_whose_audit_runs_out_of_time_is_moderated_without_one(process_with: Process, origin: LiveOrigin):
    """It would be begun again and again, for 16 s each time, and be lost at last."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [large("astronaut")]})
    gate = origin.hold("high/index.m3u8")

    def strike() -> None:
        gate.reached.wait(60)
        os.kill(os.getpid(), signal.SIGUSR2)

    striking = threading.Thread(target=strike)
    before = signal.signal(signal.SIGUSR2, soft_limit.strike)
    try:
        striking.start()
        with soft_limit.task():
            struck = moderate(process, origin)
    finally:
        striking.join()
        signal.signal(signal.SIGUSR2, before)
    assert (struck["moderated_seconds"], struck["pending_seconds"]) == (0, SEGMENT_SECONDS)
    (key,) = process.redis.hkeys("lw:pending:s")
    with soft_limit.task():
        moderate_segment(process, "s", str(key))
    record = stream_status(process.redis, "s")
    assert (record["moderated_seconds"], record["pending_seconds"]) == (SEGMENT_SECONDS, 0)
    assert origin.requests.count("GET /live/high/index.m3u8") == 1
