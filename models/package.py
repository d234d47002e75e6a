"""Model packages: a manifest as a file, read so that a mistake is told with its line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from models.errors import ManifestError
from models.manifest import Manifest

MAX_MANIFEST_BYTES = 1 << 20
"""A manifest is a page of text; anything larger is another file."""

Field = tuple[str | int, ...]
"""Path of a field: ("outputs", 0, "labels")."""


@dataclass(frozen=True, kw_only=True)
class ModelPackage:
    """A manifest, and where it lies. Its weights are not looked at yet."""

    manifest: Manifest
    path: Path
    """Of the manifest."""
    origin: str
    """Who brought it: "livewarden", the distribution's name and version, or the operator's folder."""
    lines: Mapping[Field, int] = field(default_factory=dict)
    """Field to its line in the file, counted from 1."""

    def place(self, *where: str | int) -> str:
        """A field as errors name it: file, line and path; of a field that was left out, the one that it is in."""
        return f"{self.path}, line {_line(self.lines, where)}: {_dotted(where)}"


def read_package(path: Path, *, origin: str) -> ModelPackage:
    """Reads and checks a manifest; its weights are not looked at.

    Raises:
        ManifestError: `file, line N: field: what was expected`; of several mistakes, all.
    """
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ManifestError(f"{path}: expected a manifest of at most {MAX_MANIFEST_BYTES} bytes")
        text = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = {} if tree is None else dict(_lines(tree, ()))
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise ManifestError(f"{path}{line}: expected YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise ManifestError("; ".join(_explain(dict(problem), path, lines) for problem in error.errors())) from error
    return ModelPackage(manifest=manifest, path=path, origin=origin, lines=lines)


def _explain(problem: dict[str, Any], path: Path, lines: Mapping[Field, int]) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    where: Field = problem["loc"]
    # "crop: expected …" of a validator of the whole part names the field that it speaks of.
    named = text.partition(":")[0]
    inner = (*where, named) if (*where, named) in lines else where
    return f"{path}, line {_line(lines, inner)}: {_dotted(where)}{': ' if where else ''}{text}"


def _line(lines: Mapping[Field, int], where: Field) -> int:
    return next((lines[where[:length]] for length in range(len(where), 0, -1) if where[:length] in lines), 1)


def _dotted(where: Field) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")


def _lines(node: yaml.Node, where: Field) -> Iterator[tuple[Field, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*where, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield (*where, place), value.start_mark.line + 1
            yield from _lines(value, (*where, place))
