"""A stream of intra refresh, cut into segments where its waves begin: after the first none has a keyframe, and the
first pictures of each lean on the segment before."""

from functools import cache

import numpy as np
from clips import HEIGHT, RATE, WIDTH, card, photo
from media import Part, Recipe, cut, encode_pictures, keyframes, steady, x264
from numpy.typing import NDArray

SEGMENT = 2 * RATE
"""Pictures: 2 s."""
SEGMENTS = 4
REFRESH = x264(intra_refresh=1, keyint=SEGMENT, scenecut=0, bframes=0)


@cache
def refreshed_segments(*, carded: int | None = None, pictures: int = 15) -> tuple[bytes, ...]:
    """MPEG-TS segments of a scene that stays, each of 2 s; number `carded` shows the test card in so many of its first
    pictures, from the second on, and nowhere else."""
    plain = _encoded(frozenset())
    starts = keyframes(plain)
    assert starts == list(range(0, SEGMENTS * SEGMENT, SEGMENT))
    parts = _parts(plain, starts)
    if carded is not None:
        first = starts[carded] + 1
        parts = _parts(_encoded(frozenset(range(first, first + pictures))), starts)
    return tuple(part.data for part in parts)


@cache
def _encoded(cards: frozenset[int]) -> bytes:
    scene, shown = (_luma(picture) for picture in (photo("coffee"), card()))
    recipe = Recipe(options=REFRESH.options, width=WIDTH, height=HEIGHT)
    return encode_pictures(recipe, steady(SEGMENTS * SEGMENT), lambda number: shown if number in cards else scene)


def _parts(data: bytes, starts: list[int]) -> list[Part]:
    return cut(data, [*starts, SEGMENTS * SEGMENT])


def _luma(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(rgb @ np.array([0.299, 0.587, 0.114]), np.float64)
