"""What the demo shows: the stream's record as a table, and one line for each escalation."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

STATE_STYLES = {"live": "bold green", "waiting": "cyan", "ended": "dim", "removed": "dim"}
SEVERITY_STYLES = {"critical": "bold white on red", "high": "bold red", "review": "yellow"}
BAR_CELLS = 24


def stream_table(record: Mapping[str, Any] | None) -> Table:
    """The record of `worker.status.show` as a table; None: the stream has not been registered yet."""
    table = Table(title="Live streams being watched", title_justify="left", title_style="bold", expand=False)
    for heading, justify in (
        ("Stream", "left"),
        ("State", "left"),
        ("Segments", "right"),
        ("Samples", "right"),
        ("Coverage", "left"),
        ("Lag", "right"),
        ("Last scores", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=heading != "Last scores")  # type: ignore[arg-type]
    if record is None:
        table.add_row("…", Text("registering", style="dim"), "", "", "", "", "")
        return table
    counts = record["counts"]
    state = str(record["state"])
    table.add_row(
        record["stream_id"],
        Text(state, style=STATE_STYLES.get(state, "bold yellow")),
        str(counts.get("segments", 0)),
        str(counts.get("samples", 0)),
        coverage(record),
        "–" if record["lag_seconds"] is None else f"{record['lag_seconds']:.1f} s",
        "  ".join(f"{name} {score:.3f}" for name, score in sorted(record["last_scores"].items())) or "–",
    )
    return table


def coverage(record: Mapping[str, Any]) -> Text:
    """A bar of what became of the seconds seen so far: moderated, under way, not moderated."""
    elapsed = record["elapsed_seconds"]
    if elapsed <= 0:
        return Text("–")
    moderated, pending = record["moderated_seconds"], record["pending_seconds"]
    done_cells = round(BAR_CELLS * min(1.0, moderated / elapsed))
    pending_cells = min(BAR_CELLS - done_cells, round(BAR_CELLS * pending / elapsed))
    text = Text()
    text.append("━" * done_cells, style="green")
    text.append("━" * pending_cells, style="cyan")
    text.append("━" * (BAR_CELLS - done_cells - pending_cells), style="red")
    text.append(f" {moderated:.0f} of {elapsed:.0f} s")
    if pending:
        text.append(f", {pending:.0f} s under way", style="cyan")
    return text


def escalation_line(event: Mapping[str, Any]) -> Text:
    """An escalation on one line: when it was published, how severe, what and why."""
    data = event["data"]
    severity = str(data["severity"])
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{str(event['time'])[11:19]} ", style="dim")
    line.append(f" {severity.upper()} ", style=SEVERITY_STYLES.get(severity, "bold"))
    kind = str(event["type"]).removeprefix("livewarden.escalation.").partition(".")[0]
    line.append(f" {kind}: stream {data['stream_id']}, rule {data['rule']}")
    if data["matches"]:
        nearest = min(data["matches"], key=lambda match: match["distance"])
        line.append(f", list {nearest['list']} at distance {nearest['distance']}")
    if data["drill"]:
        line.append(" (a drill)", style="dim")
    return line
