"""The tables of docs/events.md, made of the schemas: `python -m tools.event_docs docs/events.md` writes them anew.

What people wrote around them stays. A new type needs a place in its schema (`type`, `allOf`, `$defs`) and nothing here.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from config.schemas import SCHEMAS, schema

BEGIN: Final = "<!-- what follows is written by: python -m tools.event_docs docs/events.md -->"
END: Final = "<!-- up to here -->"

PLACES: Final = {
    "escalation.v1": (
        "Escalations",
        "On `lw:escalations:critical`, `lw:escalations:high` and `lw:escalations:review`, by severity. Those of"
        " canaries are on `lw:operations`, and so is, a second time, that of a hash that floods.",
        "moderators, and review tools of your own",
    ),
    "decision.v1": ("Decisions", "On `lw:decisions`.", "platforms"),
    "interrupt.v1": ("Interrupts", "On `lw:decisions`.", "platforms"),
    "stream.v1": ("Streams", "On `lw:streams:events`.", "platforms"),
    "operations.v1": ("Operations", "On `lw:operations`.", "operators"),
}
"""By schema: a heading, the Redis streams, and the readers."""

Schema = Mapping[str, Any]


def with_tables(text: str) -> str:
    """The text of the document with its tables as the schemas have them now.

    Raises:
        ValueError: it has no place for them.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN!r} and {END!r}")
    return "\n".join([f"{before}{BEGIN}", "", *tables(), "", f"{END}{after}"])


def tables() -> Iterator[str]:
    """The lines of all types, and of the parts that several of them have."""
    documents = {name: schema(name) for name in SCHEMAS}
    yield from _overview(documents)
    parts: dict[str, tuple[Schema, Schema]] = {}
    for name, (heading, place, readers) in PLACES.items():
        document = documents[name]
        yield from ("", f"## {heading}", "", f"{place} For {readers}. Schema: `config/schemas/{name}.json`.")
        kinds = document["properties"]["type"]["enum"]
        shared = document["properties"]["data"]
        for kind in kinds:
            of_type = document["$defs"][kind.split(".")[2]]
            yield from ("", f"### `{kind}`", "", of_type["description"])
            if "properties" not in shared:
                yield from ("", *_table(of_type, document))
        if "properties" in shared:
            which = "Its `data`:" if len(kinds) == 1 else "Their `data`:"
            yield from ("", which, "", *_table(shared, document))
        of_types = {kind.split(".")[2] for kind in kinds}
        for part, of_part in document["$defs"].items():
            if part not in of_types and "properties" in of_part:
                parts[part] = (of_part, document)
    yield from ("", "## Parts")
    for part, (of_part, its) in sorted(parts.items()):
        yield from ("", f"### {part}", "", of_part["description"], "", *_table(of_part, its))


def _overview(documents: Mapping[str, Schema]) -> Iterator[str]:
    yield from ("| type | meaning |", "|---|---|")
    for name in PLACES:
        for kind in documents[name]["properties"]["type"]["enum"]:
            described = documents[name]["$defs"][kind.split(".")[2]]["description"]
            yield f"| [`{kind}`](#{kind.replace('.', '')}) | {_cell(described)} |"


def _table(described: Schema, document: Schema) -> Iterator[str]:
    yield from ("| field | type | value |", "|---|---|---|")
    yield from _rows(described, document, "")


def _rows(described: Schema, document: Schema, prefix: str) -> Iterator[str]:
    required = described.get("required", ())
    for name, field in described["properties"].items():
        resolved = _resolved(field, document)
        text = field.get("description", resolved.get("description", ""))
        mark = "" if name in required else "optional: "
        yield f"| `{prefix}{name}` | {mark}{_type(field, document)} | {_cell(text)} |"
        if "$ref" not in field and "properties" in field:
            yield from _rows(field, document, f"{prefix}{name}.")
        of_list = field.get("items", {})
        if "$ref" not in of_list and "properties" in of_list:
            yield from _rows(of_list, document, f"{prefix}{name}[].")


def _type(field: Schema, document: Schema) -> str:
    either = field.get("oneOf") or field.get("anyOf")
    if either:
        return " or ".join(_type(one, document) for one in either)
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        resolved = _resolved(field, document)
        if "properties" in resolved:
            return f"[{name}](#{name})"
        return name if _is_time(field) else _type(resolved, document)
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if isinstance(field["type"], list):
        return " or ".join(_type({**field, "type": one}, document) for one in field["type"])
    if field["type"] == "array":
        return f"list: {_type(field['items'], document)}"
    if field["type"] == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"object of {_type(field['additionalProperties'], document)}"
    return {"string": "text"}.get(field["type"], str(field["type"]))


def _is_time(field: Schema) -> bool:
    return str(field.get("$ref", "")).endswith("/time")


def _resolved(field: Schema, document: Schema) -> Schema:
    reference = field.get("$ref")
    if reference is None:
        return field
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
