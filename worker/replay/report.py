"""What a replay says, as tables for people."""

from collections import Counter
from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from worker.cloudevent import rfc3339
from worker.replay.comparison import Change, Compared, RuleTally
from worker.replay.replaying import ReplayResult

MAX_STREAMS, MAX_INCIDENTS = 15, 25
"""Rows of the tables of streams and of incidents: a screen each; all of them are in `--json`."""

_STYLES = {Change.NEW: "red", Change.GONE: "green", Change.MOVED: "yellow"}
"""Of what is another with this policy."""


def report(result: ReplayResult) -> RenderableType:
    """Tables by rule, by stream and by incident, and what was gone through."""
    differing = [one for one in result.compared if one.change in _STYLES]
    return Group(_rules(result), *_warnings(result), *_streams(differing), *_incidents(differing), *_summary(result))


def _table(title: str, *, left_out: int = 0) -> Table:
    caption = f"{left_out} more are left out; --json prints all" if left_out > 0 else None
    return Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
    )


def _rules(result: ReplayResult) -> Table:
    table = _table("Incidents by rule")
    table.add_column("rule", overflow="fold", min_width=22)
    for heading in ("was", "would be", "same", "moved", "new", "gone", "streams", "hits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for tally in result.tallies:
        counts = [Text(str(tally.changes[change]), _shown(tally, change)) for change in (Change.SAME, *_ORDER)]
        table.add_row(
            _rule(tally),
            str(tally.was),
            Text(str(tally.would_be), "magenta" if tally.mode == "shadow" else "bold"),
            *counts,
            f"{len(tally.streams_was)}→{len(tally.streams_would)}",
            str(tally.hits),
        )
    return table


def _warnings(result: ReplayResult) -> Iterator[Text]:
    for rule, text in result.warnings():
        yield Text(f"Rule {rule} {text}.", style="bold red")


_ORDER = (Change.MOVED, Change.NEW, Change.GONE)


def _shown(tally: RuleTally, change: Change) -> str:
    return _STYLES.get(change, "") if tally.changes[change] else "dim"


def _rule(tally: RuleTally) -> Text:
    note = {"live": "", "shadow": " (shadow)", "": " (not in it)"}[tally.mode]
    failed = f" (failed on {tally.failed:,})" if tally.failed else ""
    return Text.assemble(tally.rule, (note, "magenta"), (failed, "bold red"))


def _streams(differing: list[Compared]) -> Iterator[RenderableType]:
    changed: dict[str, Counter[Change]] = {}
    for one in differing:
        changed.setdefault(one.stream_id, Counter())[one.change] += 1
    if not changed:
        return
    ranked = sorted(changed.items(), key=lambda item: (-item[1].total(), item[0]))
    table = _table("Streams that differ most", left_out=len(ranked) - MAX_STREAMS)
    table.add_column("stream", overflow="fold")
    for change in _ORDER:
        table.add_column(str(change), justify="right", no_wrap=True)
    for stream, counts in ranked[:MAX_STREAMS]:
        cells = [Text(str(counts[change]), _STYLES[change] if counts[change] else "dim") for change in _ORDER]
        table.add_row(Text(stream), *cells)
    yield table


def _incidents(differing: list[Compared]) -> Iterator[RenderableType]:
    if not differing:
        return
    table = _table("Incidents that differ", left_out=len(differing) - MAX_INCIDENTS)
    table.add_column("captured, UTC", no_wrap=True)
    for heading in ("stream", "rule", "was", "would be", ""):
        table.add_column(heading, overflow="fold")
    for one in differing[:MAX_INCIDENTS]:
        table.add_row(
            rfc3339(one.captured_ms)[5:19].replace("T", " "),
            Text(one.stream_id),
            Text(one.rule),
            _was(one),
            "" if one.would is None else str(one.would.severity),
            Text(str(one.change), _STYLES[one.change]),
        )
    yield table


def _was(one: Compared) -> str:
    if one.was is None:
        return ""
    return str(one.was.severity) if one.was.outcome is None else f"{one.was.severity}, {one.was.outcome}"


def _summary(result: ReplayResult) -> Iterator[RenderableType]:
    if not result.rows:
        yield Text("Nothing was logged in that time.", style="yellow")
    elif not any(result.changes()[change] for change in _STYLES):
        yield Text("No incident differs.", style="bold green")
    times, changes = result.times, result.changes()
    yield Text(
        f"Policy {result.policy.version} over {result.rows:,} pictures of {result.segments:,} segments of "
        f"{result.streams:,} streams, settled from {rfc3339(times.since_ms)[:19]}Z to "
        f"{rfc3339(times.until_ms)[:19]}Z."
    )
    for version, pictures in sorted(result.policies.items()):
        yield Text(f"In force then: {version}, for {pictures:,} pictures.")
    if changes[Change.SHADOW]:
        yield Text(f"{changes[Change.SHADOW]} incidents of rules in shadow would be raised if these were live.")
    if changes[Change.GIVEN]:
        yield Text(
            f"{changes[Change.GIVEN]} incidents are taken as they were: floods, coverage gaps, found by looking back, "
            "or of pictures that are lost."
        )
