"""Incidents for people: labels only, no picture."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from config.counts import counted

if TYPE_CHECKING:
    from rich.text import Text

    from worker.people.actor import Actor
    from worker.queue.claims import Claim
    from worker.queue.open_incidents import OpenIncident
    from worker.tables.field_table import FieldTable

SHOWN_PICTURES = 4
"""References that are shown of an incident's pictures; `livewarden evidence list` shows all, also later ones."""

_COLOURS = {"critical": "bold red", "high": "bold yellow", "review": "cyan"}


def incident_table(data: dict[str, Any]) -> "FieldTable":
    """An incident, from the `data` of an escalation event."""
    from rich.text import Text

    from worker.cli.screen import badge
    from worker.tables.field_table import FieldTable

    table = FieldTable()
    table.add("incident", data["incident_id"])
    table.add("severity", severity_text(data["severity"]))
    table.add("stream", Text(data["stream_id"]) + badge(data["purpose"]))
    if "streams" in data:
        table.add("streams", f"{data['streams_total']}: {', '.join(data['streams'])}")
    table.add("rule", data["rule"])
    if "case_id" in data:
        table.add("case", data["case_id"])
    if "predecessor" in data:
        table.add("follows", data["predecessor"])
    if "needs_role" in data:
        table.add("for", Text(f"a {data['needs_role']}", style="bold"))
    if data.get("ask") == "phone":
        table.add(
            "call", Text("the platform's emergency contact or the police, now: Livewarden calls nobody", "bold red")
        )
    for match in data["matches"]:
        table.add("match", _match(match))
    for name, score in data["scores"].items():
        table.add("score", f"{name} {score:.3f}")
    _add_context(table, data)
    times = data["times"]
    if "signal" in data:
        table.add("reported", f"{data['signal']['name']}, {data['signal']['reported']}")
    elif "gap" in data:
        table.add("not seen", f"since {data['gap']['since']}: {data['gap']['reason']}")
    else:
        table.add("seen", f"{times['captured_first']} to {times['captured_last']}, {counted(data['hits'], 'picture')}")
        if rendition := data.get("segment", {}).get("rendition"):
            table.add("rendition", f"{rendition}, which is not watched: a sample of it showed this")
    table.add("raised", times["raised"])
    if "taken" in times:
        table.add("taken", times["taken"])
    if data["degraded"]:
        table.add("degraded", Text(", ".join(data["degraded"]), style="yellow"))
    return table


def _add_context(table: "FieldTable", data: dict[str, Any]) -> None:
    """Adds what is known of the stream beside the finding, and the pictures that the event names."""
    from worker.events.cloudevent import rfc3339

    if "risk" in data:
        table.add("risk", f"{data['risk']:.2f}")
    for name, value in data.get("signals", {}).items():
        table.add("signal", f"{name} {value:g}")
    for one in data.get("earlier_decisions", ()):
        table.add("earlier", f"{one['outcome']}, rule {one['rule']}, {one['decided']}")
    named = data.get("evidence", ())
    for one in named[:SHOWN_PICTURES]:
        table.add("evidence", f"{one['ref']}  {one['kind']}, {rfc3339(one['capture_ms'])}")
    if len(named) > SHOWN_PICTURES:
        table.add("", f"and {len(named) - SHOWN_PICTURES} more")
    if "evidence_none" in data:
        table.add("evidence", f"none: {data['evidence_none']}")


def print_incident(event: dict[str, Any]) -> None:
    """Prints what a person has taken, and the commands for it."""
    from rich.text import Text

    from worker.cli.screen import Screen

    data = event["data"]
    console = Screen()
    console.print(incident_table(data))
    console.print()
    if listed := evidence_line(data):
        console.print(Text(listed, style="dim"))
    console.print(Text(f"livewarden queue decide {data['incident_id']} OUTCOME --by NAME", style="dim"))


def evidence_line(data: dict[str, Any]) -> str:
    """Command that lists the pictures of an incident, also those of later looks; empty for an event of an older
    version."""
    return f"livewarden evidence list {data['incident_id']}" if "evidence" in data else ""


def _match(match: dict[str, Any]) -> str:
    from worker.queue.case_words import VARIANTS

    parts = [f"list {match['list']}, entry {match['entry']}, distance {match['distance']}"]
    if "variant" in match:
        parts.append(VARIANTS.get(match["variant"], match["variant"]))
    if "video" in match:
        parts.append(f"video {match['video']}" + (f" at {match['seconds']:g} s" if "seconds" in match else ""))
    if "allowed" in match:
        parts.append("allowed by a lead")
    if "tags" in match:
        parts.append(f"tags {', '.join(match['tags'])}")
    return ", ".join(parts)


def nothing_text(actor: "Actor", waiting: Sequence["OpenIncident"]) -> str:
    """Line for a person to whom no incident is given; with what waits for a lead, if the person is none."""
    for_lead = sum(one.needs_role == "lead" and one.holder is None for one in waiting)
    if not actor.verified or actor.role == "lead" or not for_lead:
        return "nothing to take"
    return f"nothing to take; {counted(for_lead, 'incident', 'wait')} for a lead"


def held_lines(claim: "Claim") -> Iterator[str]:
    """Lines that name the other incidents that a person holds, those of the same case first."""
    for one in claim.in_case:
        data = json.loads(one.event)["data"]
        yield f"of the same case: {one.incident_id}, {data['severity']}, rule {data['rule']}"
    with_it = {one.incident_id for one in claim.in_case}
    for other in claim.others:
        if other not in with_it:
            yield f"you also hold {other}"


def severity_text(severity: str) -> "Text":
    """A severity in its colour, as wide as the longest."""
    from rich.text import Text

    return Text(f"{severity:<8}", style=_COLOURS[severity])


def others_text(streams: int) -> "Text":
    """The number of streams of a group beside the one that is shown."""
    from rich.text import Text

    return Text() if streams == 1 else Text(f" and {streams - 1} more", style="bold")


def span(seconds: float) -> str:
    """A duration, to the second."""
    return str(timedelta(seconds=int(seconds)))
