"""A classifier's manifest: where its weights are, how a picture is fed to it, and what its scores may be taken for.

`models/manifest.v1.schema.json` is the same as a JSON Schema, for editors; a test holds both equal.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

MAX_INPUT_SIDE_PIXELS = 4096
"""Larger inputs would take longer than a segment lasts."""

MAX_TIME_LIMIT_SECONDS = 10.0
"""A segment's task has 20 s or so for all of its pictures."""

Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Side = Annotated[int, Field(ge=1, le=MAX_INPUT_SIDE_PIXELS)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class ResizeFilter(StrEnum):
    """Resampling filters, which widen when a picture shrinks (antialiasing)."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class LabelCategory(StrEnum):
    """Category of a label, the same for all models."""

    SAFE = "safe"
    NUDITY = "nudity"
    SEXUAL = "sexual"
    VIOLENCE = "violence"
    MINOR = "minor"
    """A person looks younger than 18. Such a score may raise a severity, never lower or clear one."""
    TESTCARD = "testcard"
    OTHER = "other"


class Use(StrEnum):
    """Purpose for which a model's scores count."""

    LIVE = "live"
    SHADOW = "shadow"
    """Only rules in shadow mode may use its scores: they call no person."""
    SELFTEST = "selftest"
    """It runs only where the list `selftest` acts: on drills, canaries and scans."""


class Provider(StrEnum):
    """ONNX Runtime's execution providers, by short names."""

    CPU = "cpu"
    CUDA = "cuda"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


def _inside(file: str) -> str:
    path = PurePosixPath(file)
    if not file.isprintable():
        raise ValueError(f"expected the name of a file, found {file!r}")
    if path.is_absolute() or ".." in path.parts or "\\" in file:
        raise ValueError(f"expected a path that stays inside its folder, found {file!r}")
    return file


class PinnedFile(_Part):
    """A file in an installed package, or beside the manifest, and what is in it."""

    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Top-level import name of the package that ships the file; it is found, never imported. None: see `file`."""
    file: str = Field(min_length=1, max_length=200)
    """Path inside the package, or relative to the manifest's folder."""
    sha256: Digest

    @field_validator("file")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        return _inside(value)


class Weights(PinnedFile):
    """The ONNX file."""

    external: dict[str, Digest] = Field(default_factory=dict)
    """Files in which it keeps tensors, by their path from its folder, as the ONNX file names them."""

    @field_validator("external")
    @classmethod
    def _external_stays_inside(cls, value: dict[str, str]) -> dict[str, str]:
        for file in value:
            _inside(file)
        return value


class Size(_Part):
    """A size in pixels."""

    width: Side
    height: Side


class Resize(Size):
    """The size to which the whole picture comes."""

    filter: ResizeFilter
    library: Literal["pillow", "libvips"] = "pillow"
    """Library whose pixels it gives: libraries differ by some grey levels. `libvips` has lanczos only."""
    fit: Literal["stretch", "blurpad"] = "stretch"
    """`stretch`: with no regard to its aspect ratio. `blurpad`: it keeps that, in the middle of itself, stretched and
    blurred (as libvips does, sigma 10 pixels)."""

    @model_validator(mode="after")
    def _library_has_it(self) -> Self:
        if self.library == "libvips" and self.filter is not ResizeFilter.LANCZOS:
            raise ValueError(f"filter: expected lanczos, the one that library: libvips has, found {self.filter}")
        return self


class Faces(_Part):
    """The network's input is each face that dlib finds, rotated upright, in place of the picture (extra `age`)."""

    landmarks: PinnedFile
    """dlib's predictor of five landmarks."""
    padding: float = Field(default=0.2, ge=0, le=1)
    """Around the face, in parts of its size."""


class Input(_Part):
    """Conversion of a picture to the input: resize, crop the centre, order channels, `(value - mean) * scale`."""

    name: Text | None = None
    """Name of the graph's input. None: it has only one."""
    layout: Literal["NHWC", "NCHW"]
    dtype: Literal["float32", "float64", "float16", "uint8"] = "float32"
    channels: Literal["RGB", "BGR"]
    """The order in which the network takes channels; `mean` and `scale` are in this order."""
    faces: Faces | None = None
    """None: it classifies the picture."""
    resize: Resize
    crop: Size | None = None
    """The centre that is kept after resizing. None: all of it."""
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] | None = None
    """The picture goes through JPEG of this quality, in memory, as in the training of some networks. None: not."""
    mean: Triple = (0.0, 0.0, 0.0)
    """In grey levels, 0 to 255."""
    scale: Triple = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.crop is not None and (self.crop.width > self.resize.width or self.crop.height > self.resize.height):
            raise ValueError("crop: expected no more than the size of resize")
        if self.crop is not None and (self.resize.fit != "stretch" or self.faces is not None):
            raise ValueError("crop: only a picture that is stretched is cropped")
        if self.faces is not None and self.resize.width != self.resize.height:
            raise ValueError("resize: expected a square: faces are cut out as squares")
        if self.dtype == "uint8" and (self.mean != (0.0, 0.0, 0.0) or self.scale != (1.0, 1.0, 1.0)):
            raise ValueError("dtype: uint8 leaves no room for mean and scale")
        return self

    @property
    def size(self) -> Size:
        """The network's input."""
        return self.resize if self.crop is None else self.crop


class Label(_Part):
    """One score: the key `<model>/<name>`."""

    name: Slug
    category: LabelCategory
    columns: tuple[int, int] | None = None
    """[first, last], both counted: the score is their sum in the output. None: of the one at the label's place."""


class Output(_Part):
    """One output of the graph: (1, columns) numbers, one dimension of 1 more or less."""

    name: Text | None = None
    """Name of the graph's output. None: it has only one."""
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    """Function that makes probabilities of the output. `none`: they are probabilities."""
    columns: int | None = Field(default=None, ge=1, le=100_000)
    """Count of its numbers. None: as many as there are labels."""
    labels: tuple[Label, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _columns_are_there(self) -> Self:
        for label, (first, last) in self.spans():
            if not 0 <= first <= last < self.width:
                raise ValueError(f"labels: {label.name}: expected columns within 0 to {self.width - 1}")
            if self.activation == "softmax" and last - first + 1 == self.width:
                raise ValueError(
                    f"activation: softmax: {label.name} is the sum of all columns, 1.0 for every picture: "
                    "expected sigmoid, or further columns"
                )
        return self

    @property
    def width(self) -> int:
        """Count of the output's numbers."""
        return len(self.labels) if self.columns is None else self.columns

    def spans(self) -> Iterator[tuple[Label, tuple[int, int]]]:
        """Each label with the first and the last of its columns."""
        for place, label in enumerate(self.labels):
            yield label, (place, place) if label.columns is None else label.columns


class Runtime(_Part):
    """Options of ONNX Runtime."""

    providers: tuple[Provider, ...] = Field(default=(Provider.CPU, Provider.CUDA), min_length=1)
    """Those that it may run on. Where an operator sets another one (LIVEWARDEN_PROVIDER), it runs on the first."""
    threads: int = Field(default=1, ge=1, le=64)
    """For one picture. One is best where workers are scaled by processes."""
    time_limit_seconds: float = Field(default=2.0, gt=0, le=MAX_TIME_LIMIT_SECONDS)
    """For one picture: a run that takes longer is stopped, and the picture counts as not moderated."""


class Manifest(_Part):
    """Everything that livewarden knows of a classifier besides its weights."""

    name: Slug
    """First part of the scores' keys: `<name>/<label>`."""
    version: str = Field(min_length=1, max_length=64)
    use: Use = Use.LIVE
    licence: Text
    source: Text
    """Source of the weights."""
    intended_use: tuple[Text, ...] = Field(min_length=1)
    validated_for: tuple[Text, ...] = Field(min_length=1)
    """On what its scores were measured, and by whom."""
    known_limits: tuple[Text, ...] = Field(min_length=1)
    """Uses for which it was not measured, though one might take it for that."""
    weights: Weights
    input: Input
    outputs: tuple[Output, ...] = Field(min_length=1, max_length=16)
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [label.name for label in self.labels]
        if len(set(names)) < len(names):
            raise ValueError("outputs: expected each label once")
        outputs = [output.name for output in self.outputs]
        if len(outputs) > 1 and (None in outputs or len(set(outputs)) < len(outputs)):
            raise ValueError("outputs: expected each with its own name: there are several")
        return self

    @property
    def labels(self) -> tuple[Label, ...]:
        """Labels of all outputs, in order."""
        return tuple(label for output in self.outputs for label in output.labels)

    @property
    def about_minors(self) -> bool:
        """A score estimates whether a person is a minor: it runs only where a cascade gives a cause."""
        return any(label.category is LabelCategory.MINOR for label in self.labels)

    def key(self, label: Label) -> str:
        """The key of a score: `<model>/<label>`."""
        return f"{self.name}/{label.name}"
