"""The ledger of live streams at the edges of the sampler: over its budget, slow cameras, and gaps across segments."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest
from admitted import moderate_all
from clips import RATE, clip, held, photo
from hls_origin import LiveOrigin
from media import Recipe, cut, encode, keyframes, steady, x264

from config.facts import StreamFacts
from config.policy.policy import load_policy
from config.profiles import PROFILES
from worker.incidents.coverage_gaps import raise_coverage_gaps
from worker.ingest.poll.stream_gaps import BLIND
from worker.ingest.registry.registry import stream_key
from worker.queue.open_cases import read_open_cases
from worker.runtime.worker_process import WorkerProcess
from worker.timeline.layout import BandKind, bands, span_of
from worker.timeline.series_store import case_series
from worker.verdictlog.reading import read_log

PICTURES = 400
"""16 s."""
CUTS = [photo(name) for name in ("coffee", "rocket", "astronaut", "chelsea")]


def seconds_long(origin: LiveOrigin, *each: float) -> None:
    """Has the playlist say how long each listed segment is."""
    target = f"TARGETDURATION:{max(*each, 1):.0f}"
    lines = origin.playlist_text().decode().replace("TARGETDURATION:2", target).split("\n")
    durations = iter(each)
    told = [f"#EXTINF:{next(durations):.3f}," if line.startswith("#EXTINF") else line for line in lines]
    origin.playlist = "\n".join(told).encode()


def rows(process: WorkerProcess) -> list[dict]:
    process.verdict_log.close()
    return [row for batch in read_log(process.settings.store_url, 0, 2**62) for row in batch.to_pylist()]


@pytest.fixture
def frugal(process_with: Callable[[str | None], WorkerProcess]) -> WorkerProcess:
    """A process whose policy lets a second of a stream cost no more than some pictures of it."""
    return process_with(
        "version: '1'\nprofiles: {balanced: {macroblocks_per_second: 5000}}\nrules:\n"
        "  - {name: listed, severity: high, when: 'matched(\"selftest\")'}\n"
    )


def test_segments_that_state_no_length_and_cannot_be_decoded_are_a_gap(process: WorkerProcess, origin: LiveOrigin):
    """A broadcaster could hide a stream behind segments of 0 s, since none of its time would be lost."""
    origin.add("0.ts", b"no container at all")
    seconds_long(origin, 0)
    record = moderate_all(process, origin, purpose="live")
    assert record["reasons"]["failed: unsupported_container"] == pytest.approx(0.001)
    assert process.redis.zscore(BLIND, "s") is not None


def test_a_stream_over_its_budget_is_in_the_ledger_and_seen_by_moderators(frugal: WorkerProcess, origin: LiveOrigin):
    """A broadcaster could make his stream so dear that most of it is left out, and nobody would be called."""
    dear = clip([picture for scene in CUTS for picture in held(scene, 1)], gop_seconds=4)
    origin.add("0.ts", dear)
    seconds_long(origin, 4)
    record = moderate_all(frugal, origin, purpose="live")
    assert record["skipped_seconds"] == record["reasons"]["skipped: budget"] > 1
    assert record["signals"]["over-budget"] == pytest.approx(record["skipped_seconds"] / 4, abs=0.01)
    assert record["risk"]["value"] > 0.4
    began_ms = int(frugal.redis.hget(stream_key("s"), "blind_since_ms")) - 70_000
    frugal.redis.hset(stream_key("s"), "blind_since_ms", began_ms)
    frugal.redis.zadd(BLIND, {"s": began_ms})
    raise_coverage_gaps(frugal.redis, deployment="test", policy=load_policy(None))
    ((_, fields),) = frugal.redis.xrange("lw:escalations:review")
    data = json.loads(fields["event"])["data"]
    assert (data["rule"], data["gap"]["reason"]) == ("coverage-gap", "budget")

    origin.add("1.ts", dear)
    origin.playlist = None
    seconds_long(origin, 4, 4)
    moderate_all(frugal, origin, purpose="live")
    (case, *_), _ = read_open_cases(frugal.redis)
    series = case_series(frugal.redis, case.case_id)
    found = bands(series, span_of(series, [], now_ms=None), now_ms=None)
    assert (BandKind.SKIPPED, "budget") in {(band.kind, band.reason) for band in found}
    assert {"budget"} <= {reason for row in rows(frugal) for reason, _ in row["failed_ms"]}


def slow_camera(pictures: int) -> bytes:
    """MPEG-TS of a picture a second."""
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as output:
        stream = output.add_stream("libx264", rate=1, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for index in range(pictures):
            frame = av.VideoFrame.from_ndarray(CUTS[index % len(CUTS)], format="rgb24")
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("seconds", [1, 2, 4])
def test_a_slow_camera_is_not_short(process: WorkerProcess, origin: LiveOrigin, seconds: int):
    """A second of each segment of a camera with a picture a second would be lost in the ledger."""
    for name in ("0.ts", "1.ts"):
        origin.add(name, slow_camera(seconds))
    seconds_long(origin, seconds, seconds)
    record = moderate_all(process, origin)
    assert record["reasons"] == {}
    assert record["moderated_seconds"] == 2 * seconds


@pytest.fixture(params=PROFILES)
def profiled(request: pytest.FixtureRequest, process: WorkerProcess, tmp_path: Path) -> Iterator[WorkerProcess]:
    """A process whose policy samples by a built-in profile, and classifies by the lightest model alone."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        f"version: '1'\nsampling: {request.param}\ncascade: [{{model: testcard}}]\nrules:\n"
        "  - {name: listed, severity: high, when: 'matched(\"selftest\")'}\n"
    )
    other = WorkerProcess(process.settings.model_copy(update={"policy_file": policy}))
    yield other
    other.close()


STREAMS = {
    "closed gops of 4 s": x264(bframes=3, keyint=100, min_keyint=100, scenecut=0),
    "open gops of 4 s": x264(open_gop=1, bframes=16, b_adapt=0, keyint=100, min_keyint=100, scenecut=0),
    "keyframes wherever the scene changes": x264(bframes=3, keyint=100, min_keyint=10),
}


@pytest.mark.parametrize("recipe", STREAMS.values(), ids=STREAMS)
def test_no_gap_is_longer_than_the_profile_says_across_segments(
    profiled: WorkerProcess, origin: LiveOrigin, recipe: Recipe
):
    """The end of one segment and the beginning of the next would together hide more than either may."""
    profile = profiled.active.policy.profile_for(StreamFacts(stream_id="s", purpose="drill"))
    data = encode(replace(recipe, width=320, height=180), steady(PICTURES), lambda number: number // 130)
    parts = cut(data, [*keyframes(data), PICTURES])
    for index, part in enumerate(parts):
        origin.add(f"{index}.ts", part.data, window=len(parts))
    seconds_long(origin, *(len(part.numbers) / RATE for part in parts))
    record = moderate_all(profiled, origin)
    assert record["reasons"] == {}
    logged = rows(profiled)
    begins_ms = min(row["capture_ms"] - round(row["pts_seconds"] * 1000) for row in logged)
    times = sorted((row["capture_ms"] - begins_ms) / 1000 for row in logged)
    gaps = [after - before for before, after in pairwise([0.0, *times, PICTURES / RATE])]
    assert max(gaps) <= profile.max_gap_seconds + 1.5 / RATE
