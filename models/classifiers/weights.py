"""Weights on disk: found, read and checked. What was checked is what is used, not what is on disk a moment later."""

import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.classifiers.manifest import PinnedFile
from models.classifiers.model_file import open_model_file, read_model_file
from models.classifiers.onnx_graph import OnnxGraph, read_graph
from models.classifiers.package import ModelPackage
from models.errors import OnnxFileError, UnreadableError, WeightsError

MAX_WEIGHTS_BYTES = 1 << 30
"""ONNX files end at 2 GB; weights are read whole into every worker process."""


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
        WeightsError: they are missing, altered or no ONNX model, or they lie in files that the manifest does not name,
            or outside of its folder; the text names the file, what was expected and what was found.
    """
    weights = package.manifest.weights
    folder = _folder(package, weights)
    onnx = _read(package, folder, weights.file, weights.sha256, ("weights", "sha256"))
    path = folder / weights.file
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
    beside = Path(weights.file).parent
    external = {
        file: _read(package, folder, str(beside / file), digest, ("weights", "external", file))
        for file, digest in weights.external.items()
    }
    return CheckedWeights(onnx=onnx, external=external, graph=graph)


def read_pinned(package: ModelPackage, landmarks: PinnedFile) -> bytes:
    """Reads the other file that a manifest may pin, `input.faces.landmarks`.

    Raises:
        WeightsError: it is missing or altered.
    """
    where = ("input", "faces", "landmarks", "sha256")
    return _read(package, _folder(package, landmarks), landmarks.file, landmarks.sha256, where)


def presence(package: ModelPackage) -> Literal["there", "missing", "unreadable"]:
    """True if the weights of a model lie where its manifest names them; their content is not read."""
    weights = package.manifest.weights
    try:
        folder = _folder(package, weights)
        open_model_file(folder / weights.file, inside=_roots(package, folder)).close()
    except WeightsError:
        return "missing"
    except UnreadableError as error:
        return "missing" if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError) else "unreadable"
    return "there"


def _folder(package: ModelPackage, file: PinnedFile) -> Path:
    """Folder that the path of a file starts from.

    Raises:
        WeightsError: the Python package that ships it is not installed.
    """
    if file.package is None:
        return package.path.parent
    folder = installed_folder(file.package)
    if folder is None:
        raise WeightsError(
            f"{file.file}: the weights of {package.manifest.name} are missing: "
            f"expected the Python package {file.package} to be installed"
        )
    return folder


def _roots(package: ModelPackage, folder: Path) -> tuple[Path, ...]:
    """Folders that a file may not leave by a link. Some installers link each file to a store of theirs, and the file
    that a folder is known by (the manifest, `__init__.py`) likewise."""
    known_by = package.path if folder == package.path.parent else folder / "__init__.py"
    return folder, Path(os.path.realpath(known_by)).parent


def _read(package: ModelPackage, folder: Path, file: str, expected: str, where: tuple[str, ...]) -> bytes:
    """A file of that digest; `where` the manifest has the digest."""
    path, name = folder / file, package.manifest.name
    try:
        data = read_model_file(path, max_bytes=MAX_WEIGHTS_BYTES, inside=_roots(package, folder))
    except UnreadableError as error:
        raise WeightsError(f"{path}: the weights of {name} cannot be read: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise WeightsError(
            f"{package.place(*where)}: {path}: the weights of {name} were altered: "
            f"expected SHA-256 {expected}, found {found}"
        )
    return data


def installed_folder(name: str) -> Path | None:
    """The folder of an installed top-level package, found and never imported: some packages fetch things at import.

    None: no package of that name is installed.

    Args:
        name: without dots, for to find an inner package its outer one is imported.
    """
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # __main__, an empty name
        return None
    folders: Sequence[str] = () if spec is None else spec.submodule_search_locations or ()
    return Path(folders[0]) if folders else None
