"""The result of a replay as tables for people."""

from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from config.counts import counted
from worker.events.cloudevent import rfc3339
from worker.replay.comparison import Compared, IncidentChange, RuleTally
from worker.replay.replaying import ReplayResult
from worker.tables.lines import blocks
from worker.tables.listing import Column, Listing, fixed, ids, numbers, texts

MAX_STREAMS, MAX_INCIDENTS = 15, 25
"""Rows of the tables of streams and of incidents: a screen each; all of them are in `--json`."""

_STYLES = {IncidentChange.NEW: "red", IncidentChange.GONE: "green", IncidentChange.MOVED: "yellow"}
"""Styles of the changes that make an incident differ."""


def report(result: ReplayResult) -> RenderableType:
    """Tables by rule, by stream and by incident, and the extent of the replay."""
    differing = [one for one in result.compared if one.change in _STYLES]
    notes = [*_warnings(result)]
    return blocks(
        _rules(result),
        *([Text("\n").join(notes)] if notes else []),
        *_streams(differing),
        *_incidents(differing),
        Text("\n").join(_summary(result)),
    )


def _listing(*columns: Column, title: str, left_out: int = 0, left_out_first: tuple[str, ...] = ()) -> Listing:
    note = f"{left_out:,} more are left out; --json prints all" if left_out > 0 else ""
    return Listing(*columns, title=title, note=note, left_out_first=left_out_first)


def _rules(result: ReplayResult) -> Listing:
    table = _listing(
        ids("rule"),
        *map(numbers, ("was", "would be", "same", "moved", "new", "gone", "streams", "hits")),
        title="Incidents by rule",
        left_out_first=("hits", "streams", "same", "moved"),
    )
    for tally in result.tallies:
        counts = [Text(str(tally.changes[change]), _shown(tally, change)) for change in (IncidentChange.SAME, *_ORDER)]
        table.add(
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


_ORDER = (IncidentChange.MOVED, IncidentChange.NEW, IncidentChange.GONE)


def _shown(tally: RuleTally, change: IncidentChange) -> str:
    return _STYLES.get(change, "") if tally.changes[change] else "dim"


def _rule(tally: RuleTally) -> Text:
    note = {"live": "", "shadow": " (shadow)", "": " (removed)"}[tally.mode]
    failed = f" (failed on {tally.failed:,})" if tally.failed else ""
    return Text.assemble(tally.rule, (note, "magenta"), (failed, "bold red"))


def _streams(differing: list[Compared]) -> Iterator[RenderableType]:
    changed: dict[str, Counter[IncidentChange]] = {}
    for one in differing:
        changed.setdefault(one.stream_id, Counter())[one.change] += 1
    if not changed:
        return
    ranked = sorted(changed.items(), key=lambda item: (-item[1].total(), item[0]))
    table = _listing(
        ids("stream"),
        *(numbers(str(change)) for change in _ORDER),
        title="Streams that differ most",
        left_out=len(ranked) - MAX_STREAMS,
    )
    for stream, counts in ranked[:MAX_STREAMS]:
        cells = [Text(str(counts[change]), _STYLES[change] if counts[change] else "dim") for change in _ORDER]
        table.add(stream, *cells)
    yield table


def _incidents(differing: list[Compared]) -> Iterator[RenderableType]:
    if not differing:
        return
    table = _listing(
        fixed("captured (UTC)"),
        fixed("change"),
        ids("stream"),
        ids("rule"),
        texts("was"),
        texts("would be"),
        title="Incidents that differ",
        left_out=len(differing) - MAX_INCIDENTS,
        left_out_first=("captured (UTC)", "would be", "was"),
    )
    for one in differing[:MAX_INCIDENTS]:
        table.add(
            rfc3339(one.captured_ms)[5:19].replace("T", " "),
            Text(str(one.change), _STYLES[one.change]),
            one.stream_id,
            one.rule,
            _was(one),
            "" if one.would is None else str(one.would.severity),
        )
    yield table


def _was(one: Compared) -> str:
    if one.was is None:
        return ""
    return str(one.was.severity) if one.was.outcome is None else f"{one.was.severity}, {one.was.outcome}"


def _summary(result: ReplayResult) -> Iterator[Text]:
    if not result.rows:
        yield Text("Nothing was logged in that time.", style="yellow")
    elif not any(result.changes()[change] for change in _STYLES):
        yield Text("No incident differs.", style="bold green")
    period, changes = result.period, result.changes()
    seen = ((result.rows, "picture"), (result.segments, "segment"), (result.streams, "stream"))
    yield Text(
        f"Policy {result.policy.version} over {' of '.join(counted(*one) for one in seen)}, settled from "
        f"{rfc3339(period.since_ms)[:19]}Z to {rfc3339(period.until_ms)[:19]}Z."
    )
    for version, pictures in sorted(result.policies.items()):
        yield Text(f"In force then: {version}, for {counted(pictures, 'picture')}.")
    if shadow := changes[IncidentChange.SHADOW]:
        yield Text(f"Raised if shadow rules were live: {counted(shadow, 'incident')}.")
    if given := changes[IncidentChange.GIVEN]:
        yield Text(
            f"Taken as they were: {counted(given, 'incident')}, of floods, coverage gaps, look-backs, or lost pictures."
        )
