"""The segment task on live streams of open GOPs: the segment before is fetched where it is needed, and only there."""

import json
import struct
import threading
import time

import pytest
from admitted import admit, poll, reasons
from clips import RATE, clip, held, photo
from hls_origin import LiveOrigin
from open_gops import open_fragments, open_segments

from worker.ingest.pending.segments import SegmentRecord, begin, defer, pending_key
from worker.ingest.status import stream_status
from worker.moderation.segment_before import SegmentBytes
from worker.runtime.segment_end import gate_key
from worker.runtime.segment_fetches import MAX_SEGMENT_BYTES, TASK_FETCH_SECONDS, SegmentFetches
from worker.runtime.segment_pace import SegmentPace
from worker.runtime.segment_task import LOSSES_BEFORE_SLOW, moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.verdictlog.reading import read_log

DRILLS = "lw:escalations:high"
LEADING_SECONDS = pytest.approx(open_segments()[1].leading / RATE, abs=0.03)
"""Of a segment of 2 s, by its EXTINF."""


def list_segments(origin: LiveOrigin, *, carded: int | None = None) -> None:
    for index, segment in enumerate(open_segments(carded=carded)):
        origin.add(f"{index}.ts", segment.data)


def raised(process: WorkerProcess) -> list[dict]:
    return [json.loads(fields["event"])["data"] for _, fields in process.redis.xrange(DRILLS)]


def fetched(origin: LiveOrigin, name: str) -> int:
    return origin.requests.count(f"GET /live/{name}")


@pytest.mark.parametrize("backwards", [False, True])
def test_a_listed_picture_in_leading_pictures_alone_is_escalated(
    process: WorkerProcess, origin: LiveOrigin, backwards: bool
):
    """Whoever knows how segments are cut could show anything for half a second in each, and never be found."""
    list_segments(origin, carded=1)
    keys = admit(process, origin)
    for key in reversed(keys) if backwards else keys:
        moderate_segment(process, "s", key)
    assert reasons(process) == {}
    (event,) = raised(process)
    assert event["matches"][0]["list"] == "selftest"
    assert [fetched(origin, f"{index}.ts") for index in range(3)] == [2, 2, 1]
    process.verdict_log.close()
    rows = [row for batch in read_log(process.settings.store_url, 0, 2**62) for row in batch.to_pylist()]
    for key in keys:
        times = [row["pts_seconds"] for row in rows if row["segment_key"] == key]
        assert times == sorted(times), "the log has a segment's samples in their order"
    ((_, gate),) = process.redis.hgetall(gate_key("s")).items()
    assert json.loads(gate)["capture_ms"] == max(row["capture_ms"] for row in rows if not row["deduplicated"])


def test_a_segment_moderated_again_after_its_worker_died_gives_the_same(process: WorkerProcess, origin: LiveOrigin):
    """An incident would be raised twice, or lack what its leading pictures showed."""
    list_segments(origin, carded=1)
    keys = admit(process, origin)
    record = process.redis.hget(pending_key("s"), keys[1])
    moderate_segment(process, "s", keys[1])
    # Another worker had the message as well, and had begun before this one settled.
    process.redis.hset(pending_key("s"), keys[1], record)
    moderate_segment(process, "s", keys[1])
    (event,) = raised(process)
    assert event["matches"][0]["list"] == "selftest"


def test_it_is_taken_from_the_window_that_has_gone(process: WorkerProcess, origin: LiveOrigin):
    """With a short window, or a poll that was late, the first segment of each poll would lose its leading pictures."""
    first, second, third = open_segments(carded=1)
    origin.add("0.ts", first.data)
    keys = admit(process, origin)
    origin.bodies["/live/1.ts"], origin.bodies["/live/2.ts"] = second.data, third.data
    origin.listed, origin.media_sequence = ["1.ts", "2.ts"], 1
    for key in keys + poll(process):
        moderate_segment(process, "s", key)
    assert reasons(process) == {}
    assert len(raised(process)) == 1


def test_init_sections_of_fragmented_mp4_come_along(process: WorkerProcess, origin: LiveOrigin):
    """Leading pictures of a stream of fragmented MP4 would never be decoded."""
    init, parts = open_fragments()
    origin.bodies["/live/init.mp4"] = init
    for index, part in enumerate(parts):
        origin.add(f"{index}.m4s", part)
        origin.extra[f"{index}.m4s"] = '#EXT-X-MAP:URI="init.mp4"'
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    assert reasons(process) == {}
    assert fetched(origin, "init.mp4") == len(parts), "the same section is not fetched twice for a segment"


def test_streams_of_closed_gops_are_fetched_once(process: WorkerProcess, origin: LiveOrigin):
    """Every stream would cost its origin twice the traffic."""
    for index in range(3):
        origin.add(f"{index}.ts", clip(held(photo("rocket"), 2)))
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    assert [fetched(origin, f"{index}.ts") for index in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("how", ["unknown", "gone", "redirect to a private address", "not a segment"])
def test_without_it_their_time_is_failed_leading(process: WorkerProcess, origin: LiveOrigin, how: str):
    """Time that nobody saw would count as moderated, or all of the segment as lost."""
    list_segments(origin, carded=1)
    _, key, _ = admit(process, origin)
    if how == "unknown":
        record = json.loads(process.redis.hget(pending_key("s"), key))
        del record["before"]
        process.redis.hset(pending_key("s"), key, json.dumps(record))
    elif how == "gone":
        del origin.bodies["/live/0.ts"]
    elif how == "not a segment":
        origin.bodies["/live/0.ts"] = b"<html>"
    else:
        origin.redirects["/live/0.ts"] = "http://169.254.169.254/latest"
    moderate_segment(process, "s", key)
    assert reasons(process) == {"failed: leading": LEADING_SECONDS}
    assert process.redis.hlen(pending_key("s")) == 2, "what is known to be lost is not tried again"
    assert raised(process) == []


def test_tasks_that_it_may_have_ended_cost_the_segment_nothing_else(process: WorkerProcess, origin: LiveOrigin):
    """One that is decoded too slowly, again and again, would have all of the segment lost, and hold processes for eight
    time limits."""
    list_segments(origin, carded=1)
    _, key, _ = admit(process, origin)
    for _ in range(LOSSES_BEFORE_SLOW):
        defer(process.redis, "s", begin(process.redis, "s", key), delay_ms=0, in_order=False)
    moderate_segment(process, "s", key)
    assert reasons(process) == {"failed: leading": LEADING_SECONDS}
    assert fetched(origin, "0.ts") == 0
    assert process.redis.hlen(pending_key("s")) == 2


def test_one_that_is_slow_to_come_is_left_to_the_slow_queue(process: WorkerProcess, origin: LiveOrigin):
    """A stream whose every segment waits for another would hold the processes of all."""
    list_segments(origin, carded=1)
    first, second, _ = admit(process, origin)
    passed: list[str] = []

    def pass_on(_: str, key: str) -> None:
        passed.append(key)

    moderate_segment(process, "s", first, pass_on=pass_on)
    assert not passed
    gate = origin.hold("0.ts")
    moderate_segment(process, "s", second, pass_on=pass_on)
    assert passed == [second]
    assert stream_status(process.redis, "s")["slow"] == ["segments"]
    assert reasons(process) == {}, "it is still pending"
    gate.opened.set()
    moderate_segment(process, "s", second)
    assert reasons(process) == {}
    assert len(raised(process)) == 1


def test_an_initialisation_section_has_the_room_that_its_segment_leaves(process: WorkerProcess, origin: LiveOrigin):
    """A stream whose sections are as large as segments may be would double what each process holds."""
    init, parts = open_fragments()
    room = struct.pack(">I4s", MAX_SEGMENT_BYTES // 2, b"free") + bytes(MAX_SEGMENT_BYTES // 2 - 8)
    for index, (section, part) in enumerate([(init + room, parts[0] + room), (init, parts[1])]):
        origin.bodies[f"/live/{index}.mp4"] = section
        origin.add(f"{index}.m4s", part)
        origin.extra[f"{index}.m4s"] = f'#EXT-X-MAP:URI="{index}.mp4"'
    first, second = admit(process, origin)
    record = SegmentRecord.from_json(process.redis.hget(pending_key("s"), second))
    fetches = SegmentFetches(fetcher=process.fetcher, record=record, pace=SegmentPace(), shared=False)
    fetches.segment()
    assert fetches.before() is None
    moderate_segment(process, "s", first)
    moderate_segment(process, "s", second)
    assert reasons(process) == {"failed: too_large": 2.0, "failed: leading": LEADING_SECONDS}


def test_all_fetches_of_a_task_end_within_one_deadline(process: WorkerProcess, origin: LiveOrigin):
    """A task that waited for each of four fetches would be cut off by its time limit, and lose what it has found."""
    init, parts = open_fragments()
    for index, part in enumerate(parts[:2]):
        origin.bodies[f"/live/{index}.mp4"] = init
        origin.add(f"{index}.m4s", part)
        origin.extra[f"{index}.m4s"] = f'#EXT-X-MAP:URI="{index}.mp4"'
    _, second = admit(process, origin)
    record = SegmentRecord.from_json(process.redis.hget(pending_key("s"), second))
    for name, seconds in (("1.m4s", 2.0), ("1.mp4", 4.0), ("0.m4s", 6.0)):
        threading.Timer(seconds, origin.hold(name).opened.set).start()
    origin.hold("0.mp4")
    fetches = SegmentFetches(fetcher=process.fetcher, record=record, pace=SegmentPace(), shared=False)
    began = time.monotonic()
    _, media = fetches.segment()
    assert media == SegmentBytes(data=parts[1], init=init)
    assert fetches.before() is None
    assert origin.gates["/live/0.mp4"].reached.is_set()
    assert TASK_FETCH_SECONDS - 0.1 <= time.monotonic() - began < TASK_FETCH_SECONDS + 1.5
    assert fetches.before() is None
    assert fetched(origin, "0.m4s") == 1, "nor is it asked for again"
