"""What a replay says, as tables for people."""

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from worker.events import rfc3339
from worker.replay.comparison import Change, Compared
from worker.replay.replaying import ReplayResult

MAX_STREAMS, MAX_INCIDENTS = 15, 25
"""Rows of the tables of streams and of incidents: a screen each; all of them are in `--json`."""

_STYLES = {Change.NEW: "red", Change.GONE: "green", Change.MOVED: "yellow", Change.SHADOW: "magenta"}
_TOLD = {
    Change.NEW: "only by this policy",
    Change.GONE: "only then",
    Change.MOVED: "for another segment",
    Change.SHADOW: "if it were live",
}


def report(result: ReplayResult) -> RenderableType:
    """Tables by rule, by stream and by incident, and what was gone through."""
    return Group(_rules(result), *_streams(result), *_incidents(result), *_summary(result))


def _rules(result: ReplayResult) -> Table:
    table = Table(title="Incidents by rule", title_justify="left")
    table.add_column("rule")
    table.add_column("mode")
    for heading in ("was", "would be", "same", "moved", "new", "gone", "given", "streams", "pictures"):
        table.add_column(heading, justify="right")
    for tally in result.tallies:
        counts = (tally.changes[change] for change in (Change.SAME, Change.MOVED))
        table.add_row(
            Text(tally.rule),
            tally.mode or "not in it",
            str(tally.was),
            Text(str(tally.would_be), "magenta" if tally.mode == "shadow" else "bold"),
            *map(str, counts),
            Text(str(tally.changes[Change.NEW]), "red" if tally.changes[Change.NEW] else ""),
            Text(str(tally.changes[Change.GONE]), "green" if tally.changes[Change.GONE] else ""),
            str(tally.changes[Change.GIVEN]),
            f"{len(tally.streams_was)} → {len(tally.streams_would)}",
            str(tally.hits),
        )
    return table


def _streams(result: ReplayResult) -> Iterator[RenderableType]:
    changed: dict[str, Counter[Change]] = {}
    for one in result.compared:
        changed.setdefault(one.stream_id, Counter())[one.change] += 1
    ranked = sorted(changed.items(), key=lambda item: (-sum(item[1][change] for change in _STYLES), item[0]))
    shown = [(stream, counts) for stream, counts in ranked if any(counts[change] for change in _STYLES)]
    if not shown:
        return
    left_out = len(shown) - MAX_STREAMS
    caption = f"{left_out} more are left out; --json prints all" if left_out > 0 else None
    table = Table(title="Streams that differ", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("stream", overflow="fold")
    for change in (Change.SAME, *_STYLES):
        table.add_column(str(change), justify="right")
    for stream, counts in shown[:MAX_STREAMS]:
        cells = [Text(str(counts[change]), style if counts[change] else "") for change, style in _STYLES.items()]
        table.add_row(Text(stream), str(counts[Change.SAME]), *cells)
    yield table


def _incidents(result: ReplayResult) -> Iterator[RenderableType]:
    differing = [one for one in result.compared if one.change in _STYLES]
    if not differing:
        yield Text("No incident differs.", style="bold green")
        return
    left_out = len(differing) - MAX_INCIDENTS
    caption = f"{left_out} more are left out; --json prints all" if left_out > 0 else None
    table = Table(title="Incidents that differ", title_justify="left", caption=caption, caption_justify="left")
    for heading in ("captured, UTC", "stream", "rule", "was", "would be", ""):
        table.add_column(heading, overflow="fold")
    for one in differing[:MAX_INCIDENTS]:
        table.add_row(*_cells(one))
    yield table


def _cells(one: Compared) -> tuple[str | Text, ...]:
    was = "" if one.was is None else str(one.was.severity)
    would = "" if one.would is None else str(one.would.severity)
    decided = "" if one.was is None or one.was.outcome is None else f", decided {one.was.outcome}"
    return (
        rfc3339(one.captured_ms)[:19].replace("T", " "),
        Text(one.stream_id),
        Text(one.rule),
        was,
        would,
        Text(f"{_TOLD[one.change]}{decided}", _STYLES[one.change]),
    )


def _summary(result: ReplayResult) -> Iterator[RenderableType]:
    times = result.times
    yield Text(
        f"Policy {result.policy.version} over what was settled from {rfc3339(times.since_ms)[:19]}Z "
        f"to {rfc3339(times.until_ms)[:19]}Z: {result.rows} pictures, {result.segments} segments, "
        f"{result.streams} streams."
    )
    for version, pictures in sorted(result.policies.items()):
        yield Text(f"In force then: policy {version}, for {pictures} pictures.")
    given = result.changes()[Change.GIVEN]
    if given:
        yield Text(
            f"{given} incidents are taken as they were: floods, found by looking back, or of pictures that are lost."
        )
    if result.rows == 0:
        yield Text("Nothing was logged in that time.", style="yellow")
