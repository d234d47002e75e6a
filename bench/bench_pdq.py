"""Our PDQ against the reference binding, on the same pictures in the same run: `make bench`.

Prints milliseconds a picture, median of rounds, and how many times as fast ours is. One thread each.
"""

import statistics
from collections.abc import Callable
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


def median_milliseconds(hash_picture: Callable[[Picture], object], pictures: list[Picture]) -> float:
    """Time a picture: the median over rounds of each round's mean."""
    rounds = []
    for _ in range(ROUNDS):
        started = perf_counter()
        for picture in pictures:
            hash_picture(picture)
        rounds.append((perf_counter() - started) * 1000 / len(pictures))
    return statistics.median(rounds)


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
        ours, reference = (median_milliseconds(way, pictures) for way in (hash_rgb, compute))
        print(f"{width:5d} × {height:<4d}          {ours:6.2f}  {reference:9.2f}  {reference / ours:13.1f}")


if __name__ == "__main__":
    main()
