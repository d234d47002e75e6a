"""The segment task on live streams of intra refresh, whose segments begin without a keyframe."""

import json

import pytest
from admitted import admit, reasons
from hls_origin import LiveOrigin
from refreshed import SEGMENTS, refreshed_segments

from worker.ingest.pending.segments import pending_key
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess

DRILLS = "lw:escalations:high"


def watch(process: WorkerProcess, origin: LiveOrigin, *, carded: int | None = None) -> list[str]:
    """Lists and admits the stream; gives its segments' keys."""
    for index, data in enumerate(refreshed_segments(carded=carded)):
        origin.add(f"{index}.ts", data)
    return admit(process, origin)


def raised(process: WorkerProcess) -> list[dict]:
    return [json.loads(fields["event"])["data"] for _, fields in process.redis.xrange(DRILLS)]


def fetched(origin: LiveOrigin, name: str) -> int:
    return origin.requests.count(f"GET /live/{name}")


def test_an_honest_stream_loses_nothing(process: WorkerProcess, origin: LiveOrigin):
    """An incident `coverage-gap` would be open for every broadcaster whose encoder refreshes so, for ever."""
    for key in watch(process, origin):
        moderate_segment(process, "s", key)
    assert reasons(process) == {}
    assert raised(process) == []
    assert [fetched(origin, f"{index}.ts") for index in range(SEGMENTS)] == [2, 2, 2, 1]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_listed_picture_in_the_first_wave_alone_is_escalated(
    process: WorkerProcess, origin: LiveOrigin, backwards: bool
):
    """Whoever knows how segments are cut could show anything at the beginning of each, and never be found."""
    keys = watch(process, origin, carded=2)
    for key in reversed(keys) if backwards else keys:
        moderate_segment(process, "s", key)
    assert reasons(process) == {}
    (event,) = raised(process)
    assert event["matches"][0]["list"] == "selftest"


@pytest.mark.parametrize("how", ["gone", "not a segment", "cut short"])
def test_without_the_segment_before_the_wave_is_lost_time(process: WorkerProcess, origin: LiveOrigin, how: str):
    """Smear would count as moderated, or all of the segment as lost."""
    _, _, key, _ = watch(process, origin)
    if how == "gone":
        del origin.bodies["/live/1.ts"]
    else:
        origin.bodies["/live/1.ts"] = b"<html>" if how == "not a segment" else refreshed_segments()[0][:188]
    moderate_segment(process, "s", key)
    lost = reasons(process)
    assert set(lost) == {"failed: concealed"}
    assert 0.3 < lost["failed: concealed"] < 2.0
    assert process.redis.hlen(pending_key("s")) == SEGMENTS - 1, "what is known to be lost is not tried again"
    assert raised(process) == []
