"""What `livewarden models` tells of classifiers, as records that are printed or turned into tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any

import cv2
import numpy as np

from config.cascade import Stage
from models.classifier import Classifier, WhenStuck
from models.errors import ClassifierError
from models.manifest import Manifest, Provider, Use
from models.package import ModelPackage
from models.testcard import testcard
from models.weights import locate
from sampler.picture import Picture

WARM_UPS = 3
"""Rounds before those that count."""


def runs(package: ModelPackage, active: Mapping[str, Classifier], cascade: Sequence[Stage] | None) -> str:
    """When a model looks at a picture, in a few words."""
    if package.manifest.name not in active:
        return "no"
    if package.manifest.use is Use.SELFTEST:
        return "drills, canaries, scans"
    conditions = {stage.model: stage.when for stage in cascade or ()}
    return conditions.get(package.manifest.name) or "always"


def list_record(package: ModelPackage, when: str) -> dict[str, Any]:
    """A model in one line of `models list`."""
    manifest = package.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "from": package.origin,
        "use": str(manifest.use),
        "runs": when,
        "weights": "there" if _is_there(package) else "missing",
        "labels": [{"score": manifest.key(label), "category": str(label.category)} for label in manifest.labels],
    }


def _is_there(package: ModelPackage) -> bool:
    try:
        return locate(package, package.manifest.weights).is_file()
    except ClassifierError:
        return False


def verify_record(classifier: Classifier, *, when_stuck: WhenStuck | None = None) -> dict[str, Any]:
    """Whether a model is what its manifest says, found out by building it and letting it look at black."""
    record: dict[str, Any] = {"name": classifier.name, "version": classifier.manifest.version}
    try:
        classifier.prepare(when_stuck=when_stuck)
    except ClassifierError as error:
        return {**record, "ok": False, "problem": str(error)}
    return {**record, "ok": True, "provider": str(classifier.provider), "sha256": classifier.manifest.weights.sha256}


def explain_record(package: ModelPackage, when: str) -> dict[str, Any]:
    """All that a manifest says."""
    return {
        **list_record(package, when),
        "manifest": str(package.path),
        **package.manifest.model_dump(mode="json", exclude={"name", "version", "use", "weights"}),
        "sha256": package.manifest.weights.sha256,
    }


def picture_steps(manifest: Manifest) -> list[str]:
    """How a picture becomes the network's input, step by step, for people."""
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
    """What a model takes for one picture, in milliseconds of CPU, or of wall time where a GPU computes: the least of
    all rounds."""

    width: int
    height: int
    run_ms: float
    """`session.run` alone, with a tensor that is ready."""
    scores_ms: float
    """From the decoder's planes to scores."""
    ratio: float
    """Of the two, the median over rounds that measured both one after the other."""

    def to_record(self) -> dict[str, Any]:
        return {
            "size": f"{self.width}x{self.height}",
            "run_ms": round(self.run_ms, 3),
            "picture_ms": round(self.scores_ms, 3),
            "ratio": round(self.ratio, 3),
            "pictures_per_second": round(1000 / self.scores_ms, 1),
        }


def time_model(classifier: Classifier, *, width: int, height: int, rounds: int) -> Timing:
    """Measures one model on a picture as the decoder gives it.

    Raises:
        models.errors.ClassifierError: it does not work.
    """
    cv2.setNumThreads(1)  # as in a worker
    picture = card_picture(width, height)
    bare = classifier.bare_run(picture)
    clock = process_time if classifier.provider is Provider.CPU else perf_counter
    pairs = []
    for turn in range(WARM_UPS + rounds):
        times = (_seconds(bare, clock), _seconds(lambda: classifier.scores(picture), clock))
        if turn >= WARM_UPS:
            pairs.append(times)
    return Timing(
        width=width,
        height=height,
        run_ms=1000 * min(run for run, _ in pairs),
        scores_ms=1000 * min(whole for _, whole in pairs),
        ratio=median(whole / run for run, whole in pairs),
    )


def card_picture(width: int, height: int) -> Picture:
    """The test card as the decoder gives pictures: YUV of BT.709, limited range, chroma at half the size."""
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
