"""The change of scores when a large picture is shrunk before its conversion to RGB, compared with noise of one grey
level."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from models.classifiers.classifier import Classifier
from models.classifiers.preprocess import RgbPicture
from models.classifiers.registry import DEFAULT, known_packages
from sampler.picture import Picture

WIDTH, HEIGHT = 1280, 720
SUFFIXES = {".png", ".jpg", ".gif"}


@dataclass(frozen=True, kw_only=True)
class Moved:
    """The change of the score `nsfw` of one picture."""

    picture: str
    order: float
    noise: float


def measure_order() -> list[Moved]:
    """The changes over all pictures that scikit-image ships, at 720p, as a decoder returns them."""
    classifier = Classifier(known_packages(None)[DEFAULT])
    random = np.random.default_rng(0)
    moved = []
    for path in sorted((Path(skimage.__file__).parent / "data").iterdir()):
        if path.suffix not in SUFFIXES:
            continue
        picture = _as_decoded(path)
        rgb = picture.rgb()
        noisy = np.clip(rgb + random.integers(-1, 2, rgb.shape), 0, 255).astype(np.uint8)
        exact = _score(classifier, RgbPicture(rgb))
        moved.append(
            Moved(
                picture=path.name,
                order=abs(_score(classifier, picture) - exact),
                noise=abs(_score(classifier, RgbPicture(noisy)) - exact),
            )
        )
    return moved


def _score(classifier: Classifier, picture: Picture | RgbPicture) -> float:
    return classifier.scores(picture)[f"{DEFAULT}/nsfw"]


def _as_decoded(path: Path) -> Picture:
    read: Any = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
    growing = read.shape[1] < WIDTH
    rgb = cv2.resize(read, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC if growing else cv2.INTER_AREA)
    flat: NDArray[np.uint8] = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8).ravel()
    luma, chroma = WIDTH * HEIGHT, WIDTH * HEIGHT // 4
    planes = (
        flat[:luma].reshape(HEIGHT, WIDTH),
        flat[luma : luma + chroma].reshape(HEIGHT // 2, WIDTH // 2),
        flat[luma + chroma :].reshape(HEIGHT // 2, WIDTH // 2),
    )
    return Picture(planes=planes, full_range=False, matrix="bt601")
