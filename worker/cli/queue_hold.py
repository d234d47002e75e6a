"""`livewarden queue show`: one incident, by its id or the beginning of it."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.json_lines import print_json
from worker.cli.options import Json, acting_person
from worker.cli.queue_judging import add_judgements, judgement_line
from worker.cli.queue_view import incident_table, span

if TYPE_CHECKING:
    from redis import Redis

    from config.settings import Settings
    from worker.tables.field_table import FieldTable

app = typer.Typer()

By = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Who you are; where there is a roster, this needs your token.")
]
IncidentId = Annotated[
    str, typer.Argument(metavar="INCIDENT", help="data.incident_id of its events, or at least the first 4 characters.")
]


def queue_settings() -> "Settings":
    """The settings of this process."""
    from worker.runtime.environment import settings_of

    return settings_of(os.environ)


def queue_redis() -> "Redis":
    """The Redis that the settings name."""
    from worker.store.redis_client import connect

    return connect(queue_settings().redis_url.get_secret_value())


@app.command()
def show(
    incident: IncidentId,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who you are: judgements that wait are not everybody's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the record of an incident, whoever holds it; of a decided one as long as it is kept.

    Takes no incident and renews no lease. With --by also your own judgement that waits for a second person, and for a
    lead two that do not agree.
    """
    from worker.queue.lookup import find_incident
    from worker.queue.record import describe_incident

    redis = queue_redis()
    viewer = None if by is None else acting_person(redis, by)
    record = describe_incident(redis, find_incident(redis, incident), viewer=viewer)
    if as_json:
        print_json(record)
    else:
        _print_page(record)


def _print_page(record: dict[str, Any]) -> None:
    """Prints an incident for people: labels only, no picture."""
    from rich.text import Text

    from worker.cli.screen import Screen

    event = record["event"]
    table = _plain_table(record) if event is None else incident_table(event["data"])
    table.add("state", Text(_state(record), style="bold"))
    if record["ended"] is not None:
        table.add("ended", f"{record['ended']}: {record['end_reason']}")
    if record["changed"]:
        table.add("", Text(f"changed since {record['holder']} took it", style="yellow"))
    if record["holder"] is not None:
        table.add("lease", f"until {record['lease_until']}, another {span(record['lease_seconds'])}")
    if (hold := record["hold"]) is not None:
        table.add("kept", f"until {hold['until']}: {hold['why']}")
    if (handed := record["handed"]) is not None:
        note = f": {handed['note']}" if handed["note"] else ""
        table.add("handed over", f"{handed['at']} by {handed['by']} to {handed['to']}{note}")
    if (asked := record["help"]) is not None:
        table.add("help", f"{asked['at']} {asked['by']} asks: {asked['what']}")
    for one in record["published"]:
        kind = str(one["type"]).removeprefix("livewarden.escalation.").removesuffix(".v1")
        table.add("published", f"{one['published']}  {kind}, {one['severity']}")
    for one in record["decisions"]:
        was = "" if one["previous_outcome"] is None else f", was {one['previous_outcome']}"
        note = f": {one['note']}" if one["note"] else ""
        proved = "" if one["verified"] else " (unverified)"
        line = f"{one['decided']}  {one['outcome']}{was}, by {one['decided_by']}{proved}{note}"
        table.add("decided", line)
        if "category" in one:
            table.add("category", one["category"])
        if one.get("actions"):
            table.add("asked", ", ".join(one["actions"]))
        for judged in one.get("judgements", ()):
            table.add("judged", judgement_line(judged))
    add_judgements(table, record)
    if record["kept_until"] is not None:
        table.add("kept until", record["kept_until"])
    Screen().print(table)


def _state(record: dict[str, Any]) -> str:
    if record["decisions"]:
        return f"decided: {record['decisions'][-1]['outcome']}"
    if record["holder"] is not None:
        return f"held by {record['holder']}"
    return "open, held by nobody"


def _plain_table(record: dict[str, Any]) -> "FieldTable":
    """The fields that are known where its newest event cannot be read."""
    from worker.tables.field_table import FieldTable

    table = FieldTable()
    for heading in ("incident_id", "severity", "stream_id", "rule", "raised"):
        table.add(heading.removesuffix("_id"), str(record[heading]))
    return table
