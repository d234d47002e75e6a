"""Classifiers: a picture in, a score a label out, in ONNX Runtime sessions of our own on one CPU core."""

from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from models.errors import InferenceError, ManifestError, PictureError, WeightsError
from models.manifest import Input, Manifest, ResizeFilter, load_manifest, read_weights, verify_manifest

__all__ = ["BUILT_IN_MANIFESTS", "Classifier", "load_classifiers", "load_manifest", "verify_manifest"]

BUILT_IN_MANIFESTS = Path(__file__).parent / "manifests"
"""The manifests that livewarden ships."""

_PILLOW_FILTERS = {
    ResizeFilter.BILINEAR: Image.Resampling.BILINEAR,
    ResizeFilter.BICUBIC: Image.Resampling.BICUBIC,
    ResizeFilter.LANCZOS: Image.Resampling.LANCZOS,
}

_LOG_ERRORS_ONLY = 3
"""ONNX Runtime's severity: warnings about a graph are its maker's business, not the operator's."""


class Classifier:
    """A classifier as its manifest says. Its session is built when the first picture comes: after the worker's fork."""

    def __init__(self, manifest: Manifest, *, folder: Path) -> None:
        """Remembers the manifest and the folder that its weights' path is relative to; reads nothing."""
        self.manifest = manifest
        self._folder = folder

    def scores(self, rgb: npt.NDArray[Any]) -> dict[str, float]:
        """Scores a picture: `<model>/<label>` -> 0 to 1.

        Args:
            rgb: uint8, (height, width, 3), RGB, full range.

        Raises:
            PictureError: it is of another shape or type.
            InferenceError: the session failed, out of memory for one.
            WeightsError: on the first call: the weights are missing, altered or not what the manifest says.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
            raise PictureError(f"expected RGB as uint8 (height, width, 3), found {rgb.dtype} {rgb.shape}")
        session = self._session
        network_input = _network_input(rgb, self.manifest.input)
        try:
            (output,) = session.run(None, {session.get_inputs()[0].name: network_input})
        except Exception as error:  # ONNX Runtime's errors share no base class below this one
            raise InferenceError(f"{self.manifest.name}: {_one_line(error)}") from error
        name, labels = self.manifest.name, self.manifest.labels
        return {f"{name}/{label}": float(score) for label, score in zip(labels, output[0], strict=True)}

    @cached_property
    def _session(self) -> Any:
        """An ONNX Runtime session that fits the manifest, on one thread: workers are scaled by processes."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _LOG_ERRORS_ONLY
        weights = read_weights(self.manifest, folder=self._folder)
        try:
            session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no base class below this one
            raise WeightsError(f"{self.manifest.weights.file}: expected an ONNX model: {_one_line(error)}") from error
        self._check(session)
        return session

    def _check(self, session: Any) -> None:
        """Tells a manifest that does not fit its weights by one picture of zeros, before any real one is scored."""
        manifest, file = self.manifest, self.manifest.weights.file
        if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
            raise WeightsError(f"{file}: expected a model of one input and one output")
        size = manifest.input.size
        blank = _network_input(np.zeros((size.height, size.width, 3), np.uint8), manifest.input)
        try:
            (output,) = session.run(None, {session.get_inputs()[0].name: blank})
        except Exception as error:
            found = f"{manifest.input.layout} {blank.shape}"
            raise WeightsError(f"{file}: does not take the manifest's input {found}: {_one_line(error)}") from error
        if output.shape != (1, len(manifest.labels)):
            raise WeightsError(f"{file}: expected {len(manifest.labels)} labels' scores, found output {output.shape}")


def load_classifiers(folder: Path | None) -> tuple[Classifier, ...]:
    """Loads and verifies every manifest (`*.yaml`) of a folder, by file name; None: those that livewarden ships.

    Raises:
        ManifestError: the folder cannot be read, holds no manifest, or one of them is not usable.
        WeightsError: weights are missing or altered.
    """
    folder = BUILT_IN_MANIFESTS if folder is None else folder
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"})
    except OSError as error:
        raise ManifestError(f"{folder}: expected a folder of classifier manifests: {error.strerror}") from error
    if not paths:
        raise ManifestError(f"{folder}: expected at least one classifier manifest, *.yaml")
    origins: dict[str, Path] = {}
    classifiers = []
    for path in paths:
        manifest = verify_manifest(path)
        if manifest.name in origins:
            raise ManifestError(f"{path}: name: {manifest.name} is taken by {origins[manifest.name]}")
        origins[manifest.name] = path
        classifiers.append(Classifier(manifest, folder=path.parent))
    return tuple(classifiers)


def _network_input(rgb: npt.NDArray[Any], how: Input) -> npt.NDArray[np.float32]:
    """Resizes with Pillow, whose antialiasing the networks were trained with, and lays the picture out.

    Resizing only what the crop keeps gives the same pixels as cropping afterwards, for less.
    """
    height, width = rgb.shape[:2]
    left = (how.resize.width - how.size.width) // 2 / how.resize.width
    top = (how.resize.height - how.size.height) // 2 / how.resize.height
    kept = (
        left * width,
        top * height,
        (left + how.size.width / how.resize.width) * width,
        (top + how.size.height / how.resize.height) * height,
    )
    picture = Image.fromarray(rgb)
    resized = picture.resize((how.size.width, how.size.height), _PILLOW_FILTERS[how.resize.filter], box=kept)
    if how.jpeg_quality is not None:
        resized = _through_jpeg(resized, how.jpeg_quality)
    pixels = np.asarray(resized, np.float32)
    if how.channels == "BGR":
        pixels = pixels[:, :, ::-1]
    values = (pixels - np.array(how.mean, np.float32)) * np.array(how.scale, np.float32)
    if how.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None])


def _through_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    encoded = BytesIO()
    picture.save(encoded, format="JPEG", quality=quality)
    return Image.open(encoded)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
