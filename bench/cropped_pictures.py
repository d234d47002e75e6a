"""Cropped pictures against the hashes of whole ones: `python -m bench.cropped_pictures FOLDER` (of pictures).

Without a folder those of scikit-image are taken. Each picture is matched before and after with its own hash, and never
with another's: of unlike pictures (whose whole hashes differ in more than UNLIKE_BITS bits) the nearest is printed, and
the most evidence (`models.pdq.continued_hash`) for any of them, however far the guess is.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from bench.hidden_score import MATCH_BITS
from bench.material import folder_pictures
from models.pdq.continued_hash import ContinuedHash
from models.pdq.margins import hash_crops
from models.pdq.pdq import PdqHash, hash_luma

WIDTH, HEIGHT = 640, 480
UNLIKE_BITS = 50
ALL_SIDES = 3
"""Place of the guess at 5 % of all sides among those of `hash_crops`."""

Luma = NDArray[np.uint8]


def _cropped(rows: float, columns: float, quality: int | None = None) -> Callable[[Luma], Luma]:
    def crop(luma: Luma) -> Luma:
        top, left = round(rows * luma.shape[0]), round(columns * luma.shape[1])
        rest = np.ascontiguousarray(luma[top : luma.shape[0] - top, left : luma.shape[1] - left])
        if quality is None:
            return rest
        coded = cv2.imencode(".jpg", rest, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)

    return crop


CROPS = {
    "5 % at all sides": _cropped(0.05, 0.05),
    "the same, JPEG of quality 45": _cropped(0.05, 0.05, 45),
    **{
        f"{share:.1%} at all sides": _cropped(share, share) for share in (0.015, 0.025, 0.035, 0.04, 0.043, 0.057, 0.06)
    },
    "5 % at the top and bottom": _cropped(0.05, 0),
    "5 % at the left and right": _cropped(0, 0.05),
}


def pictures(folder: Path) -> Iterator[tuple[str, Luma]]:
    """The hashable pictures of a folder, each cropped to 640×480 about its centre."""
    for name, rgb in folder_pictures(folder, WIDTH, HEIGHT):
        luma = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        if hash_luma(luma).hashable:
            yield name, luma


def main() -> None:
    """Measures and prints."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(skimage.__file__).parent / "data"
    lumas = [luma for _, luma in pictures(folder)]
    listed = [hash_luma(luma) for luma in lumas]
    print(f"{'of ' + str(len(lumas)) + ' pictures matched':<32} by the guess  by the fit")
    for name, crop in CROPS.items():
        guesses = [list(hash_crops(crop(luma))) for luma in lumas]
        guessed = sum(
            min(PdqHash.distance(one, own) for one in several) <= MATCH_BITS
            for several, own in zip(guesses, listed, strict=True)
        )
        compared = sum(
            min(one.distance(own) for one in several) <= MATCH_BITS
            for several, own in zip(guesses, listed, strict=True)
        )
        print(f"{name:<32} {guessed:12} {compared:11}")
    _print_unlike([list(hash_crops(CROPS["5 % at all sides"](luma))) for luma in lumas], listed)


def _print_unlike(guesses: list[list[ContinuedHash]], listed: list[PdqHash]) -> None:
    pairs = [
        (one, other)
        for one, own in enumerate(listed)
        for other, another in enumerate(listed)
        if own.distance(another) > UNLIKE_BITS
    ]
    whole = np.array([listed[one].distance(listed[other]) for one, other in pairs])
    bits = np.array([min(PdqHash.distance(guess, listed[other]) for guess in guesses[one]) for one, other in pairs])
    apart = np.array([min(guess.distance(listed[other]) for guess in guesses[one]) for one, other in pairs])
    evidence = np.array([guesses[one][ALL_SIDES].evidence(listed[other]) for one, other in pairs])
    print(f"\n{len(pairs)} pairs of unlike pictures        nearest  nearest hundredth")
    for name, distances in (("whole", whole), ("by the guess", bits), ("by the fit", apart)):
        print(f"{name:<34} {distances.min():5} {np.quantile(distances, 0.01):18.0f}")
    print(f"most evidence for a crop of 5 % at all sides, in bits: {evidence.max():.0f} (a match: 123)")


if __name__ == "__main__":
    main()
