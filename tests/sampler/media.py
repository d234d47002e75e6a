"""Recipes for encoded media whose every picture shows its own number.

Each picture is a moving texture with a strip of ten blocks on top, dark or bright: its number in binary. A test can
thus read from a sample which picture it is, and compare it with the time that the sampler reports.
"""

import io
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, partial
from itertools import pairwise

import av
import cv2
import numpy as np
import skimage.data
from av.bitstream import BitStreamFilterContext
from av.video.frame import PictureType
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

CLOCK = 90_000
"""Ticks a second of all time stamps here: MPEG-TS's clock."""
RATE = 25
FRAME_TICKS = CLOCK // RATE
FRAME_SECONDS = 1 / RATE
BLOCK_PIXELS = 16
BITS = 10
DARK, BRIGHT = 40, 215
"""Full range."""
FEW_THREADS = "pools=1:frame-threads=1"
"""x265's parameters for it."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The encoder's settings of a clip."""

    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    width: int = 192
    height: int = 108
    container: str = "mpegts"
    aspect: Fraction = Fraction(1)
    """Width by height of one pixel."""
    full_range: bool = False
    """True if luma uses 0 to 255, if the pixel format does not say."""
    fragment_seconds: float | None = None
    """Duration of the fragments of an MP4; None: each has one keyframe, at its beginning."""
    whole: bool = False
    """An MP4 without fragments, as in files."""

    @property
    def uses_full_range(self) -> bool:
        """True if luma uses 0 to 255."""
        return self.full_range or self.pixel_format.startswith("yuvj")

    @property
    def encoder_options(self) -> dict[str, str]:
        """Options of the encoder. x265 has few threads: with its usual ones it once waited for itself, for ever, at the
        end of a clip, and no time limit of a test ends what waits outside of Python."""
        if self.codec != "libx265":
            return self.options
        return self.options | {"x265-params": f"{FEW_THREADS}:{self.options['x265-params']}"}

    @property
    def muxer_options(self) -> dict[str, str]:
        """Options of FFmpeg's muxer for the container."""
        if self.container != "mp4" or self.whole:
            return {}
        if self.fragment_seconds is None:
            return {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        microseconds = str(round(self.fragment_seconds * 1e6))
        return {"movflags": "empty_moov+default_base_moof", "frag_duration": microseconds}


def x264(*, preset: str = "veryfast", tune: str = "", **params: int | str) -> Recipe:
    """A recipe with x264 parameters, `_` for `-`."""
    pairs = ":".join(f"{name.replace('_', '-')}={value}" for name, value in params.items())
    options = {"preset": preset, "x264-params": pairs}
    return Recipe(options=options | ({"tune": tune} if tune else {}))


def steady(count: int) -> list[int]:
    """Time stamps of `count` pictures at `RATE`, in ticks."""
    return [index * FRAME_TICKS for index in range(count)]


def one_scene(_index: int) -> int:
    """The scene of every picture of an ordinary clip."""
    return 0


def encode(recipe: Recipe, ticks: Sequence[int], scene: Callable[[int], int] = one_scene) -> bytes:
    """One file or segment: a picture for each time stamp, its texture chosen by `scene(number)`."""
    return encode_pictures(recipe, ticks, lambda index: painted(recipe, index, scene(index)))


def no_tint(_index: int) -> tuple[float, float]:
    """The chroma of every picture of a clip without colours."""
    return 128.0, 128.0


def any_kind(_index: int) -> PictureType:
    """Leaves it to the encoder how each picture is coded."""
    return PictureType.NONE


def encode_pictures(
    recipe: Recipe,
    ticks: Sequence[int],
    luma: Callable[[int], NDArray[np.float64]],
    tint: Callable[[int], tuple[float, float]] = no_tint,
    kind: Callable[[int], PictureType] = any_kind,
) -> bytes:
    """One file or segment: for each time stamp the picture whose luma, (H, W), 0 to 255, is `luma(number)`, with chroma
    of `tint(number)` all over, coded as `kind(number)`."""
    file = io.BytesIO()
    with av.open(file, "w", format=recipe.container, options=recipe.muxer_options) as output:
        stream = output.add_stream(recipe.codec, rate=RATE, options=recipe.encoder_options)
        stream.width, stream.height = recipe.width, recipe.height
        stream.pix_fmt = recipe.pixel_format
        stream.codec_context.sample_aspect_ratio = recipe.aspect
        if recipe.full_range:
            stream.codec_context.color_range = ColorRange.JPEG
        if recipe.codec in ("mpeg2video", "mpeg4"):  # the one has only the broadcast rates, the other 16 bits
            stream.codec_context.time_base = Fraction(1, RATE)
        else:
            stream.codec_context.time_base = Fraction(1, CLOCK)
        for index, tick in enumerate(ticks):
            frame = _frame(recipe, luma(index), tint(index))
            frame.pts, frame.time_base = tick, Fraction(1, CLOCK)
            frame.pict_type = kind(index)
            if recipe.full_range:
                frame.color_range = ColorRange.JPEG
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some consecutive packets of an MPEG-TS, as their own segment."""

    data: bytes
    numbers: tuple[int, ...]
    """Presentation times of its pictures."""


def cut(data: bytes, edges: Sequence[int]) -> list[Part]:
    """MPEG-TS segments of the packets [edges[0], edges[1]), [edges[1], edges[2]), …, in decoding order."""
    with av.open(io.BytesIO(data), format="mpegts") as source:
        stamps = [packet.pts for packet in source.demux(video=0) if packet.size]
    number = {pts: index for index, pts in enumerate(sorted(stamps))}
    return [
        Part(
            data=remux(data, partial(_inside, start, stop)),
            numbers=tuple(sorted(number[pts] for pts in stamps[start:stop])),
        )
        for start, stop in pairwise(edges)
    ]


def keyframes(data: bytes) -> list[int]:
    """Indices of the keyframes of an MPEG-TS, in decoding order."""
    with av.open(io.BytesIO(data), format="mpegts") as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
    return [index for index, packet in enumerate(packets) if packet.is_keyframe]


def photograph(name: str, width: int, height: int) -> NDArray[np.float64]:
    """Luma of a photograph of scikit-image, (height, width), full range 0 to 255."""
    grey = cv2.cvtColor(getattr(skimage.data, name)(), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float64)


def painted(recipe: Recipe, index: int, scene: int, *, still: bool = False) -> NDArray[np.float64]:
    """Luma of picture `index`, (H, W), full range 0 to 255; the texture moves unless it is `still`."""
    luma = np.roll(_texture(recipe.width, recipe.height, scene), 0 if still else index, axis=1)
    for bit in range(BITS):
        level = BRIGHT if index >> bit & 1 else DARK
        luma[:BLOCK_PIXELS, bit * BLOCK_PIXELS : (bit + 1) * BLOCK_PIXELS] = level
    return luma


def muxed(pictures: Iterable[bytes], recipe: Recipe, *, ticks: int = FRAME_TICKS) -> bytes:
    """An MPEG-TS of coded H.264 pictures, the first of which is a keyframe, shown in their order for so many ticks."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as output:
        stream = output.add_mux_stream("h264", rate=RATE, width=recipe.width, height=recipe.height)
        for number, content in enumerate(pictures):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, Fraction(1, CLOCK)
            packet.pts = packet.dts = number * ticks
            packet.is_keyframe = number == 0
            output.mux(packet)
    return file.getvalue()


def changed(data: bytes, change: Callable[[int, bytes], bytes], stamp: Callable[[int, int], int]) -> bytes:
    """The MPEG-TS with each packet's bytes and presentation time rewritten, its decoding times a second earlier."""
    file = io.BytesIO()
    options = {"avoid_negative_ts": "disabled"}
    with (
        av.open(io.BytesIO(data), format="mpegts") as source,
        av.open(file, "w", format="mpegts", options=options) as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            written = av.Packet(change(index, bytes(packet)))
            written.pts, written.dts = stamp(index, packet.pts), packet.dts - CLOCK
            written.time_base, written.stream, written.is_keyframe = packet.time_base, stream, packet.is_keyframe
            output.mux(written)
    return file.getvalue()


def remux(data: bytes, retimed: Callable[[int, int], int | None]) -> bytes:
    """The MPEG-TS with packets retimed: `retimed(index in decoding order, pts in ticks)`; None omits the packet."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(data), format="mpegts") as source,
        av.open(file, "w", format="mpegts", options={"avoid_negative_ts": "disabled"}) as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            pts = retimed(index, packet.pts)
            if pts is not None:
                packet.dts += pts - packet.pts
                packet.pts = pts
                packet.stream = stream
                output.mux(packet)
    return file.getvalue()


def side_by_side(*clips: bytes, container: str = "mpegts", options: dict[str, str] | None = None) -> bytes:
    """One input with the video of each MPEG-TS as a track, in turn as their decoding times are."""
    file = io.BytesIO()
    with ExitStack() as opened, av.open(file, "w", format=container, options=options or {}) as output:
        packets = []
        for data in clips:
            source = opened.enter_context(av.open(io.BytesIO(data), format="mpegts"))
            stream = output.add_stream_from_template(source.streams.video[0])
            packets += [(packet, stream) for packet in source.demux(video=0) if packet.size]
        for packet, stream in sorted(packets, key=lambda pair: pair[0].dts):
            packet.stream = stream
            output.mux(packet)
    return file.getvalue()


def fragments(data: bytes) -> tuple[bytes, list[bytes]]:
    """Init section and media segments of a fragmented MP4."""
    starts = [begin for begin, kind in _boxes(data) if kind == b"moof"]
    end = next((begin for begin, kind in _boxes(data) if kind == b"mfra"), len(data))
    return data[: starts[0]], [data[a:b] for a, b in zip(starts, [*starts[1:], end], strict=True)]


def rotated(data: bytes, clockwise_degrees: int, *, mirrored: bool = False) -> bytes:
    """The MP4 with a display matrix in its track header (ISO/IEC 14496-12, 8.3.2) by which players first exchange left
    and right, if `mirrored`, and then rotate by quarters."""
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise_degrees]
    side = -1 if mirrored else 1
    return mapped(data, (side * cosine, side * sine, -sine, cosine))


def mapped(data: bytes, matrix: tuple[float, float, float, float]) -> bytes:
    """The MP4 with that display matrix in its track header: (x, y) is shown at (ax + cy, bx + dy)."""
    at = data.index(b"tkhd")
    place = at + (44 if data[at + 4] == 0 else 56)
    a, b, c, d = (round(value * 65536) for value in matrix)
    packed = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return data[:place] + packed + data[place + len(packed) :]


def starting_at(data: bytes, *, seconds: int) -> bytes:
    """The MP4 without fragments, its edit list changed to begin later by that time (ISO/IEC 14496-12, 8.6.6)."""
    edit = data.index(b"elst") + 12
    media = data.index(b"mdhd") + 16
    (scale,) = struct.unpack_from(">I", data, media)
    duration, start = struct.unpack_from(">Ii", data, edit)
    movie = data.index(b"mvhd") + 16
    (movie_scale,) = struct.unpack_from(">I", data, movie)
    changed = struct.pack(">Ii", duration - seconds * movie_scale, start + seconds * scale)
    return data[:edit] + changed + data[edit + len(changed) :]


def filtered(data: bytes, bitstream_filter: str) -> bytes:
    """The MPEG-TS with its packets rewritten by one of FFmpeg's bitstream filters."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(data), format="mpegts") as source,
        av.open(file, "w", format="mpegts") as output,
    ):
        stream = source.streams.video[0]
        written = output.add_stream_from_template(stream)
        rewrite = BitStreamFilterContext(bitstream_filter, stream, written)
        for packet in source.demux(stream):
            for rewritten in rewrite.filter(packet):
                rewritten.stream = written
                output.mux(rewritten)
    return file.getvalue()


def rewritten(data: bytes, change: Callable[[int, list[bytes]], list[bytes]]) -> bytes:
    """The MPEG-TS with the NAL units of each packet rewritten: `change(index, units)`; the muxer adds none."""
    file = io.BytesIO()
    options = {"avoid_negative_ts": "disabled"}
    with (
        av.open(io.BytesIO(data), format="mpegts") as source,
        av.open(file, "w", format="mpegts", options=options) as output,
    ):
        stream = source.streams.video[0]
        written = output.add_mux_stream(stream.codec_context.name, rate=RATE)
        for index, packet in enumerate(packet for packet in source.demux(stream) if packet.size):
            units = [unit.rstrip(b"\0") for unit in bytes(packet).split(b"\0\0\1")[1:]]
            one = av.Packet(b"".join(b"\0\0\0\1" + unit for unit in change(index, units)))
            one.pts, one.dts, one.time_base = packet.pts, packet.dts, packet.time_base
            one.stream, one.is_keyframe = written, packet.is_keyframe
            output.mux(one)
    return file.getvalue()


def without_stamps(data: bytes, dropped: Callable[[int], bool]) -> bytes:
    """The MPEG-TS without the time stamps of each picture for which `dropped(its index)` (ITU-T H.222.0, 2.4.3.6)."""
    patched = bytearray(data)
    place = 0
    for start in range(0, len(data), 188):
        payload = start + 4 + (1 + data[start + 4] if data[start + 3] & 0x20 else 0)
        if data[start + 1] & 0x40 and data[payload : payload + 4] == b"\0\0\1\xe0":
            if dropped(place):
                patched[payload + 7] &= 0x3F
                length = data[payload + 8]
                patched[payload + 9 : payload + 9 + length] = b"\xff" * length
            place += 1
    return bytes(patched)


def number_in(luma: NDArray[np.uint8]) -> int:
    """The number painted into the picture with this luma, uint8 (H, W)."""
    return sum((level > (DARK + BRIGHT) / 2) << bit for bit, level in enumerate(_levels(luma)))


def level_error(luma: NDArray[np.uint8]) -> float:
    """Mean difference, of 256, between the strip's blocks and the painted levels."""
    return float(np.mean([min(abs(level - DARK), abs(level - BRIGHT)) for level in _levels(luma)]))


def in_mp4(recipe: Recipe, *, fragment_seconds: float | None = None, whole: bool = False) -> Recipe:
    """The same, in MP4: fragmented, or `whole`."""
    return replace(recipe, container="mp4", fragment_seconds=fragment_seconds, whole=whole)


def _levels(luma: NDArray[np.uint8]) -> list[float]:
    inner = slice(BLOCK_PIXELS // 4, BLOCK_PIXELS * 3 // 4)
    return [float(luma[inner, bit * BLOCK_PIXELS :][:, inner].mean()) for bit in range(BITS)]


@cache
def _texture(width: int, height: int, scene: int) -> NDArray[np.float64]:
    """Blurred noise, (H, W), 0 to 255, seamless from side to side."""
    noise = np.random.default_rng(scene).uniform(0, 255, (height // 6 + 2, width // 6 + 2))
    large = np.kron(noise, np.ones((6, 6)))[:height, :width]
    return (large + np.roll(large, 3, axis=1) + np.roll(large, 2, axis=0)) / 3


def _frame(recipe: Recipe, luma: NDArray[np.float64], tint: tuple[float, float]) -> av.VideoFrame:
    frame = av.VideoFrame(recipe.width, recipe.height, recipe.pixel_format)
    bits = frame.format.components[0].bits
    wide, scale = bits > 8, 2 ** (bits - 8)
    stored = luma if recipe.uses_full_range else 16 + luma * 219 / 255
    for place, plane in enumerate(frame.planes):
        values = stored if place == 0 else np.full((plane.height, plane.width), tint[place - 1])
        rows = np.zeros((plane.height, plane.line_size // (2 if wide else 1)), np.uint16 if wide else np.uint8)
        rows[:, : plane.width] = np.rint(values * scale)
        plane.update(rows.tobytes())
    return frame


def _inside(start: int, stop: int, index: int, pts: int) -> int | None:
    return pts if start <= index < stop else None


def _boxes(data: bytes) -> list[tuple[int, bytes]]:
    """Start and type of each top-level box."""
    found = []
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        found.append((position, kind))
        position += size
    return found
