"""The result of a scan as tables for people."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from config.counts import counted
from config.facts import Severity
from worker.logs.printable import printable
from worker.moderation.verdict import SampleVerdict
from worker.scan.result import ScanFinding, ScanResult, UnmoderatedStretch
from worker.tables.field_table import FieldTable
from worker.tables.lines import blocks
from worker.tables.listing import Listing, fixed, ids, numbers, texts

MAX_SAMPLES = 40
"""Rows of the table of samples: a screen or two; all of them are in `--json`."""

MAX_NAMED = 8
"""Renditions that are named as not scanned; all of them are in `--json`."""

_STYLES = {Severity.CRITICAL: "bold red", Severity.HIGH: "red", Severity.REVIEW: "yellow"}


def report(result: ScanResult, findings: Sequence[ScanFinding], media: str) -> RenderableType:
    """Findings, then unmoderated time, samples and the summary."""
    unseen = list(_unseen(result))
    return blocks(
        _findings(findings),
        *([Text("\n").join(unseen)] if unseen else []),
        _samples(result.samples),
        _summary(result, findings, media),
    )


def unseen_lines(unseen: Sequence[UnmoderatedStretch]) -> Iterator[str]:
    """One line for each part and reason: the unmoderated time, and why."""
    seconds: dict[tuple[str, str, str], float] = {}
    for one in unseen:
        key = (one.part, one.stretch.reason, one.detail)
        seconds[key] = seconds.get(key, 0.0) + one.stretch.seconds
    for (part, reason, detail), total in seconds.items():
        text = detail.removeprefix(f"{part}: ")
        yield f"{part}: {f'{total:.2f} s ' if total else ''}unmoderated: {reason}{f' ({text})' if text else ''}"


def other_lines(result: ScanResult) -> Iterator[str]:
    """A line on what players may show in place of what was scanned; none where that is all there is."""
    names = result.not_scanned
    if names:
        more = len(names) - MAX_NAMED
        shown = [*names[:MAX_NAMED], *([f"{more:,} more"] if more > 0 else [])]
        yield f"rendition {result.rendition} is scanned alone; the others are not: {', '.join(shown)}"


def _samples(samples: Sequence[SampleVerdict]) -> Listing:
    shown = _shown(samples)
    left_out = len(samples) - len(shown)
    table = Listing(
        numbers("at"),
        fixed("reason"),
        numbers("PDQ quality"),
        ids("matches"),
        texts("scores"),
        title="Samples",
        note=f"{left_out:,} more without a hit are left out; --json prints all" if left_out else "",
        left_out_first=("PDQ quality", "reason"),
    )
    for sample in shown:
        notes = [str(sample.reason)]
        notes += [sample.flat] if sample.flat else []
        notes += ["repeated"] if sample.deduplicated else []
        matches = ", ".join(f"{match.list}/{match.entry} at {match.distance}" for match in sample.nearest)
        scores = ", ".join(f"{name} {score:.3f}" for name, score in sample.scores.items())
        quality = str(sample.pdq_quality) if sample.pdq is not None else f"{sample.pdq_quality}, unhashable"
        style = "red" if sample.hits else ""
        table.add(f"{sample.pts_seconds:.2f} s", ", ".join(notes), quality, matches, scores, style=style)
    return table


def _shown(samples: Sequence[SampleVerdict]) -> list[SampleVerdict]:
    """At most `MAX_SAMPLES`, those with a hit before others; by time."""
    ranked = sorted(range(len(samples)), key=lambda index: (not samples[index].hits, index))
    return [samples[index] for index in sorted(ranked[:MAX_SAMPLES])]


def _findings(findings: Sequence[ScanFinding]) -> RenderableType:
    if not findings:
        return Text("No findings.", style="bold green")
    table = Listing(numbers("at"), fixed("severity"), ids("rule"), title="Findings")
    for finding in findings:
        severity = Text(str(finding.severity), _STYLES[finding.severity])
        table.add(f"{finding.pts_seconds:.2f} s", severity, finding.rule)
    return table


def _unseen(result: ScanResult) -> Iterator[Text]:
    for line in unseen_lines(result.unseen):
        yield Text(printable(line), style="yellow")
    for line in other_lines(result):
        yield Text(f"{line[0].upper()}{line[1:]}", style="yellow")
    for problem in sorted(result.degraded):
        yield Text(printable(f"Degraded: {problem}"), style="yellow")


def _summary(result: ScanResult, findings: Sequence[ScanFinding], media: str) -> FieldTable:
    summary = result.summary()
    cpu = summary["cpu_seconds"]
    table = FieldTable(title="Summary")
    table.add("media", media)
    table.add("findings", Text(f"{len(findings):,}", "bold red" if findings else ""))
    for match in result.file_matches:
        table.add("this very file", Text(f"{match.list}/{match.entry}", style="bold red"))
    table.add("duration", f"{summary['duration_seconds']:.2f} s")
    table.add("unmoderated", f"{summary['unmoderated_seconds']:.2f} s")
    table.add("pictures", f"{summary['frames_total']:,}, of which {summary['frames_decoded']:,} decoded")
    table.add("samples", f"{summary['samples']:,}, at most {summary['max_gap_seconds']:.2f} s apart")
    stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in cpu.items() if stage != "total")
    for model, counts in summary["models"].items():
        line = Text(f"classified {counts['classified']:,}, skipped {counts['skipped']:,}, {counts['cpu_ms']} ms")
        if counts["failed"]:
            line.append(f", failed on {counted(counts['failed'], 'picture')}", "bold red")
        table.add(model, line)
    table.add("CPU", f"{cpu['total']:.2f} s ({stages})")
    return table
