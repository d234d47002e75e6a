"""The model for self-tests responds to the test card only."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from onnx import load_model_from_string, numpy_helper
from tinymodels import load_classifiers

from models.classifiers.classifier import Classifier
from models.classifiers.manifest import Use
from models.testcard import testcard as draw_card
from tools.testcard_model import FILE, build

PictureArray = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def model() -> Classifier:
    return load_classifiers(None)[-1]


@pytest.mark.parametrize("size", [(1920, 1080), (640, 480), (360, 640), (320, 180)])
def test_it_recognises_the_card(model: Classifier, size: tuple[int, int]) -> None:
    """A drill would not show whether scores reach the rules."""
    assert model.scores(draw_card(*size))["testcard/card"] > 0.95


def test_it_recognises_the_card_after_coding(model: Classifier) -> None:
    """A drill sent through an encoder at a low bit rate would fail."""
    bgr = cv2.cvtColor(draw_card(320, 180), cv2.COLOR_RGB2BGR)
    poor = cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 15])[1], cv2.IMREAD_COLOR)
    assert model.scores(np.asarray(cv2.cvtColor(poor, cv2.COLOR_BGR2RGB), np.uint8))["testcard/card"] > 0.9


def test_it_recognises_nothing_else(model: Classifier, picture: PictureArray) -> None:
    """A self-test that any picture passes would prove nothing."""
    assert model.scores(picture)["testcard/card"] < 0.01


def test_it_is_for_self_tests_only(model: Classifier) -> None:
    """Showing the card would have an effect on live streams."""
    assert (model.name, model.manifest.use) == ("testcard", Use.SELFTEST)


def test_the_script_builds_the_shipped_file() -> None:
    """Nobody could change the model, or see what it is."""
    shipped, built = (load_model_from_string(data).graph for data in (FILE.read_bytes(), build()))
    assert [node.op_type for node in shipped.node] == [node.op_type for node in built.node]
    for one, other in zip(shipped.initializer, built.initializer, strict=True):
        # OpenCV's fonts may differ slightly between its versions.
        np.testing.assert_allclose(numpy_helper.to_array(one), numpy_helper.to_array(other), atol=2e-3)
