"""Output of the demo: the stream's record as a table, and one line for each escalation."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from worker.tables.field_table import FieldTable

STATE_STYLES = {"live": "bold green", "waiting": "cyan", "ended": "dim", "removed": "dim"}
SEVERITY_STYLES = {"critical": "bold white on red", "high": "bold red", "review": "yellow"}
BAR_CELLS = 24
NOTHING_YET = "–"


def stream_table(record: Mapping[str, Any] | None) -> Group:
    """The record of `worker.ingest.status.stream_status` as a table; None: the stream has not been registered yet."""
    table = FieldTable()
    if record is None:
        table.add("state", Text("registering", style="cyan"))
        return _below(table)
    counts, state, lag_seconds = record["counts"], str(record["state"]), record["lag_seconds"]
    scores = sorted(record["last_scores"].items())
    table.add("stream", Text(record["stream_id"], style="bold"))
    table.add("state", Text(state, style=STATE_STYLES.get(state, "bold yellow")))
    table.add("segments", str(counts.get("segments", 0)))
    table.add("samples", str(counts.get("samples", 0)))
    table.add("coverage", coverage(record))
    table.add("lag", NOTHING_YET if lag_seconds is None else f"{lag_seconds:.1f} s")
    table.add("last scores", ", ".join(f"{name} {score:.3f}" for name, score in scores) or NOTHING_YET)
    return _below(table)


def _below(table: FieldTable) -> Group:
    """Keeps a line between the table and what was printed above it."""
    return Group(Text(), table)


def coverage(record: Mapping[str, Any]) -> Text:
    """A bar of the coverage so far: moderated, pending, and the rest in red."""
    elapsed = record["elapsed_seconds"]
    if elapsed <= 0:
        return Text(NOTHING_YET)
    moderated, pending = record["moderated_seconds"], record["pending_seconds"]
    done_cells = round(BAR_CELLS * min(1.0, moderated / elapsed))
    pending_cells = min(BAR_CELLS - done_cells, round(BAR_CELLS * pending / elapsed))
    bar = Text(no_wrap=True, overflow="ellipsis")
    bar.append("━" * done_cells, style="green")
    bar.append("━" * pending_cells, style="cyan")
    bar.append("━" * (BAR_CELLS - done_cells - pending_cells), style="red")
    bar.append(f" {moderated:.0f} of {elapsed:.0f} s moderated")
    if pending:
        bar.append(f", {pending:.0f} s pending", style="cyan")
    return bar


def escalation_line(event: Mapping[str, Any]) -> Text:
    """An escalation on one line: time, severity, type, stream, rule and nearest match."""
    data = event["data"]
    severity = str(data["severity"])
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{str(event['time'])[11:19]} ", style="dim")
    line.append(f" {severity.upper()} ", style=SEVERITY_STYLES.get(severity, "bold"))
    kind = str(event["type"]).removeprefix("livewarden.escalation.").partition(".")[0]
    line.append(f" {kind} on {data['stream_id']} by {data['rule']}")
    if data["matches"]:
        nearest = min(data["matches"], key=lambda match: match["distance"])
        line.append(f": {nearest['list']} at distance {nearest['distance']}")
    if data["drill"]:
        line.append(" (drill)", style="dim")
    return line
