"""The schemas of events."""

import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from config.errors import SchemaError
from config.schemas import SCHEMAS, check_event, data_schema, objects, schema, strict

OPERATIONS = (Path(__file__).parents[2] / "docs/operations.md").read_text()


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_valid(name: str) -> None:
    """A platform could not validate its input with the schema."""
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", SCHEMAS)
def test_readers_survive_added_fields_and_we_add_none_by_mistake(name: str) -> None:
    """A platform's checks would refuse the events of the next version, or a mistake of ours reach a platform.

    So a file closes no object (no `"additionalProperties": false`): what is published is closed by `strict`.
    """
    for_readers, ours = list(objects(schema(name))), list(objects(strict(schema(name))))
    assert len(for_readers) == len(ours) > 1
    assert not [part for part in for_readers if part.get("additionalProperties") is False]
    assert not [part for part in ours if "additionalProperties" not in part]


@pytest.mark.parametrize("kind", [kind for name in SCHEMAS for kind in schema(name)["properties"]["type"]["enum"]])
def test_dataschema_leads_to_the_schema_of_data(kind: str) -> None:
    """`dataschema` would not lead a reader to the schema of `data`, or to that of another type."""
    documents = [schema(name) for name in SCHEMAS]
    registry: Registry[Any] = Registry().with_resources(
        (document["$id"], Resource.from_contents(document)) for document in documents
    )
    found = registry.resolver().lookup(data_schema(kind)).contents
    assert found["description"]
    (document,) = (one for one in documents if data_schema(kind).startswith(f"{one['$id']}#"))
    (of_type,) = (one for one in document["allOf"] if one["if"]["properties"]["type"]["const"] == kind)
    assert of_type["then"]["properties"]["data"] == {"$ref": data_schema(kind).removeprefix(document["$id"])}


def test_shared_definitions_are_equal() -> None:
    """A match, or a time, would have one form in an escalation and another in a decision."""
    described: dict[str, Any] = {}
    for name in ("escalation.v1", "decision.v1", "interrupt.v1"):
        for part, text in schema(name)["$defs"].items():
            assert described.setdefault(part, text) == text, f"{name}: {part}"


@pytest.mark.parametrize("event", [{}, {"type": 5}, {"type": "livewarden.escalation.raised.v9"}])
def test_an_unknown_type_is_refused(event: dict[str, object]) -> None:
    """An event of an undocumented type would be published."""
    with pytest.raises(SchemaError, match=r"type: .*expected one of livewarden\."):
        check_event(event)


def test_an_error_names_the_field() -> None:
    """A developer who changes an event would not find the mistake."""
    with pytest.raises(SchemaError, match=r"livewarden\.decision\.made\.v1: \$"):
        check_event({"type": "livewarden.decision.made.v1"})


def test_the_manual_lists_every_operator_event() -> None:
    """An operator would not know what an event on `lw:operations` means, or would wait for one that is never sent."""
    (table,) = re.findall(r"^\| NAME \| published when \|\n\|---\|---\|\n((?:\|.*\n)+)", OPERATIONS, flags=re.MULTILINE)
    listed = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    published = schema("operations.v1")["properties"]["type"]["enum"]
    assert sorted(f"livewarden.operations.{name}.v1" for name in listed) == sorted(published)
