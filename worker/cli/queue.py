"""`livewarden queue`: what moderators do at a terminal, and what scripts do for them."""

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.printable import printable

if TYPE_CHECKING:
    from redis import Redis
    from rich.text import Text

    from config.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Take incidents, decide them, and follow the queue.")

NOTHING_TO_TAKE = 3
"""Exit status of `queue next`."""
_COLOURS = {"critical": "bold red", "high": "bold yellow", "review": "cyan"}

By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who you are; recorded with what you do.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout, and nothing else.")]


@app.command("next")
def next_(
    by: By,
    wait: Annotated[float, typer.Option(metavar="S", min=0, help="Seconds to wait for something to take.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Take the next incident: critical, then high, then review, of these the oldest.

    It is held for you for 10 minutes. Status 3: there is nothing to take.
    """
    from worker.queue.taking import take_or_wait

    taken = take_or_wait(_redis(), by, wait_seconds=wait)
    if taken is None:
        typer.echo("nothing to take", err=True)
        raise typer.Exit(NOTHING_TO_TAKE)
    if as_json:
        typer.echo(taken.event)
    else:
        _show_incident(json.loads(taken.event))


@app.command()
def decide(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="data.incident_id of its events.")],
    outcome: Annotated[
        str,
        typer.Argument(
            metavar="OUTCOME",
            help="csea_apparent, csea_suspected, child_at_risk, adult_tos, other_harm, harmless or cannot_judge.",
        ),
    ],
    by: By,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; up to 2,000 characters.")] = "",
    as_json: Json = False,
) -> None:
    """Record what you found, publish it, and close the incident for everybody."""
    from worker import decisions

    settings = _settings()
    decision = decisions.decide(_redis(), incident, outcome, by=by, note=note, deployment=settings.deployment)
    if as_json:
        typer.echo(decision.event)
    else:
        typer.echo(f"{decision.incident_id} on {decision.stream_id} ({decision.rule}): {decision.outcome}")


@app.command()
def watch(
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest that is kept.")] = False,
    as_json: Json = False,
) -> None:
    """Follow what is published, without taking anything, until Ctrl-C."""
    from worker.cli.screen import Screen
    from worker.queue.taking import follow

    console = Screen()
    try:
        for entry in follow(_redis(), from_start=from_start):
            if as_json:
                typer.echo(entry.event)
            else:
                console.print(_row(json.loads(entry.event)))
    except KeyboardInterrupt:
        return


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the incidents that nobody has decided, in the order in which they are taken."""
    from dataclasses import asdict

    from rich.table import Table
    from rich.text import Text

    from worker.cli.screen import Screen, badge
    from worker.queue.taking import open_incidents

    incidents = open_incidents(_redis())
    if as_json:
        for incident in incidents:
            typer.echo(json.dumps(asdict(incident)))
        return
    if not incidents:
        typer.echo("no open incidents")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("severity", "incident", "age", "hits"):
        table.add_column(heading, no_wrap=True)  # an incident's ID is typed by people: all of it
    for heading in ("stream", "rule", "held by"):
        table.add_column(heading, overflow="fold")
    for incident in incidents:
        held = f"{incident.holder} for {_span(incident.lease_seconds)}" if incident.holder else ""
        table.add_row(
            _severity(incident.severity),
            incident.incident_id,
            _span(incident.age_seconds),
            str(incident.hits),
            Text(incident.stream_id) + _others(incident.streams) + badge(incident.purpose),
            incident.rule,
            Text(printable(held)),
        )
    Screen().print(table)


def _settings() -> "Settings":
    from worker.environment import settings_of

    return settings_of(os.environ)


def _redis() -> "Redis":
    from worker.redisdb import connect

    return connect(_settings().redis_url.get_secret_value())


def _row(event: dict[str, Any]) -> "Text":
    """One line of `watch`: time, what happened, severity, incident, stream, rule."""
    from rich.text import Text

    from worker.cli.screen import badge

    data = event["data"]
    what = event["type"].removeprefix("livewarden.escalation.").removesuffix(".v1")
    if "outcome" in data:
        what = f"{what}: {data['outcome']}"
    return Text("  ").join(
        [
            Text(data["times"]["published"], style="dim"),
            _severity(data["severity"]),
            Text(f"{what:<8}"),
            Text(data["incident_id"]),
            Text(data["stream_id"]) + _others(data.get("streams_total", 1)) + badge(data["purpose"]),
            Text(data["rule"]),
        ]
    )


def _show_incident(event: dict[str, Any]) -> None:
    """An incident as a person reads it: labels only, no picture."""
    from rich.table import Table
    from rich.text import Text

    from worker.cli.screen import Screen, badge

    data = event["data"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("incident", data["incident_id"])
    table.add_row("severity", _severity(data["severity"]))
    table.add_row("stream", Text(data["stream_id"]) + badge(data["purpose"]))
    if "streams" in data:
        table.add_row("streams", Text(f"{data['streams_total']}: {', '.join(data['streams'])}"))
    table.add_row("rule", Text(data["rule"]))
    if "needs_role" in data:
        table.add_row("for", Text(f"a {data['needs_role']}", style="bold"))
    for match in data["matches"]:
        table.add_row("match", Text(printable(_match(match))))
    for name, score in data["scores"].items():
        table.add_row("score", Text(f"{printable(name)} {score:.3f}"))
    times = data["times"]
    if "gap" in data:
        table.add_row("not seen", Text(f"since {data['gap']['since']}: {printable(data['gap']['reason'])}"))
    else:
        table.add_row("seen", f"{times['captured_first']} to {times['captured_last']}, {data['hits']} pictures")
    table.add_row("raised", times["raised"])
    if data["degraded"]:
        table.add_row("degraded", Text(printable(", ".join(data["degraded"])), style="yellow"))
    console = Screen()
    console.print(table)
    console.print(Text(f"\nlivewarden queue decide {data['incident_id']} OUTCOME --by NAME", style="dim"))


def _match(match: dict[str, Any]) -> str:
    parts = [f"list {match['list']}, entry {match['entry']}, distance {match['distance']}"]
    if "variant" in match:
        parts.append({"mirror": "mirrored", "rotate": "rotated", "crop": "without its bars"}[match["variant"]])
    if "video" in match:
        parts.append(f"video {match['video']}" + (f" at {match['seconds']:g} s" if "seconds" in match else ""))
    if "allowed" in match:
        parts.append("allowed by a lead")
    if "tags" in match:
        parts.append(f"tags {', '.join(match['tags'])}")
    return ", ".join(parts)


def _severity(severity: str) -> "Text":
    from rich.text import Text

    return Text(f"{severity:<8}", style=_COLOURS[severity])


def _others(streams: int) -> "Text":
    """Of a group: how many streams there are beside the one that is shown."""
    from rich.text import Text

    return Text() if streams == 1 else Text(f" and {streams - 1} more", style="bold")


def _span(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
