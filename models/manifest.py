"""A classifier's manifest: where its weights are, how a picture is fed to it, and what its scores may be taken for."""

import hashlib
import importlib.util
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from models.errors import ManifestError, WeightsError

MAX_MANIFEST_BYTES = 1 << 20
"""A manifest is a page of text; anything larger is another file."""

MAX_WEIGHTS_BYTES = 1 << 30
"""ONNX files end at 2 GB; ours are read whole into every worker process."""

MAX_INPUT_SIDE_PIXELS = 4096

Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Side = Annotated[int, Field(ge=1, le=MAX_INPUT_SIDE_PIXELS)]
Triple = tuple[float, float, float]


class ResizeFilter(StrEnum):
    """Pillow's resampling filters, which widen when a picture shrinks (antialiasing)."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Weights(_Part):
    """Where the ONNX file is: in an installed package, or beside the manifest."""

    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Top-level import name of the package that ships the file; it is found, never imported. None: see `file`."""
    file: str = Field(min_length=1, max_length=200)
    """Path inside the package, or relative to the manifest's folder."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        path = Path(self.file)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"file: expected a path that stays inside its folder, found {self.file!r}")
        return self


class Size(_Part):
    """A size in pixels."""

    width: Side
    height: Side


class Resize(Size):
    """The whole picture is stretched to this size, with no regard to its aspect ratio."""

    filter: ResizeFilter


class Input(_Part):
    """How a picture becomes the network's input: resize, crop the centre, order channels, `(value - mean) * scale`."""

    layout: Literal["NHWC", "NCHW"]
    channels: Literal["RGB", "BGR"]
    """The order in which the network takes channels; `mean` and `scale` are in this order."""
    resize: Resize
    crop: Size | None = None
    """The centre that is kept after resizing. None: all of it."""
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] | None = None
    """The picture goes through JPEG of this quality, in memory, as in the training of some networks. None: not."""
    mean: Triple
    """In grey levels, 0 to 255."""
    scale: Triple

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop is not None and (self.crop.width > self.resize.width or self.crop.height > self.resize.height):
            raise ValueError("crop: expected no more than the size of resize")
        return self

    @property
    def size(self) -> Size:
        """What the network sees."""
        return self.resize if self.crop is None else self.crop


class Manifest(_Part):
    """Everything that livewarden knows of a classifier besides its weights."""

    name: Slug
    """First part of the scores' keys: `<name>/<label>`."""
    version: str = Field(min_length=1, max_length=64)
    weights: Weights
    input: Input
    labels: tuple[Slug, ...] = Field(min_length=1)
    """What the output's columns mean, in order. The network gives probabilities, 0 to 1."""
    licence: str = Field(min_length=1)
    validated_for: tuple[str, ...] = Field(min_length=1)
    """On what its scores were measured, and by whom."""
    not_validated_for: tuple[str, ...] = Field(min_length=1)
    """For what nobody has measured it, though one might take it for that."""

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: expected each label once")
        return self


def load_manifest(path: Path) -> Manifest:
    """Reads and checks a manifest; its weights are not looked at.

    Raises:
        ManifestError: naming the file, the line or field, and what was expected.
    """
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ManifestError(f"{path}: expected a manifest of at most {MAX_MANIFEST_BYTES} bytes")
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ManifestError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}".removeprefix(": ")
            for problem in error.errors()
        ]
        raise ManifestError(f"{path}: {'; '.join(problems)}") from error


def verify_manifest(path: Path) -> Manifest:
    """Reads a manifest and checks its weights' digest; builds no session, imports no package.

    Raises:
        ManifestError: as `load_manifest`.
        WeightsError: as `read_weights`.
    """
    manifest = load_manifest(path)
    read_weights(manifest, folder=path.parent)
    return manifest


def read_weights(manifest: Manifest, *, folder: Path) -> bytes:
    """Reads the weights and checks them: what was checked is what is returned, not what is on disk a moment later.

    Args:
        manifest: says where they are and what digest is expected.
        folder: the manifest's, for a path relative to it.

    Raises:
        WeightsError: they are missing or altered; the text names the file, the expected and the found digest.
    """
    path = _locate(manifest, folder)
    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise WeightsError(f"{path}: expected weights of at most {MAX_WEIGHTS_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: the weights of {manifest.name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.weights.sha256:
        raise WeightsError(
            f"{path}: the weights of {manifest.name} were altered: "
            f"expected SHA-256 {manifest.weights.sha256}, found {found}"
        )
    return data


def _locate(manifest: Manifest, folder: Path) -> Path:
    weights = manifest.weights
    if weights.package is None:
        return folder / weights.file
    # find_spec of a top-level name imports nothing; some packages install or fetch things when imported.
    spec = importlib.util.find_spec(weights.package)
    folders: Sequence[str] = () if spec is None else spec.submodule_search_locations or ()
    if not folders:
        raise WeightsError(
            f"{weights.file}: the weights of {manifest.name} are missing: "
            f"expected the Python package {weights.package} to be installed"
        )
    return Path(folders[0]) / weights.file
