"""JSON Schemas of the events, and the check that every event passes before it is published."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from config.errors import SchemaError

SCHEMAS: Final = ("escalation.v1", "decision.v1", "interrupt.v1", "operations.v1", "stream.v1")
"""Each is `config/schemas/<name>.json`, and describes the whole CloudEvent."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of that name, one of `SCHEMAS`."""
    text = files("config").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def _validators() -> dict[str, Draft202012Validator]:
    """Event type to the validator of its schema."""
    by_type: dict[str, Draft202012Validator] = {}
    for name in SCHEMAS:
        document = schema(name)
        validator = Draft202012Validator(document)
        by_type.update(dict.fromkeys(document["properties"]["type"]["enum"], validator))
    return by_type


def check_event(event: Mapping[str, Any]) -> None:
    """Checks a CloudEvent, given as its JSON object, against the schema of its type.

    Raises:
        SchemaError: naming the event's type, the field and what was expected; values are not quoted at length.
    """
    kind = event.get("type")
    validator = _validators().get(kind) if isinstance(kind, str) else None
    if validator is None:
        raise SchemaError(f"type: {str(kind)[:100]!r}: expected one of {', '.join(sorted(_validators()))}")
    problem = best_match(validator.iter_errors(event))
    if problem is not None:
        raise SchemaError(f"{kind}: {problem.json_path}: {problem.message[:300]}")
