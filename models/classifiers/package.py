"""Model packages: a manifest as a file; mistakes in it are reported with their lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.documents.loading import MAX_BYTES, MAX_TOKENS
from config.documents.mistakes import MAX_MISTAKES, YamlText, problems_of
from config.documents.reading import DocumentError, parse_document
from models.classifiers.manifest import Manifest
from models.classifiers.model_file import read_model_file
from models.errors import ManifestError, UnreadableError

MAX_MANIFEST_BYTES = MAX_BYTES
"""A manifest is a page of text; anything larger is another file."""

SUFFIXES = frozenset({".yaml", ".yml"})
"""Suffixes of manifests, in lower case; a file's may differ in case."""

Field = tuple[str | int, ...]
"""Path of a field: ("outputs", 0, "labels")."""


@dataclass(frozen=True, kw_only=True)
class ModelPackage:
    """A manifest, and its place. Its weights are not read yet."""

    manifest: Manifest
    path: Path
    """Path of the manifest."""
    origin: str
    """Its origin: "livewarden", the distribution's name and version, or the operator's folder."""
    replaces: str | None = None
    """Origin of the one of its name that it replaces; None: there is no other."""
    document: YamlText = field(default_factory=lambda: YamlText(""), repr=False, compare=False)
    """The file itself, which knows the lines of its fields."""

    def place(self, *where: str | int) -> str:
        """A field as errors name it: file, line and path; of a field that was left out, the one that it is in."""
        return f"{self.path}, line {_line(self.document, where)}: {_dotted(where)}"


def is_manifest(path: Path) -> bool:
    """True if a file's name is that of a manifest."""
    return path.suffix.lower() in SUFFIXES


def read_package(path: Path, *, origin: str) -> ModelPackage:
    """Reads and checks a manifest; its weights are not read.

    Raises:
        ManifestError: `file, line N: field: what was expected`; of several mistakes, all.
    """
    try:
        document = parse_document(read_model_file(path, max_bytes=MAX_MANIFEST_BYTES), max_tokens=MAX_TOKENS)
    except UnreadableError as error:
        raise ManifestError(f"{path}: the manifest cannot be read: {error}") from error
    except DocumentError as error:
        line = "" if error.mistake.line is None else f", line {error.mistake.line}"
        raise ManifestError(f"{path}{line}: {error.mistake.text}") from error
    try:
        manifest = Manifest.model_validate(document.value)
    except ValidationError as error:
        mistakes = [_explain(problem, path, document) for problem in problems_of(error)[:MAX_MISTAKES]]
        raise ManifestError("; ".join(mistakes)) from error
    return ModelPackage(manifest=manifest, path=path, origin=origin, document=document)


def _explain(problem: Mapping[str, Any], path: Path, document: YamlText) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    where: Field = problem["loc"]
    # "crop: expected …" of a validator of the whole part names the field that it speaks of.
    line = _line(document, (*where, text.partition(":")[0]))
    return f"{path}, line {line}: {_dotted(where)}{': ' if where else ''}{text}"


def _line(document: YamlText, where: Field) -> int:
    line, _ = document.place(where)
    return 1 if line is None else line


def _dotted(where: Field) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")
