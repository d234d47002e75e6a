"""Classifiers: a picture in, a score a label out, in ONNX Runtime sessions of our own."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from config.counts import counted
from models.classifiers.faces import FaceFinder
from models.classifiers.manifest import LabelCategory, Manifest, Output, Provider
from models.classifiers.manifest_check import check_fit, input_name, input_shape, output_name
from models.classifiers.package import ModelPackage
from models.classifiers.preprocess import Colours, RgbPicture, lay_out, network_input
from models.classifiers.time_limit import STUCK_SECONDS, TimeLimit
from models.classifiers.weights import CheckedWeights, read_pinned, read_weights
from models.errors import ClassifierError, InferenceError, InferenceTimeoutError, ScoreError, WeightsError

SLACK = 1e-3
"""By how much a probability may lie outside of 0 to 1, from rounding; it is cut off."""

_PROVIDERS = {Provider.CPU: "CPUExecutionProvider", Provider.CUDA: "CUDAExecutionProvider"}

_RUNTIMES_OWN = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:/\S+:\d+ .*?\) (?=[A-Z]))?")
"""Code, file, line and signature before an error's text."""

_LOG_ERRORS_ONLY = 3
"""ONNX Runtime's severity: warnings about a graph are its maker's business, not the operator's."""

_FIRST_RUN_SECONDS = 60.0
"""The first run of a session allocates, and on a GPU compiles: its limit is longer than the manifest's."""


@dataclass(frozen=True, kw_only=True)
class StuckRun:
    """A run that went on after it was stopped: one node of the graph takes too long, and nothing ends it."""

    model: str
    version: str
    sha256: str
    """SHA-256 of its weights, from its manifest."""
    limit_seconds: float
    """Its time limit, after which it was to stop."""
    on_trial: bool
    """It was the first run, on black, while its session was built; not one on a picture."""

    def __str__(self) -> str:
        picture = "a black picture" if self.on_trial else "a picture"
        return (
            f"{self.model}: a run on {picture} did not stop within {STUCK_SECONDS:g} s after its limit of "
            f"{self.limit_seconds:g} s: a single node of its graph takes too long"
        )


WhenStuck = Callable[[StuckRun], None]
"""Is called in a thread of its own, while the run goes on; what it calls for is the end of the process."""


class Classifier:
    """A classifier by its manifest. Its session is built when the first picture comes: after the worker's fork."""

    def __init__(self, package: ModelPackage, *, provider: Provider = Provider.CPU) -> None:
        """Remembers the manifest and what is to compute; reads nothing."""
        self.package = package
        self._when_stuck: WhenStuck | None = None
        self.provider = provider if provider in self.manifest.runtime.providers else self.manifest.runtime.providers[0]

    @property
    def manifest(self) -> Manifest:
        return self.package.manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of its scores: `<model>/<label>`."""
        return tuple(self.manifest.key(label) for label in self.manifest.labels)

    def keys_about(self, category: LabelCategory) -> tuple[str, ...]:
        """Keys of its scores whose label is of that category."""
        return tuple(self.manifest.key(label) for label in self.manifest.labels if label.category is category)

    def verify(self) -> CheckedWeights:
        """Reads the weights, checks them, and compares the manifest with the graph; builds no session.

        Raises:
            WeightsError: they are missing, altered, or do not fit the manifest.
        """
        weights = read_weights(self.package)
        check_fit(self.package, weights.graph)
        if self.provider is not Provider.CPU and _PROVIDERS[self.provider] not in onnxruntime.get_available_providers():
            raise ClassifierError(
                f"{self.name}: {self.provider}: this ONNX Runtime has only "
                f"{', '.join(onnxruntime.get_available_providers())}: install onnxruntime-gpu in its place"
            )
        if self.manifest.input.faces is not None:
            FaceFinder.check_installed()
            read_pinned(self.package, self.manifest.input.faces.landmarks)
        return weights

    def prepare(self, *, when_stuck: WhenStuck | None = None) -> None:
        """Builds the session and tries it on black: now, and not when the first picture waits.

        Args:
            when_stuck: from now on, is called for a run that does not end; None: the caller waits.

        Raises:
            ClassifierError: the weights are missing, altered, or do not fit the manifest; or they do not run. What
                failed once is not tried again.
        """
        self._when_stuck = when_stuck
        _ = self._session

    def bare_run(self, picture: Colours) -> Callable[[], Any]:
        """The session's run alone, on `picture` made ready: what else `scores` does can be measured against it. Its
        time limit is kept, which adds 2 µs.

        Raises:
            ClassifierError: as `prepare`; each run, InferenceError.
        """
        session = self._session
        how = self.manifest.input
        value = network_input(picture, how) if how.faces is None else np.zeros(input_shape(how), how.dtype)
        return lambda: self._outputs(session, value)

    def scores(self, picture: Colours | npt.NDArray[Any]) -> dict[str, float]:
        """Scores a picture: `<model>/<label>` -> 0 to 1. Of several faces the highest counts, of none 0.

        Args:
            picture: a picture, or its pixels: uint8, (height, width, 3), RGB, full range.

        Raises:
            PictureError: the array is of another shape or type.
            InferenceError: the session failed, took too long, or gave something that is no probability.
            ClassifierError: on the first call, as `prepare`.
        """
        colours: Colours = RgbPicture(picture) if isinstance(picture, np.ndarray) else picture
        session = self._session
        how = self.manifest.input
        if session.faces is None:
            return self._run(session, network_input(colours, how))
        deadline = perf_counter() + self.manifest.runtime.time_limit_seconds
        highest = dict.fromkeys(self.keys, 0.0)
        for chip in session.faces.chips(colours):
            for key, score in self._run(session, lay_out(chip, how)).items():
                highest[key] = max(highest[key], score)
            if perf_counter() > deadline:
                raise InferenceTimeoutError(f"{self.name}: its faces took too long")
        return highest

    def _run(self, session: "_Session", value: npt.NDArray[Any]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for output, values in zip(self.manifest.outputs, self._outputs(session, value), strict=True):
            scores.update(self._read(output, np.asarray(values, np.float64).ravel()))
        return scores

    def _outputs(self, session: "_Session", value: npt.NDArray[Any]) -> list[Any]:
        with session.limit.watched() as options:
            try:
                outputs: list[Any] = session.onnx.run(session.outputs, {session.input: value}, options)
            except Exception as error:  # ONNX Runtime's errors share no base class below this one
                if options.terminate:
                    raise InferenceTimeoutError(
                        f"{self.name}: stopped after {session.limit.seconds:g} s for one picture"
                    ) from error
                raise InferenceError(f"{self.name}: {_one_line(error)}") from error
        return outputs

    def _read(self, output: Output, values: npt.NDArray[np.float64]) -> dict[str, float]:
        """Scores of one output's numbers."""
        if len(values) != output.width:
            raise ScoreError(f"{self.name}: expected {counted(output.width, 'number')}, found {len(values)}")
        if not np.isfinite(values).all():
            raise ScoreError(f"{self.name}: a score is not a number, or infinite")
        if output.activation == "softmax":
            values = np.exp(values - values.max())
            values /= values.sum()
        elif output.activation == "sigmoid":
            values = 0.5 * (1 + np.tanh(values / 2))
        scores = {self.manifest.key(label): float(values[a : b + 1].sum()) for label, (a, b) in output.spans()}
        outside = [key for key, score in scores.items() if not -SLACK <= score <= 1 + SLACK]
        if outside:
            raise ScoreError(f"{outside[0]}: {scores[outside[0]]:g}: expected a probability, 0 to 1: see activation")
        return {key: min(1.0, max(0.0, score)) for key, score in scores.items()}

    @property
    def _session(self) -> "_Session":
        built = self._built
        if isinstance(built, _Session):
            return built
        # Another one each time: one that is raised again gathers frames, in which pictures are.
        raise type(built)(*built.args)

    @cached_property
    def _built(self) -> "_Session | ClassifierError":
        """A failure is remembered: else each picture would read the weights again, and wait for that."""
        try:
            return self._build()
        except ClassifierError as error:
            return type(error)(*error.args)  # without its cause, whose frames hold the weights

    def _build(self) -> "_Session":
        """A session that fits the manifest. Workers are scaled by processes, so it has one thread by default."""
        weights = self.verify()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.manifest.runtime.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _LOG_ERRORS_ONLY
        if weights.external:
            files, contents = list(weights.external), list(weights.external.values())
            options.add_external_initializers_from_files_in_memory(files, contents, [len(data) for data in contents])
        providers = [_PROVIDERS[self.provider]]
        if self.provider is not Provider.CPU:
            providers.append(_PROVIDERS[Provider.CPU])  # for nodes that the device has no kernel for
        try:
            onnx = onnxruntime.InferenceSession(weights.onnx, options, providers=providers)
        except Exception as error:
            raise WeightsError(f"{self._file}: expected an ONNX model: {_one_line(error)}") from error
        if onnx.get_providers()[0] != providers[0]:
            # ONNX Runtime falls back to the CPU with a warning only; nothing would show why all is slow.
            raise ClassifierError(f"{self.name}: {self.provider} does not work on this machine")
        session = _Session(self.manifest, weights, onnx, faces=self._face_finder(), when_stuck=self._report_stuck)
        self._try(session)
        return session

    def _face_finder(self) -> FaceFinder | None:
        faces = self.manifest.input.faces
        if faces is None:
            return None
        landmarks = read_pinned(self.package, faces.landmarks)
        return FaceFinder(landmarks, side=self.manifest.input.resize.width, padding=faces.padding)

    def _report_stuck(self, session: "_Session") -> None:
        if self._when_stuck is None:
            return
        manifest = self.manifest
        self._when_stuck(
            StuckRun(
                model=manifest.name,
                version=manifest.version,
                sha256=manifest.weights.sha256,
                limit_seconds=session.limit.seconds,
                on_trial=session.on_trial,
            )
        )

    @property
    def _file(self) -> str:
        return f"{self.package.place('weights', 'file')}: {self.manifest.weights.file}"

    def _try(self, session: "_Session") -> None:
        """Checks with one picture of zeros that the manifest fits its weights, before any real one is scored."""
        blank = np.zeros(input_shape(self.manifest.input), self.manifest.input.dtype)
        session.limit.seconds, session.on_trial = _FIRST_RUN_SECONDS, True
        try:
            self._run(session, blank)
        except InferenceError as error:
            raise WeightsError(f"{self._file}: does not run on the manifest's input: {error}") from error
        finally:
            session.limit.seconds, session.on_trial = self.manifest.runtime.time_limit_seconds, False


class _Session:
    """ONNX Runtime's session, the names that the graph has for what goes in and out, its time limit, and who finds the
    faces that it scores."""

    def __init__(
        self,
        manifest: Manifest,
        weights: CheckedWeights,
        onnx: Any,
        *,
        faces: FaceFinder | None,
        when_stuck: "Callable[[_Session], None]",
    ) -> None:
        self.onnx = onnx
        self.faces = faces
        self.input = input_name(manifest.input, weights.graph)
        self.outputs = [output_name(output, weights.graph) for output in manifest.outputs]
        self.limit = TimeLimit(manifest.runtime.time_limit_seconds, lambda: when_stuck(self))
        self.on_trial = False


def _one_line(error: Exception) -> str:
    """ONNX Runtime's message, without the place in its source."""
    return _RUNTIMES_OWN.sub("", " ".join(str(error).split()))
