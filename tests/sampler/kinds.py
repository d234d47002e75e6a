"""Kinds of encoded video in live streams, and what a player shows of them."""

import io
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import av
import numpy as np
from media import RATE, Recipe, cut, encode, fragments, in_mp4, keyframes, steady, x264
from numpy.typing import NDArray

PICTURES = 150
GOP = 75
"""Pictures: 3 s, so that a keyframe alone leaves a gap in every profile but `economy`."""
SAME = 2.0
"""Mean difference, of 255, below which two decodings show the same: without the loop filter it is up to 1."""
CLOSED = {"keyint": GOP, "min_keyint": GOP, "scenecut": 0}

H264 = x264(bframes=3, **CLOSED)
OPEN_GOP = x264(open_gop=1, bframes=3, **CLOSED)
REFRESH = x264(intra_refresh=1, keyint=50, bframes=0, scenecut=0)


def x265(**params: int | str) -> Recipe:
    """A recipe with x265 parameters, `_` for `-`."""
    named: dict[str, int | str] = {"keyint": GOP, "min_keyint": GOP, "bframes": 3, "scenecut": 0, "log_level": "none"}
    pairs = ":".join(f"{name.replace('_', '-')}={value}" for name, value in (named | params).items())
    return Recipe(codec="libx265", options={"preset": "ultrafast", "x265-params": pairs})


HEVC = x265(open_gop=0)
HEVC_OPEN_GOP = x265(open_gop=1)
"""Keyframes are CRA pictures, followed by RASL pictures."""
AV1 = Recipe(codec="libsvtav1", container="mp4", options={"preset": "12", "g": str(GOP), "svtav1-params": "lp=1"})
VP9 = Recipe(codec="libvpx-vp9", container="mp4", options={"deadline": "realtime", "cpu-used": "8", "g": str(GOP)})
MPEG2 = Recipe(codec="mpeg2video", options={"g": str(GOP), "bf": "2", "b": "1000000"})

KINDS = {
    "b-frames": H264,
    "b-frames as references": x264(bframes=3, b_pyramid="strict", **CLOSED),
    "zerolatency": x264(tune="zerolatency", preset="ultrafast", **CLOSED),
    "slices": x264(slices=4, **CLOSED),
    "b-frames in mp4": in_mp4(H264),
    "open gop": OPEN_GOP,
    "open gop in mp4": in_mp4(OPEN_GOP),
    "intra refresh": REFRESH,
    "intra refresh with b-frames": x264(intra_refresh=1, keyint=50, bframes=3, scenecut=0),
    "intra refresh in mp4": in_mp4(REFRESH),
    "all intra": x264(keyint=1),
    "interlaced, top field first": x264(tff=1, **CLOSED),
    "interlaced, bottom field first": x264(bff=1, **CLOSED),
    "odd size": replace(H264, pixel_format="yuv444p", width=321, height=179),
    "cropped": replace(H264, width=178, height=98),
    "wide pixels": replace(H264, aspect=Fraction(4, 3)),
    "tall pixels in mp4": in_mp4(replace(H264, aspect=Fraction(10, 11))),
    "full range": replace(H264, pixel_format="yuvj420p"),
    "4:2:2": replace(H264, pixel_format="yuv422p"),
    "grey": replace(H264, pixel_format="gray"),
    "10 bit grey": replace(H264, pixel_format="gray10le"),
    "10 bit": replace(H264, pixel_format="yuv420p10le"),
    "10 bit, full range": replace(H264, pixel_format="yuv420p10le", full_range=True),
    "10 bit 4:2:2": replace(H264, pixel_format="yuv422p10le"),
    "hevc": HEVC,
    "hevc, open gop": HEVC_OPEN_GOP,
    "hevc in mp4": in_mp4(HEVC_OPEN_GOP),
    "hevc, zerolatency": x265(bframes=0, open_gop=0, rc_lookahead=0),
    "hevc, intra refresh": x265(intra_refresh=1, keyint=50, min_keyint=50, bframes=0),
    "hevc, 10 bit": replace(HEVC, pixel_format="yuv420p10le"),
    "hevc, 10 bit, full range in mp4": in_mp4(replace(HEVC, pixel_format="yuv420p10le", full_range=True)),
    "hevc, 12 bit": replace(HEVC, pixel_format="yuv420p12le"),
    "hevc, odd size": replace(HEVC, pixel_format="yuv444p", width=321, height=179),
    "hevc, full range": replace(HEVC, pixel_format="yuvj420p"),
    "av1": AV1,
    "av1, odd size": replace(AV1, width=321, height=179),
    "av1, 10 bit": replace(AV1, pixel_format="yuv420p10le"),
    "vp9": VP9,
    "vp9, odd size": replace(VP9, width=321, height=179),
    "vp9 with hidden pictures": replace(
        VP9, options=VP9.options | {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16"}
    ),
    "mpeg-2": MPEG2,
    "mpeg-2, interlaced": replace(MPEG2, options=MPEG2.options | {"flags": "+ildct+ilme", "top": "1"}),
}


@cache
def clip(name: str) -> bytes:
    """`PICTURES` pictures of the kind, at an even rate."""
    return encode(KINDS[name], steady(PICTURES))


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a clip as its own segment."""

    init: bytes
    data: bytes
    numbers: tuple[int, ...]
    """Presentation times of its pictures, ascending; where it was cut among B-frames some are missing."""
    right: frozenset[int]
    """Numbers of the pictures that a player which starts with it shows correctly."""


@cache
def pieces(name: str, *, at_keyframes: bool) -> tuple[Piece, ...]:
    """The kind's clip cut at keyframes, or anywhere."""
    recipe = KINDS[name]
    if recipe.container == "mpegts":
        edges = [*keyframes(clip(name)), PICTURES] if at_keyframes else [0, 40, 95, PICTURES]
        if len(edges) > PICTURES:
            edges = [*edges[:-1:25], PICTURES]
        init, parts = b"", [part.data for part in cut(clip(name), edges)]
    else:
        fragmented = replace(recipe, fragment_seconds=None if at_keyframes else 1.7)
        init, parts = fragments(encode(fragmented, steady(PICTURES)))
    origin = min(_stamps(init + parts[0]))
    return tuple(_piece(name, init, part, origin) for part in parts)


def _piece(name: str, init: bytes, data: bytes, origin: Fraction) -> Piece:
    number = {stamp: round((stamp - origin) * RATE) for stamp in _stamps(init + data)}
    right = {
        number[stamp]
        for stamp, luma in shown(init + data).items()
        if stamp in number and distance(luma, reference(name)[number[stamp]]) < SAME
    }
    return Piece(init=init, data=data, numbers=tuple(sorted(number.values())), right=frozenset(right))


def _stamps(data: bytes) -> list[Fraction]:
    """Presentation times of all pictures in seconds, in decoding order."""
    with av.open(io.BytesIO(data)) as source:
        return [
            packet.pts * packet.time_base for packet in source.demux(video=0) if packet.size and packet.pts is not None
        ]


def shown(data: bytes) -> dict[Fraction, NDArray[np.float64]]:
    """The pictures that a player which starts with `data` shows, by time stamp in seconds: luma, (H, W), full range, 0
    to 255."""
    pictures: dict[Fraction, NDArray[np.float64]] = {}
    with av.open(io.BytesIO(data)) as source:
        stream = source.streams.video[0]
        stream.thread_count = 1
        for packet in source.demux(stream):
            # Some decoders refuse a picture whose references are missing.
            with suppress(av.error.InvalidDataError):
                for frame in packet.decode():
                    if frame.pts is not None:
                        pictures[frame.pts * frame.time_base] = _luma(frame)
    return dict(sorted(pictures.items()))


@cache
def reference(name: str) -> tuple[NDArray[np.float64], ...]:
    """The pictures that a player shows of the whole clip of a kind."""
    return tuple(shown(clip(name)).values())


def distance(luma: NDArray[np.uint8], other: NDArray[np.float64]) -> float:
    """Mean difference of two pictures, of 255."""
    return float(np.abs(luma - other).mean())


def _luma(frame: av.VideoFrame) -> NDArray[np.float64]:
    plane = frame.planes[0]
    bits = frame.format.components[0].bits
    kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
    rows = np.frombuffer(bytes(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
    levels = rows[:, : plane.width].astype(np.float64) / 2 ** (bits - 8)
    if frame.format.name.startswith("yuvj") or frame.color_range == 2:
        return levels
    return np.clip((levels - 16) * 255 / 219, 0, 255)
