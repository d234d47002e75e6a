"""The schemas of events."""

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from config.errors import SchemaError
from config.schemas import SCHEMAS, check_event, schema

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_one(name: str) -> None:
    """A platform could not use the schema to check what it reads."""
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("event", [{}, {"type": 5}, {"type": "livewarden.escalation.raised.v9"}])
def test_unknown_type_is_refused(event: dict[str, object]) -> None:
    """An event of a type that nobody has described would be published."""
    with pytest.raises(SchemaError, match=r"type: .*expected one of livewarden\."):
        check_event(event)


def test_error_names_the_field() -> None:
    """Whoever changes an event would not find what is wrong with it."""
    with pytest.raises(SchemaError, match=r"livewarden\.decision\.made\.v1: \$"):
        check_event({"type": "livewarden.decision.made.v1"})


def test_readme_lists_every_event_for_operators() -> None:
    """An operator would not know what an event on `lw:operations` is about, or would wait for one that nobody sends."""
    (table,) = re.findall(r"^\| NAME \| published when \|\n\|---\|---\|\n((?:\|.*\n)+)", README, flags=re.MULTILINE)
    listed = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    published = schema("operations.v1")["properties"]["type"]["enum"]
    assert sorted(f"livewarden.operations.{name}.v1" for name in listed) == sorted(published)
