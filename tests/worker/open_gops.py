"""A stream of open GOPs, cut into segments at its keyframes: the pictures shown before each need the segment before."""

import io
from dataclasses import dataclass
from functools import cache

import av
import numpy as np
from clips import HEIGHT, RATE, WIDTH, card, photo
from media import Part, Recipe, cut, encode_pictures, fragments, in_mp4, keyframes, steady, x264
from numpy.typing import NDArray

GOP = 2 * RATE
"""Pictures: 2 s."""
GOPS = 4
OPEN_GOPS = x264(open_gop=1, bframes=16, b_adapt=0, keyint=GOP, min_keyint=GOP, scenecut=0)


@dataclass(frozen=True, kw_only=True)
class OpenSegment:
    """One segment, with the number of pictures at its beginning that need the one before."""

    data: bytes
    leading: int


@cache
def open_segments(*, carded: int | None = None) -> tuple[OpenSegment, ...]:
    """Three MPEG-TS segments of a scene that stays, each of 2 s at least; number `carded` shows the test card in its
    leading pictures, but for the first and the last, and nowhere else."""
    plain = _encoded(frozenset())
    parts, edges = _parts(plain), _edges(plain)
    leading = [_leading(part, plain, edge) for part, edge in zip(parts, edges, strict=True)]
    if carded is not None:
        first = parts[carded].numbers[0]
        shown = _encoded(frozenset(range(first + 1, first + leading[carded] - 1)))
        assert _edges(shown) == edges
        parts = _parts(shown)
    return tuple(OpenSegment(data=part.data, leading=count) for part, count in zip(parts, leading, strict=True))


@cache
def open_fragments() -> tuple[bytes, tuple[bytes, ...]]:
    """The same, without a card, as the init section and the segments, one a GOP, of a fragmented MP4."""
    init, parts = fragments(_encoded(frozenset(), mp4=True))
    return init, tuple(parts)


@cache
def _encoded(cards: frozenset[int], *, mp4: bool = False) -> bytes:
    scene, shown = (_luma(picture) for picture in (photo("coffee"), card()))
    recipe = Recipe(options=OPEN_GOPS.options, width=WIDTH, height=HEIGHT)
    return encode_pictures(
        in_mp4(recipe) if mp4 else recipe, steady(GOPS * GOP), lambda number: shown if number in cards else scene
    )


def _luma(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(rgb @ np.array([0.299, 0.587, 0.114]), np.float64)


def _parts(data: bytes) -> list[Part]:
    with av.open(io.BytesIO(data), format="mpegts") as source:
        packets = sum(bool(packet.size) for packet in source.demux(video=0))
    return cut(data, [*_edges(data), packets])


def _edges(data: bytes) -> list[int]:
    """Beginnings of the segments; the first has two GOPs, without the leading pictures of the next one."""
    first, _, *rest = keyframes(data)
    return [first, *rest]


def _leading(part: Part, data: bytes, edge: int) -> int:
    """Number of the part's pictures that are shown before its keyframe."""
    with av.open(io.BytesIO(data), format="mpegts") as source:
        stamps = [packet.pts for packet in source.demux(video=0) if packet.size]
    return part.numbers.index(sorted(stamps).index(stamps[edge]))
