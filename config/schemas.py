"""JSON Schemas of the events, and the check that every event passes before it is published.

The files are for readers: what they do not name may be there, so that a reader of today survives the fields of
tomorrow. What is published is held to more (`strict`): nothing but what the files name.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from config.errors import SchemaError

SCHEMAS: Final = ("escalation.v1", "decision.v1", "interrupt.v1", "operations.v1", "stream.v1")
"""Each is `config/schemas/<name>.json`, and describes the whole CloudEvent."""

EMITTED: Final = ("dataschema",)
"""Attributes that every event has that is published now; those of version 0.1.0, which may still be read, have not."""

_NAMING: Final = frozenset({"required", "additionalProperties", "dependentRequired"})
"""Keywords whose mistakes are reported without a value of the event."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of that name, one of `SCHEMAS`, for readers."""
    text = files("config").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def strict(document: Mapping[str, Any]) -> dict[str, Any]:
    """A schema as it holds for what is published: objects have no property that it does not name.

    An object that the schema describes by `properties` is closed. One that has none, such as a platform's metadata, and
    one that defines further properties itself, such as scores, stays as it is.
    """
    closed: dict[str, Any] = copy.deepcopy(dict(document))
    for one in objects(closed):
        one.setdefault("additionalProperties", False)
    closed["required"] = [*closed["required"], *EMITTED]
    return closed


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """The parts of a schema that describe an object by its properties."""
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            yield node
        for part in node.values():
            yield from objects(part)
    elif isinstance(node, list):
        for part in node:
            yield from objects(part)


def data_schema(kind: str) -> str:
    """The URI of what `data` of an event of that type adheres to: `$id` of the file, and the place in it.

    A URN: a schema that lies beside the code has no address of its own. It stays the same as long as a reader of the
    first version survives what is added.
    """
    _, family, name, version = kind.split(".")
    return f"urn:livewarden:schema:{family}.{version}#/$defs/{name}"


def known_fields(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` of an event of that type without what its schema does not name, as a later version may have added.

    A program that makes another event of it would else publish unknown data, or nothing.
    """
    family, name, version = kind.split(".")[1:]
    document = _document(f"{family}.{version}")
    known: dict[str, Any] = _known(data, document["$defs"][name], document)
    return known


@cache
def _document(name: str) -> dict[str, Any]:
    return schema(name)


def _known(value: Any, described: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    while "$ref" in described:
        found: Any = document
        for step in described["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        described = found
    if isinstance(value, dict) and "properties" in described:
        parts = described["properties"]
        return {name: _known(part, parts[name], document) for name, part in value.items() if name in parts}
    if isinstance(value, list) and "items" in described:
        return [_known(part, described["items"], document) for part in value]
    return value


@cache
def _validators() -> dict[str, Draft202012Validator]:
    """Event type to the validator of its schema."""
    by_type: dict[str, Draft202012Validator] = {}
    for name in SCHEMAS:
        document = schema(name)
        validator = Draft202012Validator(strict(document))
        by_type.update(dict.fromkeys(document["properties"]["type"]["enum"], validator))
    return by_type


def check_event(event: Mapping[str, Any]) -> None:
    """Checks a CloudEvent, given as its JSON object, against the schema of its type, as strictly as for publishing.

    Raises:
        SchemaError: naming the event's type, the field and what was expected. It quotes no value: errors are logged,
            and events have hashes of pictures and what platforms note.
    """
    kind = event.get("type")
    validator = _validators().get(kind) if isinstance(kind, str) else None
    if validator is None:
        raise SchemaError(f"type: {str(kind)[:100]!r}: expected one of {', '.join(sorted(_validators()))}")
    problem = best_match(validator.iter_errors(event))
    if problem is not None:
        raise SchemaError(f"{kind}: {problem.json_path[:200]}: {_expected(problem)[:300]}")
    if event["dataschema"] != data_schema(str(kind)):
        raise SchemaError(f"{kind}: $.dataschema: expected {data_schema(str(kind))}")


def _expected(problem: ValidationError) -> str:
    if problem.validator in _NAMING:
        return str(problem.message)
    return f"expected {problem.validator} {json.dumps(problem.validator_value)}"
