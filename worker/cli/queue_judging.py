"""Judgements that wait, for people and programs."""

from typing import TYPE_CHECKING, Any

import typer

from worker.cli.json_lines import print_json

if TYPE_CHECKING:
    from worker.queue.answers import Judgement
    from worker.tables.field_table import FieldTable

_SET_ASIDE = "does not count any more: worse evidence came, or its judge was removed"


def print_judgement(done: "Judgement", *, as_json: bool) -> None:
    """Prints that a judgement was recorded, for its own judge."""
    from worker.events.cloudevent import rfc3339

    if as_json:
        print_json(
            {
                "incident_id": done.incident_id,
                "waits": True,
                "for": "lead" if done.disagreed else "second",
                "outcome": done.outcome,
                "alone_from": None if done.until_ms is None else rfc3339(done.until_ms),
                "set_aside": done.set_aside,
                "interrupted": done.interrupted,
            }
        )
        return
    if done.set_aside:
        typer.echo(f"an earlier judgement {_SET_ASIDE}")
    waits = "two persons do not agree, and a lead decides" if done.disagreed else "it waits for a second person"
    typer.echo(f"{done.incident_id} on {done.stream_id} ({done.rule}): your judgement is on record; {waits}")
    if done.interrupted:
        typer.echo("the platform is asked to interrupt the stream")


def add_judgements(table: "FieldTable", record: dict[str, Any]) -> None:
    """Adds what the reader may know of judgements on an undecided incident."""
    judgement = record["judgement"]
    if judgement is not None and judgement["waits"]:
        told = f"one person has judged: a second one judges, or from {judgement['alone_from']} on a lead alone"
        table.add("judged", told)
        if "outcome" in judgement:
            table.add("", judgement_line(judgement))
    elif judgement is not None:
        table.add("judged", f"the first judgement {_SET_ASIDE}")
    for one in record.get("judgements", ()):
        table.add("judged", judgement_line(one))


def judgement_line(one: dict[str, Any]) -> str:
    """A person's judgement on one line."""
    category = f" {one['category']}" if "category" in one else ""
    note = f": {one['note']}" if one["note"] else ""
    proved = "" if one["verified"] else " (unverified)"
    return f"{one['judged']}  {one['outcome']}{category}, by {one['by']}{proved}{note}"
