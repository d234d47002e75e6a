"""Records of classifiers that `livewarden models` prints, as JSON or as tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import Any

import cv2
import numpy as np

from config.policy.cascade import Stage
from models.classifiers.classifier import Classifier, WhenStuck
from models.classifiers.manifest import Manifest, Provider, Use
from models.classifiers.package import ModelPackage
from models.classifiers.preprocess import Colours, RgbPicture
from models.classifiers.registry import BrokenPackage
from models.classifiers.weights import presence
from models.errors import ClassifierError
from models.testcard import testcard
from sampler.picture import Picture

WARM_UPS = 3
"""Rounds that are not measured."""

VERIFIED_SIZE = (1280, 720)
"""Pixels of the pictures that a model is tried on: a usual size of streams."""


def runs(package: ModelPackage, active: Mapping[str, Classifier], cascade: Sequence[Stage] | None) -> str:
    """The condition under which a model runs, in a few words."""
    if package.manifest.name not in active:
        return "no"
    if package.manifest.use is Use.SELFTEST:
        return "drills, canaries, scans"
    conditions = {stage.model: stage.when for stage in cascade or ()}
    return conditions.get(package.manifest.name) or "always"


def list_record(package: ModelPackage, when: str) -> dict[str, Any]:
    """The record of a model in `models list`."""
    manifest = package.manifest
    return _identity(package) | {
        "ok": True,
        "replaces": package.replaces,
        "use": str(manifest.use),
        "runs": when,
        "weights": presence(package),
        "labels": [{"score": manifest.key(label), "category": str(label.category)} for label in manifest.labels],
    }


def broken_record(broken: BrokenPackage) -> dict[str, Any]:
    """The record of an unusable manifest in `models list` or `verify`; its name is unknown."""
    return {
        "name": None,
        "version": None,
        "manifest": broken.path,
        "from": broken.origin,
        "ok": False,
        "problem": str(broken.error),
    }


def verify_record(classifier: Classifier, *, when_stuck: WhenStuck | None = None) -> dict[str, Any]:
    """Builds a model and runs it on pictures, to check that it is as its manifest says.

    `when_stuck`: called when a run does not end.
    """
    manifest, limit = classifier.manifest, classifier.manifest.runtime.time_limit_seconds
    try:
        classifier.prepare(when_stuck=when_stuck)
        seconds = _slowest_seconds(classifier)
    except ClassifierError as error:
        return refused_record(classifier.package, str(error))
    if seconds > limit:
        place = classifier.package.place("runtime", "time_limit_seconds")
        problem = f"{place}: it took {seconds:.3f} s for a picture: expected at most {limit:g} s"
        return refused_record(classifier.package, problem)
    return _identity(classifier.package) | {
        "ok": True,
        "provider": str(classifier.provider),
        "sha256": manifest.weights.sha256,
        "seconds": round(seconds, 6),
        "time_limit_seconds": limit,
    }


def refused_record(package: ModelPackage, problem: str) -> dict[str, Any]:
    """The record, in `models verify`, of a model that is not as its manifest says."""
    return _identity(package) | {"ok": False, "problem": problem}


def _identity(package: ModelPackage) -> dict[str, Any]:
    manifest = package.manifest
    return {"name": manifest.name, "version": manifest.version, "manifest": str(package.path), "from": package.origin}


def _slowest_seconds(classifier: Classifier) -> float:
    """The longest time of a picture: the model's run, and finding the faces in it; for a black picture, with which a
    network may be quick, and for the test card.

    Raises:
        models.errors.ClassifierError: it does not work, or was stopped.
    """
    width, height = VERIFIED_SIZE
    pictures: tuple[Colours, ...] = (RgbPicture(np.zeros((height, width, 3), np.uint8)), card_picture(width, height))
    slowest = 0.0
    for picture in pictures:
        classifier.scores(picture)
        complete = partial(classifier.scores, picture)
        work = classifier.bare_run(picture) if classifier.manifest.input.faces is None else complete
        slowest = max(slowest, _seconds(work, perf_counter))
    return slowest


def explain_record(package: ModelPackage, when: str) -> dict[str, Any]:
    """The record of `models explain`: all fields of a manifest."""
    return {
        **list_record(package, when),
        **package.manifest.model_dump(mode="json", exclude={"name", "version", "use", "weights"}),
        "sha256": package.manifest.weights.sha256,
    }


def picture_steps(manifest: Manifest) -> list[str]:
    """The preprocessing of a picture, step by step, for people."""
    how = manifest.input
    steps = []
    if how.faces is not None:
        steps.append(f"each face that dlib finds is cut out upright, {how.resize.width} pixels a side")
    else:
        kept = "its aspect ratio kept, blurred around" if how.resize.fit == "blurpad" else "stretched"
        steps.append(f"{kept} to {how.resize.width} × {how.resize.height} ({how.resize.filter})")
    if how.crop is not None:
        steps.append(f"the middle {how.crop.width} × {how.crop.height} kept")
    if how.jpeg_quality is not None:
        steps.append(f"through JPEG of quality {how.jpeg_quality}, in memory")
    steps.append(f"{how.channels}, (value - {list(how.mean)}) * {list(how.scale)}, {how.layout} {how.dtype}")
    return steps


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The cost of one picture: milliseconds of CPU, or of wall time on a GPU, the least of all rounds."""

    width: int
    height: int
    run_ms: float
    """`session.run` alone, with a tensor that is ready."""
    scores_ms: float
    """From the decoder's planes to scores."""
    ratio: float
    """`scores_ms` to `run_ms`: the median over rounds that measured both one after the other."""

    def to_record(self) -> dict[str, Any]:
        return {
            "size": f"{self.width}x{self.height}",
            "run_ms": round(self.run_ms, 3),
            "picture_ms": round(self.scores_ms, 3),
            "ratio": round(self.ratio, 3),
            "pictures_per_second": round(1000 / self.scores_ms, 1),
        }


def time_model(classifier: Classifier, *, width: int, height: int, rounds: int) -> Timing:
    """Measures one model on a picture as the decoder returns it.

    Raises:
        models.errors.ClassifierError: it does not work.
    """
    cv2.setNumThreads(1)  # as in a worker
    picture = card_picture(width, height)
    bare = classifier.bare_run(picture)
    clock = process_time if classifier.provider is Provider.CPU else perf_counter
    pairs = []
    for number in range(WARM_UPS + rounds):
        times = (_seconds(bare, clock), _seconds(lambda: classifier.scores(picture), clock))
        if number >= WARM_UPS:
            pairs.append(times)
    return Timing(
        width=width,
        height=height,
        run_ms=1000 * min(run for run, _ in pairs),
        scores_ms=1000 * min(scores for _, scores in pairs),
        ratio=median(scores / run for run, scores in pairs),
    )


def card_picture(width: int, height: int) -> Picture:
    """The test card as the decoder returns pictures: YUV of BT.709, limited range, chroma at half the size."""
    rgb = testcard(width, height).astype(np.float32)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    planes = (
        16 + luma * 219 / 255,
        128 + (blue - luma) / 1.8556 * 224 / 255,
        128 + (red - luma) / 1.5748 * 224 / 255,
    )
    stored = [np.asarray(np.clip(np.rint(plane), 0, 255), np.uint8) for plane in planes]
    half = ((width + 1) // 2, (height + 1) // 2)
    chroma = (np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8) for plane in stored[1:])
    return Picture(planes=(stored[0], *chroma), full_range=False, matrix="bt709")


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started
