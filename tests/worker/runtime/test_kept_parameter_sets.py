"""The segment task on live streams whose first segment alone has parameter sets, as FFmpeg's HLS muxer makes them."""

import json
from dataclasses import replace
from functools import cache

import pytest
from admitted import admit, reasons
from hls_origin import LiveOrigin
from kinds import GOP, OPEN_GOP
from media import cut, encode, keyframes, rewritten, steady

from worker.ingest.coverage.ledger import coverage_key
from worker.ingest.pending.segments import SegmentRecord, pending_key, tries_key
from worker.runtime.kept_parameter_sets import KEPT_SEGMENTS, keep_parameter_sets, parameter_sets_key
from worker.runtime.segment_task import RETRY_DELAYS_MS, moderate_segment
from worker.runtime.worker_process import WorkerProcess

PARAMETER_SETS = (7, 8)
GOPS = 4
SECONDS = 2.0
"""Of each, by its EXTINF."""


@cache
def segments() -> tuple[bytes, ...]:
    """Four MPEG-TS segments of one open GOP each."""
    data = encode(OPEN_GOP, steady(GOPS * GOP))
    first, *rest = cut(data, [*keyframes(data)[:GOPS], GOPS * GOP])
    return (first.data, *(rewritten(part.data, without_sets) for part in rest))


def without_sets(_index: int, units: list[bytes]) -> list[bytes]:
    return [unit for unit in units if unit[0] & 0x1F not in PARAMETER_SETS]


def listed(origin: LiveOrigin, *, discontinuity: int | None = None) -> None:
    for index, data in enumerate(segments()):
        origin.add(f"{index}.ts", data)
        if index == discontinuity:
            origin.extra[f"{index}.ts"] = "#EXT-X-DISCONTINUITY"


def moderate(process: WorkerProcess, *keys: str) -> None:
    for key in keys:
        moderate_segment(process, "s", key)


def test_every_segment_of_such_a_stream_is_moderated(process: WorkerProcess, origin: LiveOrigin):
    """All but the first segment of an ordinary stream would be `failed`, though every viewer sees them."""
    listed(origin)
    moderate(process, *admit(process, origin))
    assert reasons(process) == {}
    ((_, entry), *_) = process.redis.hgetall(parameter_sets_key("s")).items()
    assert len(entry) < 300
    assert 0 < process.redis.ttl(parameter_sets_key("s")) <= 3600


def test_a_segment_waits_for_the_one_before_it(process: WorkerProcess, origin: LiveOrigin):
    """Segments of a stream that run at once would be `failed`, and with them all that follow."""
    listed(origin)
    keys = admit(process, origin)
    moderate(process, *reversed(keys))
    assert reasons(process) == {}, "three are still pending"
    assert set(process.redis.hkeys(pending_key("s"))) == set(keys[1:])
    moderate(process, *keys)
    assert reasons(process) == {}
    assert process.redis.hlen(pending_key("s")) == 0


def test_a_segment_waits_as_long_as_the_one_before_it_is_pending(process: WorkerProcess, origin: LiveOrigin):
    """One killed worker would lose the rest of a stream: its segment comes up again after half a minute, too late for
    the next one, and so on."""
    listed(origin)
    first, second, *_ = admit(process, origin)
    for _ in range(2 * len(RETRY_DELAYS_MS)):
        moderate(process, second)
    assert set(process.redis.hkeys(pending_key("s"))) >= {first, second}
    moderate(process, first, second)
    assert reasons(process) == {}


def test_a_segment_moderated_again_after_its_worker_died_hands_on_the_same(process: WorkerProcess, origin: LiveOrigin):
    """The next one would be `failed`."""
    listed(origin)
    first, second, *_ = admit(process, origin)
    record = process.redis.hget(pending_key("s"), first)
    moderate(process, first)
    process.redis.hset(pending_key("s"), first, record)
    moderate(process, first, second)
    # The ledger has the first one twice, as the test made it pending twice.
    assert not any(name.startswith("failed") for name in process.redis.hkeys(coverage_key("s")))


@pytest.mark.parametrize("how", ["lost", "of another segment", "of another epoch", "damaged", "no text"])
def test_with_no_sets_or_others_it_is_undecodable(process: WorkerProcess, origin: LiveOrigin, how: str):
    """A broadcaster would choose the sets that pictures are read by, and hide a part of them."""
    listed(origin)
    first, second, *_ = admit(process, origin)
    moderate(process, first)
    key = parameter_sets_key("s")
    ((field, entry),) = process.redis.hgetall(key).items()
    changed = {
        "lost": None,
        "of another segment": json.dumps(json.loads(entry) | {"key": second}),
        "of another epoch": json.dumps(json.loads(entry) | {"key": first.replace(".0.", ".1.", 1)}),
        "damaged": entry[:40],
        "no text": json.dumps(json.loads(entry) | {"sets": 7}),
    }[how]
    process.redis.delete(key) if changed is None else process.redis.hset(key, field, changed)
    moderate(process, second)
    assert reasons(process) == {"failed: undecodable": SECONDS}


def test_sets_from_before_a_discontinuity_are_not_used(process: WorkerProcess, origin: LiveOrigin):
    """Players begin anew there: what livewarden sees would be no viewer's picture."""
    listed(origin, discontinuity=2)
    moderate(process, *admit(process, origin))
    assert reasons(process) == {"failed: undecodable": 2 * SECONDS}


def test_a_segment_that_could_not_be_read_hands_on_nothing(process: WorkerProcess, origin: LiveOrigin):
    """It may have had other sets, by which players read those after it."""
    listed(origin)
    keys = admit(process, origin)
    del origin.bodies["/live/1.ts"]
    process.redis.hset(tries_key("s", keys[1]), "fetches", 5)
    moderate(process, *keys)
    assert set(reasons(process)) == {"failed: lost", "failed: undecodable"}
    assert reasons(process)["failed: undecodable"] == 2 * SECONDS


def test_a_stream_keeps_those_of_a_few_segments(process: WorkerProcess, origin: LiveOrigin):
    """Redis would fill up with a stream that goes on for days."""
    listed(origin)
    record = SegmentRecord.from_json(process.redis.hget(pending_key("s"), admit(process, origin)[0]))
    for sequence in range(3 * KEPT_SEGMENTS):
        keep_parameter_sets(process.redis, "s", replace(record, sequence=sequence), b"\0\0\1\x67")
    assert process.redis.hlen(parameter_sets_key("s")) == KEPT_SEGMENTS
