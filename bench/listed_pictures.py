"""Listed pictures that are shown transformed: how many of them are matched with all variants on.

`python -m bench.listed_pictures FOLDER` measures the pictures of a folder.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.hidden_score import MATCH_BITS
from bench.material import folder_pictures
from bench.staging import still_photograph
from models.pdq.pdq import hash_luma
from models.pdq.variant_kinds import Variant
from models.pdq.variants import hash_with_variants

LISTED = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")
"""Photographs in the wheel of scikit-image."""
WIDTH, HEIGHT = 640, 480

Rgb = NDArray[np.uint8]
"""uint8, (height, width, 3), full range."""


@dataclass(frozen=True, kw_only=True)
class TransformMatches:
    """Pictures matched under one transformation."""

    transformation: str
    matched: int
    total: int
    distances: tuple[int, ...]
    """Least PDQ distance of each picture, in bits."""


def measure_listed() -> list[TransformMatches]:
    """Hashes seven photographs under each transformation."""
    return measure_transformed([still_photograph(picture, WIDTH, HEIGHT) for picture in LISTED])


def measure_transformed(pictures: Iterable[Rgb]) -> list[TransformMatches]:
    """Hashes each picture under each transformation."""
    listed = list(pictures)
    results = []
    for name, transform in TRANSFORMATIONS.items():
        distances = []
        for rgb in listed:
            original = hash_luma(_luma(rgb))
            pdq, variants = hash_with_variants(_luma(transform(rgb)), frozenset(Variant))
            hashes = [pdq, *(variant for several in variants.values() for variant in several)]
            distances.append(min((one.distance(original) for one in hashes if one.hashable), default=256))
        matched = sum(distance <= MATCH_BITS for distance in distances)
        results.append(
            TransformMatches(transformation=name, matched=matched, total=len(listed), distances=tuple(distances))
        )
    return results


def _luma(rgb: Rgb) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), np.uint8)


def _bordered(shade: int) -> Callable[[Rgb], Rgb]:
    def transform(rgb: Rgb) -> Rgb:
        rows, columns = rgb.shape[:2]
        framed = np.full_like(rgb, shade)
        inner = cv2.resize(rgb, (round(columns * 0.9), round(rows * 0.9)), interpolation=cv2.INTER_AREA)
        top, left = round(rows * 0.05), round(columns * 0.05)
        framed[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return framed

    return transform


def _letterboxed_with_logo(rgb: Rgb) -> Rgb:
    rows, columns = rgb.shape[:2]
    bar = rows // 6
    framed = np.zeros((rows + 2 * bar, columns, 3), np.uint8)
    framed[bar : bar + rows] = rgb
    cv2.putText(framed, "LIVE", (columns - 110, bar - 24), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (230, 40, 40), 3, cv2.LINE_AA)
    cv2.circle(framed, (40, bar // 2), bar // 4, (250, 250, 250), cv2.FILLED, cv2.LINE_AA)
    return framed


def _captioned(rgb: Rgb) -> Rgb:
    """A bar of 12 % of the height, below the picture, with text."""
    rows, columns = rgb.shape[:2]
    bar = round(rows * 0.12)
    framed = np.full((rows + bar, columns, 3), 245, np.uint8)
    framed[:rows] = rgb
    text = "a caption below the picture"
    cv2.putText(framed, text, (20, rows + bar * 2 // 3), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (20, 20, 20), 2, cv2.LINE_AA)
    return framed


def _blurred_pillarbox(sigma: float, brightness: float) -> Callable[[Rgb], Rgb]:
    """Beside a copy that is blurred by so many of its heights, and dimmed."""

    def transform(rgb: Rgb) -> Rgb:
        rows, columns = rgb.shape[:2]
        width = round(rows * 16 / 9)
        wide = cv2.resize(rgb, (width, rows), interpolation=cv2.INTER_LINEAR)
        framed = (cv2.GaussianBlur(wide, (0, 0), rows * sigma) * brightness).astype(np.uint8)
        left = (width - columns) // 2
        framed[:, left : left + columns] = rgb
        return framed

    return transform


def _cropped(rgb: Rgb) -> Rgb:
    rows, columns = rgb.shape[:2]
    top, left = round(rows * 0.05), round(columns * 0.05)
    return rgb[top : rows - top, left : columns - left]


TRANSFORMATIONS: dict[str, Callable[[Rgb], Rgb]] = {
    "vertical flip": lambda rgb: rgb[::-1],
    "transpose": lambda rgb: rgb.transpose(1, 0, 2),
    "white border of 5 %": _bordered(255),
    "grey border of 5 %": _bordered(128),
    "black bars with a logo": _letterboxed_with_logo,
    "caption bar of 12 %": _captioned,
    "blurred pillarbox": _blurred_pillarbox(0.05, 0.6),
    "slightly blurred pillarbox": _blurred_pillarbox(0.0125, 1.0),
    "crop of 5 %": _cropped,
}
"""Transformations of a picture that leave it recognisable."""


def main() -> None:
    """Measures and prints."""
    pictures = [rgb for _, rgb in folder_pictures(Path(sys.argv[1]), WIDTH, HEIGHT)]
    for result in measure_transformed(pictures):
        print(f"{result.transformation:<28} {result.matched:4} of {result.total}")


if __name__ == "__main__":
    main()
