"""Our PDQ against the reference binding, on the same pictures in the same run: `make bench`.

Prints milliseconds a picture, the best of rounds, and how many times as fast ours is. One thread each.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from models.pdq import hash_rgb

PICTURES = ("astronaut", "chelsea", "coffee", "rocket")
SIZES = ((512, 512), (1280, 720))
ROUNDS = 15

Picture = NDArray[np.uint8]


def best_milliseconds(ways: Sequence[Callable[[Picture], object]], pictures: list[Picture]) -> list[float]:
    """Time a picture for each way: the best round's mean, for other work on the machine only ever adds to it.

    The ways take turns, so that a busy moment meets them all.
    """
    rounds: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, times in zip(ways, rounds, strict=True):
            started = perf_counter()
            for picture in pictures:
                way(picture)
            times.append((perf_counter() - started) * 1000 / len(pictures))
    return [min(times) for times in rounds]


def main() -> None:
    """Measures and prints."""
    try:
        from pdqhash import compute
    except ImportError:
        print("PDQ: left out, the reference binding is not here; it is built where a C++ compiler is")
        return
    cv2.setNumThreads(1)
    print("PDQ, ms a picture      ours  reference  times as fast")
    for width, height in SIZES:
        pictures = [cv2.resize(getattr(skimage.data, name)(), (width, height)) for name in PICTURES]
        ours, reference = best_milliseconds((hash_rgb, compute), pictures)
        print(f"{width:5d} × {height:<4d}          {ours:6.2f}  {reference:9.2f}  {reference / ours:13.1f}")


if __name__ == "__main__":
    main()
