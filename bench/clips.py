"""Clips with other content cut in between keyframes, encoded as by five kinds of live encoders."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import Protocol

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from bench.material import Reel

FRAMES_PER_SECOND = 24
"""At this rate each of 0.25, 0.5, 1 and 2 s is a whole number of pictures."""
BITS_PER_PIXEL = 0.15
"""Bits per pixel and picture of the settings with a bit rate: 207 kbit/s at 320 × 180, 829 kbit/s at 640 × 360, 3.3
Mbit/s at 720p."""
INTRA_REFRESH = "intra refresh"
SLOT_SECONDS = 3
"""A GOP is divided into slots of about this length, each with one insert, so that long GOPs have several."""

Films = Sequence[tuple[str, int]]
"""For each picture of a clip, the film and the number of the picture in it."""


class Encoder(Protocol):
    """Makes streams with fixed closed GOPs, in which no cut causes a keyframe."""

    @property
    def name(self) -> str:
        """Name in tables."""

    def encode(self, reel: Reel, films: Films, *, gop_frames: int) -> bytes:
        """An MPEG-TS stream of these pictures."""


@dataclass(frozen=True, kw_only=True)
class EncoderSetting:
    """Settings of x264, x265, SVT-AV1 or libvpx: fixed closed GOPs and `scenecut=0`, as in live encoders (platforms ask
    for a fixed keyframe interval), so that keyframes depend on time alone."""

    name: str
    zero_latency: bool
    parameters: str
    """The encoder's own parameters, of libvpx FFmpeg's; `{kbits}` is the bit rate in kbit/s, `{half}` and `{fifth}` so
    many kbit, `{third}` a third of the rate."""
    preset: str = "veryfast"
    codec: str = "libx264"
    container: str = "mpegts"
    """Container of the stream; AV1 has no place in MPEG-TS."""
    frames_per_second: int = FRAMES_PER_SECOND

    def encode(self, reel: Reel, films: Films, *, gop_frames: int) -> bytes:
        """A stream of these pictures."""
        stream = BytesIO()
        with av.open(stream, "w", format=self.container) as output:
            video = output.add_stream(self.codec, rate=self.frames_per_second)
            assert isinstance(video, VideoStream)
            video.width, video.height, video.pix_fmt = reel.width, reel.height, "yuv420p"
            video.options = self.options(gop_frames=gop_frames, pixels=reel.width * reel.height)
            for index, (film, position) in enumerate(films):
                frame = VideoFrame.from_ndarray(reel.picture(film, position), format="yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, self.frames_per_second)
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
        return stream.getvalue()

    def options(self, *, gop_frames: int, pixels: int) -> dict[str, object]:
        """FFmpeg's options of the encoder."""
        kbits = round(pixels * self.frames_per_second * BITS_PER_PIXEL / 1000)
        own = self.parameters.format(kbits=kbits, half=kbits // 2, third=kbits // 3, fifth=kbits // 5)
        tune = {"tune": "zerolatency"} if self.zero_latency else {}
        preset = {} if self.codec == "libvpx-vp9" else {"preset": self.preset}
        return {**preset, **tune, **self._parameters(f"keyint={gop_frames}:min-keyint={gop_frames}", own)}

    def _parameters(self, gop: str, own: str) -> dict[str, object]:
        if self.codec == "libsvtav1":
            frames = gop.split(":")[0].removeprefix("keyint=")
            return {"g": frames, "svtav1-params": f"keyint={frames}:scd=0:lp=1:{own}"}
        if self.codec == "libvpx-vp9":
            frames = gop.split(":")[0].removeprefix("keyint=")
            return {"g": frames, "keyint_min": frames, **dict(part.split("=") for part in own.split(":"))}
        if self.codec == "libx265":
            return {"x265-params": f"{gop}:scenecut=0:open-gop=0:pools=1:frame-threads=1:log-level=none:{own}"}
        return {"x264-params": f"{gop}:scenecut=0:open-gop=0:threads=1:{own}"}


ENCODERS = (
    EncoderSetting(
        name="zerolatency CBR",
        zero_latency=True,
        parameters="bitrate={kbits}:vbv-maxrate={kbits}:vbv-bufsize={kbits}",
    ),
    # With filler, as in OBS Studio's CBR: packets are padded where the picture needs fewer bits.
    EncoderSetting(
        name="CBR, B-frames",
        zero_latency=False,
        parameters="bframes=3:bitrate={kbits}:vbv-maxrate={kbits}:vbv-bufsize={kbits}:filler=1",
    ),
    EncoderSetting(name="CRF 23", zero_latency=False, parameters="bframes=3:crf=23"),
    # A buffer of 0.2 s: a cut cannot cost more bits than that, and its picture becomes coarse instead.
    EncoderSetting(
        name="tight VBV",
        zero_latency=True,
        parameters="bitrate={kbits}:vbv-maxrate={kbits}:vbv-bufsize={fifth}",
    ),
    EncoderSetting(
        name=INTRA_REFRESH,
        zero_latency=True,
        parameters="intra-refresh=1:bitrate={kbits}:vbv-maxrate={kbits}:vbv-bufsize={half}",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Insert:
    """Other content, shown in [start_seconds, end_seconds)."""

    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.end_seconds - self.start_seconds

    def is_seen(self, seen_seconds: Sequence[float]) -> bool:
        """True if one of these instants (ascending) lies in it; a difference of a quarter of a picture is ignored."""
        tolerance = 0.25 / FRAMES_PER_SECOND
        after = bisect_left(seen_seconds, self.start_seconds - tolerance)
        return after < len(seen_seconds) and seen_seconds[after] < self.end_seconds - tolerance


@dataclass(frozen=True, kw_only=True)
class Clip:
    """An encoded stream, complete and in segments, and its inserts."""

    encoder: str
    base: str
    gop_seconds: int
    stream: bytes
    """MPEG-TS."""
    segments: tuple[bytes, ...]
    """MPEG-TS; with intra refresh, which has no GOPs, as many pictures as GOPs would have."""
    segment_seconds: float
    """Duration of each: one GOP or several."""
    frames_total: int
    inserts: tuple[Insert, ...]
    """The hidden inserts: those without a keyframe."""

    @property
    def duration_seconds(self) -> float:
        """Duration to the end of the last picture."""
        return self.frames_total / FRAMES_PER_SECOND

    def segment_start_seconds(self, index: int) -> float:
        """Presentation time of a segment's first picture, from the clip's first picture."""
        return float(index * self.segment_seconds)


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """Pictures [start, stop) are from another film, starting at its picture `offset`."""

    start: int
    stop: int
    film: str
    offset: int


def make_clip(
    reel: Reel,
    *,
    encoder: Encoder,
    base: str,
    gop_seconds: int,
    insert_seconds: tuple[float, ...],
    seed: tuple[int, ...],
) -> Clip:
    """A clip of `base` with one insert of each of `insert_seconds` that fits between two keyframes, in random order at
    random instants; the inserts are from the other films of the reel."""
    random = np.random.default_rng(seed)
    gop_frames = gop_seconds * FRAMES_PER_SECOND
    films = [name for name in reel.loops if name != base]
    cuts = _cuts(insert_seconds, gop_frames, films, random)
    slots = max(1, gop_seconds // SLOT_SECONDS)
    return _encoded(reel, encoder, base, gop_seconds, cuts, gop_frames * -(-len(cuts) // slots), gop_seconds)


def make_clean_clip(
    reel: Reel, *, encoder: Encoder, base: str, gop_seconds: int, seconds: int, segment_seconds: int = 0
) -> Clip:
    """A clip of only `base`; `segment_seconds`, by default a GOP's duration, must be a multiple of it."""
    return _encoded(reel, encoder, base, gop_seconds, [], seconds * FRAMES_PER_SECOND, segment_seconds or gop_seconds)


def _cuts(
    insert_seconds: tuple[float, ...], gop_frames: int, films: list[str], random: np.random.Generator
) -> list[_Cut]:
    slot_frames = gop_frames // max(1, gop_frames // (SLOT_SECONDS * FRAMES_PER_SECOND))
    fitting = [seconds for seconds in insert_seconds if seconds * FRAMES_PER_SECOND < slot_frames]
    cuts = []
    for slot, seconds in enumerate(random.permutation(fitting).tolist()):
        length = round(seconds * FRAMES_PER_SECOND)
        # A slot's first picture may be a keyframe, hence never the insert's.
        start = slot * slot_frames + int(random.integers(1, slot_frames - length + 1))
        film = films[int(random.integers(len(films)))]
        offset = int(random.integers(500))
        cuts.append(_Cut(start=start, stop=start + length, film=film, offset=offset))
    return cuts


def _encoded(
    reel: Reel,
    encoder: Encoder,
    base: str,
    gop_seconds: int,
    cuts: list[_Cut],
    frames_total: int,
    segment_seconds: int,
) -> Clip:
    gop_frames = gop_seconds * FRAMES_PER_SECOND
    films = [(base, index) for index in range(frames_total)]
    for cut in cuts:
        films[cut.start : cut.stop] = [(cut.film, cut.offset + step) for step in range(cut.stop - cut.start)]
    stream = encoder.encode(reel, films, gop_frames=gop_frames)
    segments, keyframes = _segmented(stream, segment_seconds * FRAMES_PER_SECOND)
    return Clip(
        encoder=encoder.name,
        base=base,
        gop_seconds=gop_seconds,
        stream=stream,
        segments=segments,
        segment_seconds=segment_seconds,
        frames_total=frames_total,
        inserts=tuple(
            Insert(start_seconds=cut.start / FRAMES_PER_SECOND, end_seconds=cut.stop / FRAMES_PER_SECOND)
            for cut in cuts
            if not keyframes.intersection(range(cut.start, cut.stop))
        ),
    )


def _segmented(stream: bytes, segment_frames: int) -> tuple[tuple[bytes, ...], set[int]]:
    """The stream as a packager would cut it, and the flags of keyframes for all pictures."""
    with av.open(BytesIO(stream), "r", format="mpegts") as whole:
        video = whole.streams.video[0]
        packets = [packet for packet in whole.demux(video) if packet.size]
        first_seconds = min(seconds(packet) for packet in packets)
        keyframes = {
            round((seconds(packet) - first_seconds) * FRAMES_PER_SECOND) for packet in packets if packet.is_keyframe
        }
        starts = range(0, len(packets), segment_frames)
        segments = tuple(muxed(packets[start : start + segment_frames], video, "mpegts") for start in starts)
    return segments, keyframes


def seconds(timed: "Packet[VideoStream] | VideoFrame") -> float:
    """Presentation time by the container's clock, which every picture of these streams has."""
    assert timed.pts is not None
    assert timed.time_base is not None
    return float(timed.pts * timed.time_base)


def as_mp4(stream: bytes) -> bytes:
    """The same pictures in a container with an index of keyframes, which seeking needs and MPEG-TS lacks."""
    with av.open(BytesIO(stream), "r", format="mpegts") as whole:
        video = whole.streams.video[0]
        return muxed([packet for packet in whole.demux(video) if packet.size], video, "mp4")


def muxed(packets: "Sequence[Packet[VideoStream]]", video: VideoStream, container: str) -> bytes:
    """A container of these packets alone, with their times."""
    whole = BytesIO()
    with av.open(whole, "w", format=container) as output:
        # Opaque: the decoder of AV1 is no encoder, which PyAV would look for.
        target = output.add_stream_from_template(video, opaque=True)
        for packet in packets:
            packet.stream = target
            output.mux(packet)
    return whole.getvalue()
