"""Bounds of audits in other renditions: segments that have none, and what an audit may take, with real origins,
segments, models and a real Valkey."""

import json
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from admitted import admit
from clips import clip, held, shade
from hls_origin import SEGMENT_SECONDS, LiveOrigin, fragmented_mp4
from ledgers import check_equation
from open_gops import open_segments
from two_renditions import ALWAYS, MASTER, film, large, moderate, raised, serve, small, start

from config.facts import StreamFacts
from sampler.limits import Limits
from worker.ingest.pending.segments import begin, pending_key
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.moderation.moderation_context import ModerationContext
from worker.runtime.begun_segment import BegunSegment
from worker.runtime.rendition_audit import RenditionAudit
from worker.runtime.segment_pace import SegmentPace
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import now_ms

Process = Callable[[str | None], WorkerProcess]

ROOM_BYTES = 64 * 2**20
"""Of a segment with its initialisation section, as its worker holds them; an audit has what is left of it."""

NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184
"""Of an MPEG-TS; it holds nothing."""

CARDED = {"low": [small("astronaut")], "high": [large("card")]}


def padded(segment: bytes, size_bytes: int) -> bytes:
    """An MPEG-TS of nearly that size that shows the same."""
    return segment + NULL_PACKET * ((size_bytes - len(segment)) // len(NULL_PACKET))


def free_box(size_bytes: int) -> bytes:
    return struct.pack(">I", size_bytes) + b"free" + bytes(size_bytes - 8)


def moderated(process: WorkerProcess, key: str) -> dict[str, Any]:
    """The stream's record once that segment is moderated."""
    moderate_segment(process, "s", key)
    check_equation(process.redis, "s")
    return stream_status(process.redis, "s")


def was_audited(origin: LiveOrigin) -> bool:
    return any("high" in request for request in origin.requests)


@pytest.mark.parametrize(("tries", "audited"), [({}, True), ({"begun": 1}, False), ({"deaths": 1}, False)])
def test_a_segment_on_which_a_worker_or_a_decoder_died_is_not_audited(
    process_with: Process, origin: LiveOrigin, tries: dict[str, int], audited: bool
):
    """If it was the audit, the segment would end one worker after another, and its stream lose that time."""
    process = process_with(ALWAYS)
    start(process)
    serve(origin, CARDED)
    (key,) = admit(process, origin)
    process.redis.hset(f"lw:tries:s {key}", mapping={"leased_until_ms": 0, **tries})
    assert moderated(process, key)["moderated_seconds"] == SEGMENT_SECONDS
    assert was_audited(origin) == audited


@pytest.mark.parametrize(("waited_ms", "audited"), [(7_000, True), (15_001, False)])
def test_a_segment_that_waited_for_long_is_not_audited(
    process_with: Process, origin: LiveOrigin, waited_ms: int, audited: bool
):
    """Workers that are behind would fall back further."""
    process = process_with(ALWAYS)
    start(process)
    serve(origin, CARDED)
    (key,) = admit(process, origin)
    record = json.loads(str(process.redis.hget(pending_key("s"), key)))
    admitted_ms = now_ms(process.redis) - waited_ms
    process.redis.hset(pending_key("s"), key, json.dumps(record | {"admitted_ms": admitted_ms}))
    assert moderated(process, key)["moderated_seconds"] == SEGMENT_SECONDS
    assert was_audited(origin) == audited


@pytest.mark.parametrize(("held_seconds", "audited"), [(4.0, True), (4.1, False)])
def test_a_segment_that_held_its_process_for_long_is_not_audited(
    process_with: Process, origin: LiveOrigin, held_seconds: float, audited: bool
):
    """Its task would run out of time, and the segment's verdict be lost with the audit's."""
    process = process_with(ALWAYS)
    serve(origin, CARDED)
    (key,) = admit(process, origin)
    begun = begin(process.redis, "s", key)
    audit = RenditionAudit(
        segment=BegunSegment(
            redis=process.redis,
            stream_id="s",
            begun=begun,
            pass_on=None,
            pace=SegmentPace(fetched_seconds=1.0, decode_seconds=held_seconds - 1.0),
        ),
        fetcher=process.fetcher,
        active=process.active,
        evidence=process.evidence,
        seed=bytes(32),
    )
    facts = StreamFacts(stream_id="s")
    verdict = process.pipeline.moderate(
        small("astronaut"), context=ModerationContext(stream=facts, capture_ms=0), seed=b""
    )
    audit.added_to(verdict, facts=facts, judged_ms=now_ms(process.redis), stuck=frozenset(), versions={}, media_bytes=0)
    assert was_audited(origin) == audited


def test_a_segment_of_an_earlier_watch_is_not_audited(process_with: Process, origin: LiveOrigin):
    """What another broadcast shows by now would be raised as a rendition of the former one."""
    process = process_with(ALWAYS)
    start(process)
    serve(origin, CARDED)
    (key,) = admit(process, origin)
    watch(process.redis, register("s", f"{origin.url}?next", purpose="drill", url_template="", legal_basis=""))
    assert moderated(process, key)["moderated_seconds"] == SEGMENT_SECONDS
    assert not was_audited(origin)


@pytest.mark.alone
@pytest.mark.parametrize(("beyond_bytes", "audited"), [(-400_000, True), (400_000, False)])
def test_both_segments_have_the_room_of_one(
    process_with: Process, origin: LiveOrigin, beyond_bytes: int, audited: bool
):
    """A process would grow by twice as much as an operator gives it, and be killed with all that it holds."""
    process = process_with(ALWAYS)
    watched = padded(small("astronaut"), 4_000_000)
    serve(
        origin,
        {"low": [watched], "high": [padded(large("card"), ROOM_BYTES - len(watched) + beyond_bytes)]},
    )
    record = moderate(process, origin)
    assert record["counts"].get("rendition_audits", 0) == audited
    assert record["counts"].get("rendition_audits_failed", 0) == (not audited)
    assert len(raised(process)) == audited
    assert record["moderated_seconds"] == SEGMENT_SECONDS


@pytest.mark.alone
@pytest.mark.parametrize(("beyond_bytes", "audited"), [(-400_000, True), (400_000, False)])
def test_an_init_section_has_no_room_of_its_own(
    process_with: Process, origin: LiveOrigin, beyond_bytes: int, audited: bool
):
    """Each audit would hold half as much again, in every process at once."""
    process = process_with(ALWAYS)
    watched = padded(small("astronaut"), 4_000_000)
    init, segment = fragmented_mp4(card=True)
    room = ROOM_BYTES - len(watched) - len(init) - len(segment) + beyond_bytes
    origin.bodies["/live/high/init.mp4"] = init + free_box(room // 2)
    serve(
        origin,
        {"low": [watched], "high": [segment + free_box(room // 2)]},
        lines='#EXT-X-MAP:URI="init.mp4"',
    )
    record = moderate(process, origin)
    assert record["counts"].get("rendition_audits", 0) == audited
    assert record["counts"].get("rendition_audits_failed", 0) == (not audited)
    assert len(raised(process)) == audited


def test_a_decoder_that_dies_of_another_rendition_is_no_poison_of_the_segment(
    process_with: Process, origin: LiveOrigin
):
    """A broadcaster could have each of his segments quarantined, or given back for ever, by one that nobody watches."""
    process = process_with(ALWAYS)
    starved = WorkerProcess(process.settings, limits=Limits(memory_bytes=30 << 20))
    serve(origin, {"low": [small("astronaut")], "high": [film(("coffee",), rate=5, width=3840, height=2160)]})
    start(starved)
    (key,) = admit(starved, origin)
    record = moderated(starved, key)
    starved.close()
    assert record["counts"]["rendition_audits_failed"] == 1
    assert (record["moderated_seconds"], record["pending_seconds"], record["reasons"]) == (SEGMENT_SECONDS, 0, {})


def test_what_is_lost_of_another_rendition_is_not_lost_of_the_stream(process_with: Process, origin: LiveOrigin):
    """Its ledger would show gaps where all that is watched was moderated, and its moderators get a gap to look at."""
    process = process_with(ALWAYS)
    # Leading pictures whose segment before is not fetched.
    serve(origin, {"low": [small("astronaut")], "high": [open_segments()[1].data]})
    record = moderate(process, origin)
    assert record["counts"]["rendition_audits"] == 1
    assert (record["moderated_seconds"], record["reasons"]) == (SEGMENT_SECONDS, {})


def test_what_cannot_be_hashed_of_another_rendition_is_not_the_stream_s(process_with: Process, origin: LiveOrigin):
    """A stream would count as unhashable for what is not watched of it."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [clip(held(shade(120), SEGMENT_SECONDS + 1))]})
    record = moderate(process, origin)
    assert record["counts"]["rendition_audits"] == 1
    assert record["unhashable_seconds"] == 0


@pytest.mark.alone
def test_a_segment_does_not_wait_for_an_audit_for_long(process_with: Process, origin: LiveOrigin):
    """What was found, or the time in the ledger, would wait for a rendition that drips."""
    process = process_with(ALWAYS)
    start(process)
    serve(origin, CARDED)
    gate = origin.hold("high/0.ts")
    (key,) = admit(process, origin)
    begin_seconds = time.monotonic()
    record = moderated(process, key)
    assert time.monotonic() - begin_seconds < 12
    assert gate.reached.is_set()
    assert (record["counts"]["rendition_audits_failed"], record["moderated_seconds"]) == (1, SEGMENT_SECONDS)


@pytest.mark.alone
def test_however_many_drip_an_audit_asks_for_no_more_than_one(process_with: Process, origin: LiveOrigin):
    """Each further one would lengthen it, or count as one that could not be had though nobody asked for it."""
    process = process_with(ALWAYS)
    start(process)
    camera = b'#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="c",NAME="a",URI="camera.m3u8"\n'
    serve(origin, CARDED, master=MASTER + camera)
    gates = [origin.hold(name) for name in ("high/0.ts", "camera.m3u8")]
    (key,) = admit(process, origin)
    record = moderated(process, key)
    assert [gate.reached.is_set() for gate in gates].count(True) == 1
    assert (record["counts"]["rendition_audits_failed"], record["moderated_seconds"]) == (1, SEGMENT_SECONDS)
