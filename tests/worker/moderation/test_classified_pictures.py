"""Scores of pictures as the decoder returns them: YUV planes, rotated, mirrored, of any size."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import skimage
from tinymodels import SIDE, classifier, load_classifiers, mean_model

from models.classifiers.classifier import Classifier
from models.classifiers.preprocess import RgbPicture, network_input
from sampler.picture import Picture
from worker.cli.model_report import card_picture

Plane = npt.NDArray[np.uint8]
DATA = Path(skimage.__file__).parent / "data"


def as_yuv(rgb: Plane, **how: Any) -> Picture:
    """BT.601 of limited range, chroma at half the size; sides must be multiples of four."""
    height, width = rgb.shape[:2]
    stored = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).ravel()
    luma, chroma = height * width, height * width // 4
    planes = (
        stored[:luma].reshape(height, width),
        stored[luma : luma + chroma].reshape(height // 2, width // 2),
        stored[luma + chroma :].reshape(height // 2, width // 2),
    )
    return Picture(planes=planes, full_range=False, matrix="bt601", **how)


def photo(name: str, width: int, height: int) -> Plane:
    read = cv2.imread(str(DATA / name), cv2.IMREAD_COLOR_RGB)
    return np.asarray(cv2.resize(read, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def opennsfw() -> Classifier:
    return load_classifiers(None)[0]


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png"])
@pytest.mark.parametrize("size", [(640, 360), (360, 640)])
def test_small_pictures_score_as_shown_by_a_player(opennsfw: Classifier, name: str, size: tuple[int, int]) -> None:
    """A threshold tuned on screenshots would mean something else on a stream."""
    picture = as_yuv(photo(name, *size))
    assert opennsfw.scores(picture) == pytest.approx(opennsfw.scores(picture.rgb()), abs=1e-6)


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png"])
def test_large_pictures_are_shrunk_before_colour_conversion(opennsfw: Classifier, name: str) -> None:
    """The optimisation would change what the network sees."""
    picture = as_yuv(photo(name, 1280, 720))
    how = opennsfw.manifest.input
    apart = np.abs(network_input(picture, how) - network_input(RgbPicture(picture.rgb()), how))
    assert apart.mean() < 1.5  # grey levels; JPEG is in between
    assert opennsfw.scores(picture) == pytest.approx(opennsfw.scores(picture.rgb()), abs=5e-3)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shape", [(720, 1280), (180, 320)])
def test_rotated_pictures_are_scored_upright(
    tmp_path: Path, rotation: int, mirrored: bool, shape: tuple[int, int]
) -> None:
    """The stream of a phone held upright would be scored lying on its side."""
    height, width = shape
    resize = {"width": 3 * SIDE, "height": 2 * SIDE, "filter": "bilinear"}
    means = classifier(tmp_path, mean_model(), input__resize=resize, input__crop={"width": SIDE, "height": SIDE})
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, :, 0] = 200
    rgb[:, : width // 2, 2] = 200
    picture = as_yuv(rgb, rotation_degrees=rotation, mirrored=mirrored)
    seen = network_input(picture, means.manifest.input)
    upright = network_input(RgbPicture(picture.rgb()), means.manifest.input)
    assert seen.shape == upright.shape
    np.testing.assert_allclose(seen, upright, atol=3 / 255)


def test_the_benchmark_card_is_the_test_card() -> None:
    """Benchmarks would measure a picture that no stream shows."""
    scores = load_classifiers(None)[-1].scores(card_picture(640, 360))
    assert scores["testcard/card"] > 0.95
