"""A live stream of two renditions on the test origin, `low`, which is watched, and `high`; and its moderation by one
process that audits all of its segments or none."""

import io
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
from admitted import moderate_all
from clips import clip, held, photo
from hls_origin import SEGMENT_SECONDS, LiveOrigin

from config.facts import StreamFacts
from models.testcard import testcard as card_picture
from worker.moderation.moderation_context import ModerationContext
from worker.runtime.worker_process import WorkerProcess

POLICY = """
version: "1"
profiles:
  balanced: {audits_per_minute: PER_MINUTE}
rules:
  - {name: card, when: 'matched("selftest")', severity: high}
  - {name: other, when: 'signal("renditions-differ") > 0.5', severity: review, mode: shadow}
"""
ALWAYS, NEVER = POLICY.replace("PER_MINUTE", "60.0"), POLICY.replace("PER_MINUTE", "0.0")

MASTER = b"""#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=640x360
low/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=6000000,RESOLUTION=1280x720
high/index.m3u8
"""

Renditions = Mapping[str, list[bytes]]
"""Name of a rendition to its segments."""


@cache
def large(name: str, *, late_seconds: float = 0.0) -> bytes:
    """MPEG-TS of 1280×720: a picture of scikit-image, or the test card, held; its clock begins that much later than
    that of `clips.clip`."""
    return film((name,), rate=25, late_pictures=round(25 * late_seconds))


@cache
def film(
    names: tuple[str, ...],
    *,
    rate: int,
    cuts: tuple[float, ...] = (),
    late_pictures: int = 0,
    width: int = 1280,
    height: int = 720,
) -> bytes:
    """MPEG-TS: a picture held, or one after the other in motion, each until its cut. The first frame at or
    after a cut shows the next one, so one of another rate may show it earlier."""
    pictures = [
        card_picture(width, height) if name == "card" else cv2.resize(photo(name), (width, height)) for name in names
    ]
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as container:
        options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "scenecut=0"}
        stream: Any = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(rate * SEGMENT_SECONDS):
            picture = pictures[sum(index / rate >= cut for cut in cuts)]
            if cuts:
                picture = np.roll(picture, round(200 * index / rate), axis=1)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index + late_pictures
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


@cache
def small(name: str) -> bytes:
    """MPEG-TS of 640×360: the same at a third of the size."""
    return clip(held(photo(name), SEGMENT_SECONDS))


def serve(
    origin: LiveOrigin,
    renditions: Renditions,
    *,
    lines: str = "",
    master: bytes = MASTER,
    extinf_seconds: float = SEGMENT_SECONDS,
) -> None:
    """Lists these segments; `lines`: before those of the rendition `high`."""
    origin.playlist = master
    for name, segments in renditions.items():
        listed = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}", "#EXT-X-MEDIA-SEQUENCE:0"]
        listed += [lines] if name == "high" and lines else []
        for number, body in enumerate(segments):
            listed += [f"#EXTINF:{extinf_seconds:.3f},", f"{number}.ts?token=s3cret"]
            origin.bodies[f"/live/{name}/{number}.ts"] = body
        origin.bodies[f"/live/{name}/index.m3u8"] = "\n".join(listed).encode()


def start(process: WorkerProcess) -> None:
    """Starts models and decoder: a segment that waits for them may hold its process for too long to be audited."""
    facts = ModerationContext(stream=StreamFacts(stream_id="first"), capture_ms=0)
    process.pipeline.moderate(small("astronaut"), context=facts, seed=b"")


def moderate(process: WorkerProcess, origin: LiveOrigin, stream_id: str = "s") -> dict[str, Any]:
    """Polls the stream, moderates all its segments, and gives its record."""
    start(process)
    return moderate_all(process, origin, stream_id)


def raised(process: WorkerProcess) -> list[dict[str, Any]]:
    return [json.loads(fields["event"])["data"] for _, fields in process.redis.xrange("lw:escalations:high")]


def signal_of(record: Mapping[str, Any]) -> float:
    """The stream's signal, as `livewarden streams show --json` explains it; 0: it has none."""
    return next((part["given"] for part in record["risk"]["parts"] if part["name"] == "renditions-differ"), 0.0)
