"""`livewarden queue list`: what waits, in the order in which it is taken."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from worker.cli.json_lines import print_json
from worker.cli.options import Json
from worker.cli.queue_hold import queue_redis, queue_settings
from worker.cli.queue_view import others_text, severity_text, span

if TYPE_CHECKING:
    from worker.queue.queue_listing import ListedIncident

app = typer.Typer()


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the open incidents in the order in which their cases are taken: live first, then the more severe.

    Who holds what, how long a case waits and how long it may, and what nobody can be given.
    """
    from worker.queue.aside import aside_lines, entries_aside, unreadable_incidents
    from worker.queue.case_order import LongestWaits
    from worker.queue.queue_listing import listed_incidents

    redis = queue_redis()
    listed = listed_incidents(redis, LongestWaits.of(queue_settings()))
    if as_json:
        print_json(*map(_record, listed))
    elif not listed:
        typer.echo("no open incidents")
    else:
        _print_table(listed)
    for line in aside_lines(entries_aside(redis), len(unreadable_incidents(redis))):
        typer.echo(line, err=True)


def _record(one: "ListedIncident") -> dict[str, Any]:
    case = one.case
    return asdict(one.incident) | {
        "live": case.live,
        "waited_seconds": one.waited_seconds,
        "longest_wait_seconds": one.longest_wait_seconds,
        "past_wait": one.past_wait,
        "hold_why": case.hold_why,
        "handed_to": case.handed_to,
        "help": case.help,
        "help_by": case.help_by,
    }


def _print_table(listed: "list[ListedIncident]") -> None:
    from rich.text import Text

    from worker.cli.screen import Screen, badge
    from worker.tables.listing import Listing, fixed, ids, numbers, texts

    table = Listing(
        fixed("severity"),
        ids("incident"),
        numbers("waits"),
        numbers("hits"),
        ids("stream"),
        ids("rule"),
        texts("state"),
        left_out_first=("hits", "waits", "rule"),
    )
    for one in listed:
        incident = one.incident
        table.add(
            severity_text(incident.severity),
            incident.incident_id,
            span(one.waited_seconds),
            str(incident.hits),
            Text(incident.stream_id) + others_text(incident.streams) + badge(incident.purpose),
            incident.rule,
            state_words(one),
        )
    Screen().print(table)


def state_words(one: "ListedIncident") -> str:
    """Everything that is said of an incident, in words."""
    incident, case = one.incident, one.case
    words = [] if case.live else ["ended"]
    if incident.holder:
        words.append(f"held by {incident.holder} for {span(incident.lease_seconds)}")
        words += [f"kept: {case.hold_why}"] if case.hold_why else []
        words += [f"waits for {case.handed_to}"] if case.handed_to else []
    elif incident.needs_role == "lead":
        words.append("nobody: for a lead")
    elif incident.judged:
        words.append("nobody: for a second person")
    if one.past_wait:
        words.append(f"past its wait of {span(one.longest_wait_seconds)}")
    if case.help:
        words.append(f"{case.help_by} asks: {case.help}")
    return "; ".join(words)
