"""The speed of Livewarden's PDQ against the reference binding, on the same pictures in the same run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import thread_time

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from models.pdq.pdq import PdqHash, hash_luma, hash_rgb

PICTURES = ("astronaut", "chelsea", "coffee", "rocket")
SIZES = ((512, 512), (1280, 720))
ROUNDS = 25

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Hashed:
    """Pictures of one size, hashed by three methods."""

    width: int
    height: int
    luma_milliseconds: float
    """Median time a picture from a decoder's luma plane, as in the pipeline."""
    rgb_milliseconds: float
    """Median time from the same RGB as the reference."""
    reference_milliseconds: float
    bits_apart: int
    """The largest distance between RGB and reference, over all pictures."""

    @property
    def times_as_fast(self) -> float:
        """Speed from luma, relative to the reference."""
        return self.reference_milliseconds / self.luma_milliseconds


def measure() -> list[Hashed]:
    """Hashes pictures of each size; empty if the reference binding is not installed."""
    try:
        from pdqhash import compute
    except ImportError:
        return []
    cv2.setNumThreads(1)
    results = []
    for width, height in SIZES:
        pictures = [cv2.resize(getattr(skimage.data, name)(), (width, height)) for name in PICTURES]
        lumas = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
        luma, rgb, reference = _medians([(hash_luma, lumas), (hash_rgb, pictures), (compute, pictures)])
        results.append(
            Hashed(
                width=width,
                height=height,
                luma_milliseconds=luma,
                rgb_milliseconds=rgb,
                reference_milliseconds=reference,
                bits_apart=max(_apart(hash_rgb(picture), compute(picture)[0]) for picture in pictures),
            )
        )
    return results


def _medians(ways: Sequence[tuple[Callable[[Picture], object], Sequence[Picture]]]) -> list[float]:
    """Milliseconds of CPU a picture for each method: on a busy machine the clock would count other processes too."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for (way, pictures), taken in zip(ways, times, strict=True):
            for picture in pictures:
                started = thread_time()
                way(picture)
                taken.append(1000 * (thread_time() - started))
    return [float(np.median(taken)) for taken in times]


def _apart(ours: PdqHash, reference: NDArray[np.uint8]) -> int:
    return ours.distance(PdqHash(bits=np.packbits(reference.astype(np.uint8)).tobytes(), quality=100))
