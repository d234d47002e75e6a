"""Weights on disk: found, read and checked. What was checked is what is used, not what is on disk a moment later."""

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import OnnxFileError, WeightsError
from models.manifest import PinnedFile
from models.onnxgraph import OnnxGraph, read_graph
from models.package import ModelPackage

MAX_WEIGHTS_BYTES = 1 << 30
"""ONNX files end at 2 GB; ours are read whole into every worker process."""


@dataclass(frozen=True, kw_only=True)
class CheckedWeights:
    """The bytes of a model, as its manifest pins them, and what they say of themselves."""

    onnx: bytes
    external: Mapping[str, bytes]
    """Tensors in files of their own, by the path that `onnx` names."""
    graph: OnnxGraph


def read_weights(package: ModelPackage) -> CheckedWeights:
    """Reads the weights of a model and checks their digests and their external files; builds no session.

    Raises:
        WeightsError: they are missing, altered or no ONNX model, or they lie in files that the manifest does not name;
            the text names the file, what was expected and what was found.
    """
    weights = package.manifest.weights
    path = locate(package, weights)
    onnx = _read(package, path, weights.sha256)
    try:
        graph = read_graph(onnx)
    except OnnxFileError as error:
        raise WeightsError(f"{path}: {error}") from error
    unknown = sorted(graph.external - weights.external.keys())
    if unknown:
        raise WeightsError(
            f"{path}: keeps tensors in {unknown[0]!r}: expected only files inside its folder that "
            f"weights.external names: {package.place('weights')}"
        )
    unused = sorted(weights.external.keys() - graph.external)
    if unused:
        raise WeightsError(f"{package.place('weights', 'external', unused[0])}: {path} keeps nothing there")
    external = {file: _read(package, path.parent / file, digest) for file, digest in weights.external.items()}
    return CheckedWeights(onnx=onnx, external=external, graph=graph)


def read_pinned(package: ModelPackage, file: PinnedFile) -> bytes:
    """Reads another file that the manifest pins.

    Raises:
        WeightsError: it is missing or altered.
    """
    return _read(package, locate(package, file), file.sha256)


def locate(package: ModelPackage, file: PinnedFile) -> Path:
    """Where a file of a model lies.

    Raises:
        WeightsError: the Python package that ships it is not installed.
    """
    if file.package is None:
        return package.path.parent / file.file
    # find_spec of a top-level name imports nothing; some packages install or fetch things when imported.
    spec = importlib.util.find_spec(file.package)
    folders: Sequence[str] = () if spec is None else spec.submodule_search_locations or ()
    if not folders:
        raise WeightsError(
            f"{file.file}: the weights of {package.manifest.name} are missing: "
            f"expected the Python package {file.package} to be installed"
        )
    return Path(folders[0]) / file.file


def _read(package: ModelPackage, path: Path, expected: str) -> bytes:
    name = package.manifest.name
    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise WeightsError(f"{path}: expected weights of at most {MAX_WEIGHTS_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: the weights of {name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise WeightsError(f"{path}: the weights of {name} were altered: expected SHA-256 {expected}, found {found}")
    return data
