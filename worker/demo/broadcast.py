"""A live broadcast in memory: H.264 encoded in real time, cut into MPEG-TS segments, of which the newest are kept."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from time import monotonic

import av
import numpy as np
from numpy.typing import NDArray

FRAME_RATE = 25
GOP_FRAMES = 2 * FRAME_RATE
SEGMENT_FRAMES = 2 * GOP_FRAMES
SEGMENT_SECONDS = SEGMENT_FRAMES / FRAME_RATE
WINDOW_SEGMENTS = 6
KEPT_SEGMENTS = WINDOW_SEGMENTS + 2
"""RFC 8216, 6.2.2: a segment removed from the playlist stays available for some time. Bounds memory: about 2 MB."""

_BROADCASTER_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "crf": "26",
    # A broadcaster's keyframes come at fixed intervals; by default the encoder would begin each cut with one.
    "x264-params": f"keyint={GOP_FRAMES}:min-keyint={GOP_FRAMES}:scenecut=0:threads=1",
}

Draw = Callable[[float, datetime], NDArray[np.uint8]]
"""Returns the picture at a time in seconds from the start and a time of day: uint8, (H, W, 3), RGB."""


@dataclass(frozen=True, kw_only=True)
class LiveSegment:
    """One finished segment."""

    media_sequence: int
    starts_at: datetime
    content: bytes
    """MPEG-TS that begins with PAT, PMT and a keyframe."""


class BroadcastWindow:
    """The sliding window of finished segments: one thread adds, any thread reads."""

    def __init__(self) -> None:
        self._segments: deque[LiveSegment] = deque(maxlen=KEPT_SEGMENTS)
        self._lock = threading.Lock()

    def add(self, segment: LiveSegment) -> None:
        """Adds the next segment and drops the oldest."""
        with self._lock:
            self._segments.append(segment)

    def segment(self, media_sequence: int) -> LiveSegment | None:
        """A segment that is still kept, or None."""
        with self._lock:
            return next((kept for kept in self._segments if kept.media_sequence == media_sequence), None)

    def playlist(self) -> str | None:
        """The media playlist, or None before the first segment."""
        with self._lock:
            listed = list(self._segments)[-WINDOW_SEGMENTS:]
        if not listed:
            return None
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            f"#EXT-X-TARGETDURATION:{round(SEGMENT_SECONDS)}",
            f"#EXT-X-MEDIA-SEQUENCE:{listed[0].media_sequence}",
        ]
        for segment in listed:
            lines += [
                f"#EXT-X-PROGRAM-DATE-TIME:{segment.starts_at.isoformat(timespec='milliseconds')}",
                f"#EXTINF:{SEGMENT_SECONDS:.3f},",
                f"{segment.media_sequence}.ts",
            ]
        return "\n".join(lines) + "\n"


class _Cutter:
    """The output of the muxer since the last cut."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, chunk: bytes) -> int:
        self._written += chunk
        return len(chunk)

    def cut(self) -> bytes:
        content = bytes(self._written)
        self._written.clear()
        return content


def broadcast(
    draw: Draw, publish: Callable[[LiveSegment], None], stop: threading.Event, *, width: int, height: int
) -> None:
    """Encodes in real time and publishes each finished segment until `stop` is set; then returns within a frame's time.

    One encoder and one muxer for the whole broadcast, so timestamps go on over segments, as a real packager's do.
    """
    cutter = _Cutter()
    started, started_at = monotonic(), datetime.now(UTC)
    with av.open(
        cutter, "w", format="mpegts", options={"mpegts_flags": "pat_pmt_at_frames", "flush_packets": "1"}
    ) as muxer:
        video = muxer.add_stream("libx264", rate=FRAME_RATE, options=_BROADCASTER_OPTIONS)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        # 1/25 s is one frame: the frame's number is its timestamp.
        video.codec_context.time_base = Fraction(1, FRAME_RATE)
        number = 0
        while not stop.wait(max(0.0, started + number / FRAME_RATE - monotonic())):
            seconds = number / FRAME_RATE
            if number and number % SEGMENT_FRAMES == 0:
                # The encoder holds no frame back (zerolatency), so the output ends where the segment does.
                publish(
                    LiveSegment(
                        media_sequence=number // SEGMENT_FRAMES - 1,
                        starts_at=started_at + timedelta(seconds=seconds - SEGMENT_SECONDS),
                        content=cutter.cut(),
                    )
                )
            picture = draw(seconds, (started_at + timedelta(seconds=seconds)).astimezone())
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            muxer.mux(video.encode(frame))
            number += 1
