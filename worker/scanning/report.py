"""What a scan found, as tables for people."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from config.facts import Severity
from worker.scanning.result import ScanFinding, ScanResult, Unseen
from worker.verdicts.verdict import SampleVerdict

MAX_SAMPLES = 40
"""Rows of the table of samples: a screen or two; all of them are in `--json`."""

_STYLES = {Severity.CRITICAL: "bold red", Severity.HIGH: "red", Severity.REVIEW: "yellow"}


def report(result: ScanResult, findings: Sequence[ScanFinding], media: str) -> RenderableType:
    """Tables of samples and findings, what went unseen, and the summary. File names are data, never markup."""
    return Group(_samples(result.samples), *_findings(findings), *_unseen(result), _summary(result, media))


def unseen_lines(unseen: Sequence[Unseen]) -> Iterator[str]:
    """One line for each part and reason: how much went unseen, and why."""
    seconds: dict[tuple[str, str, str], float] = {}
    for one in unseen:
        key = (one.part, one.stretch.reason, one.detail)
        seconds[key] = seconds.get(key, 0.0) + one.stretch.seconds
    for (part, reason, detail), total in seconds.items():
        text = detail.removeprefix(f"{part}: ")
        yield f"{part}: {f'{total:.2f} s ' if total else ''}unmoderated: {reason}{f' ({text})' if text else ''}"


def _samples(samples: Sequence[SampleVerdict]) -> Table:
    shown = _shown(samples)
    left_out = len(samples) - len(shown)
    caption = f"{left_out} more without a hit are left out; --json prints all" if left_out else None
    table = Table(title="Samples", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("seconds", justify="right")
    table.add_column("reason")
    table.add_column("PDQ quality", justify="right")
    table.add_column("matches")
    table.add_column("scores")
    for sample in shown:
        notes = [str(sample.reason)]
        notes += [sample.flat] if sample.flat else []
        notes += ["repeated"] if sample.deduplicated else []
        matches = ", ".join(f"{match.list}/{match.entry} at {match.distance}" for match in sample.nearest)
        scores = "  ".join(f"{name} {score:.3f}" for name, score in sample.scores.items())
        quality = str(sample.pdq_quality) if sample.pdq is not None else f"{sample.pdq_quality}, unhashable"
        style = "red" if sample.hits else ""
        table.add_row(f"{sample.pts_seconds:.2f}", ", ".join(notes), quality, Text(matches), Text(scores), style=style)
    return table


def _shown(samples: Sequence[SampleVerdict]) -> list[SampleVerdict]:
    """Those with a hit come first, the room that is left goes to the others; in order of time."""
    ranked = sorted(range(len(samples)), key=lambda index: (not samples[index].hits, index))
    return [samples[index] for index in sorted(ranked[:MAX_SAMPLES])]


def _findings(findings: Sequence[ScanFinding]) -> Iterator[RenderableType]:
    if not findings:
        yield Text("No findings.", style="bold green")
        return
    table = Table(title="Findings", title_justify="left")
    table.add_column("seconds", justify="right")
    table.add_column("severity")
    table.add_column("rule")
    for finding in findings:
        table.add_row(
            f"{finding.pts_seconds:.2f}", Text(str(finding.severity), _STYLES[finding.severity]), Text(finding.rule)
        )
    yield table


def _unseen(result: ScanResult) -> Iterator[RenderableType]:
    for line in unseen_lines(result.unseen):
        yield Text(f"Not moderated: {line}", style="yellow")
    for problem in sorted(result.degraded):
        yield Text(f"Degraded: {problem}", style="yellow")


def _summary(result: ScanResult, media: str) -> Table:
    summary = result.summary()
    cpu = summary["cpu_seconds"]
    table = Table(show_header=False, title="Summary", title_justify="left")
    table.add_row("media", Text(media))
    for match in result.file_matches:
        table.add_row("this very file", Text(f"{match.list}/{match.entry}", style="bold red"))
    table.add_row("duration", f"{summary['duration_seconds']:.2f} s")
    table.add_row("unmoderated", f"{summary['unmoderated_seconds']:.2f} s")
    table.add_row("pictures", f"{summary['frames_total']}, of which {summary['frames_decoded']} decoded")
    table.add_row("samples", f"{summary['samples']}, at most {summary['max_gap_seconds']:.2f} s apart")
    stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in cpu.items() if stage != "total")
    for model, turns in summary["models"].items():
        told = f"looked at {turns['looked at']}, passed over {turns['passed over']}, {turns['cpu_ms']} ms"
        table.add_row(model, told + (f", [bold red]failed on {turns['failed']}[/]" if turns["failed"] else ""))
    table.add_row("CPU", f"{cpu['total']:.2f} s ({stages})")
    return table
