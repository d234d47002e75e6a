"""The reference implementation, and the pictures shared by the tests of models."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import skimage

from models.pdq.pdq import PdqHash

PictureArray = npt.NDArray[np.uint8]

PACKAGED = Path(skimage.__file__).parent / "data"
"""The pictures in the wheel; the rest of skimage.data would be fetched from the network."""


def _names() -> list[str]:
    return sorted(path.name for path in PACKAGED.iterdir() if path.suffix in {".png", ".jpg", ".gif"})


def _photograph(name: str) -> PictureArray:
    read: Any = cv2.imdecode(np.fromfile(PACKAGED / name, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(read[:, :, ::-1])


@pytest.fixture(scope="session", params=_names())
def picture(request: pytest.FixtureRequest) -> PictureArray:
    """Each still picture that scikit-image ships, in turn: uint8, (height, width, 3), RGB."""
    return _photograph(request.param)


@pytest.fixture(scope="session")
def photograph() -> Callable[[str], PictureArray]:
    """One of those pictures, by its file's name."""
    return _photograph


@pytest.fixture
def pdq_oracle(ci_or_skip: Callable[[str], NoReturn]) -> Callable[[PictureArray], PdqHash]:
    """Facebook's C++ reference through `pdqhash`, as our type."""
    try:
        pdqhash = importlib.import_module("pdqhash")
    except ImportError:
        ci_or_skip("pdqhash, the reference of PDQ, is not installed (it is built with g++: pip install '.[oracle]')")

    def reference(rgb: PictureArray) -> PdqHash:
        bits, quality = pdqhash.compute(np.ascontiguousarray(rgb))
        return PdqHash(bits=np.packbits(bits.astype(np.uint8)).tobytes(), quality=quality)

    return reference
