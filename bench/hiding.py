"""The measure of issue 17: `python -m bench.hiding [--quick]`.

Parts: `hidden`, inserts hidden by more than their place between keyframes; `uncut`, the samples that material without
cuts takes; `large`, the same of 720p and 1080p, of which nothing may be left out; `listed`, listed pictures that are
shown transformed; `gate`, windows that the gate may take for the scene around them; `plain`, CPU beside a plain
pipeline; `worst`, the most expensive streams. `--quick` leaves out `large` and the last two.

Clips are made here by recorded recipes, in segments of 4 s; with `--cache` they are kept, so that the next run only
samples. An insert is seen if a picture was taken in [start, end) that is not concealed and shows it rather than what it
covers. It is in the ledger if the sampler reports all of it as unmoderated.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from bench.extremes import PRICED, TALKING_HEAD, PricedStream, extreme_makes
from bench.gate_windows import QUICK_WINDOWS, WINDOWS, measure_gate
from bench.hidden_clips import ClipFolder, HiddenClip, MakeClip, make_row, make_uncut
from bench.hidden_rows import LOADED, ROWS, UNCUT, UNCUT_FILMS, HiddenRow
from bench.hidden_score import HiddenResult, judge_hidden
from bench.hiding_plot import draw_hiding
from bench.hiding_report import HidingReport, PricedResult
from bench.large_clips import large_makes
from bench.listed_pictures import measure_listed
from bench.made_clips import lazy_reel, made_clips
from bench.methods import sampled
from bench.one_thread import on_one_thread
from bench.sampling import HIDDEN_HEIGHT, HIDDEN_WIDTH, REPORT_COLUMNS, progress_bars
from bench.stream_cost import StreamCost
from config.profiles import PROFILES, SamplingProfile
from sampler.child.decoder import Decoder

INSERTS, QUICK_INSERTS = 22, 6
"""Inserts of a row."""
UNCUT_SEGMENTS, QUICK_UNCUT_SEGMENTS = 6, 3
ROUNDS = 3
"""Measurements of CPU, of which the least of each counts, for other work on the machine only adds to it."""


class HidingPart(StrEnum):
    """A part of the measurement."""

    HIDDEN = "hidden"
    UNCUT = "uncut"
    LARGE = "large"
    LISTED = "listed"
    GATE = "gate"
    PLAIN = "plain"
    WORST = "worst"


QUICK_PARTS = (HidingPart.HIDDEN, HidingPart.UNCUT, HidingPart.LISTED, HidingPart.GATE)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Six inserts a row in place of 22, and no CPU.")] = False,
    profile: Annotated[str, typer.Option(help="Sampling profile.")] = "balanced",
    row: Annotated[list[str] | None, typer.Option(help="Only names that have this in them; may be repeated.")] = None,
    part: Annotated[list[HidingPart] | None, typer.Option(help="Only this part; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Another one places the inserts elsewhere.")] = 0,
    folder: Annotated[Path | None, typer.Option("--cache", help="Keep made clips in this folder.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the share seen of each row as this PNG.")] = None,
) -> None:
    """Measures what is hidden, and what ordinary and extraordinary streams cost."""
    on_one_thread("bench.hiding")
    parts = part or ([*QUICK_PARTS] if quick else [*HidingPart])

    def named(name: str) -> bool:
        return not row or any(one in name for one in row)

    clips = ClipFolder(folder)
    chosen = PROFILES[profile]
    report = HidingReport(profile=profile)
    with progress_bars() as progress:
        if HidingPart.HIDDEN in parts:
            reel = lazy_reel(LOADED, width=HIDDEN_WIDTH, height=HIDDEN_HEIGHT)
            count = QUICK_INSERTS if quick else INSERTS
            makes = {row: make_row(row, reel, count=count, seed=seed) for row in ROWS if named(row.name)}
            report.hidden = _sampled(makes, f"{count}-{seed}", chosen, clips, progress)
        if HidingPart.UNCUT in parts:
            reel = lazy_reel(UNCUT_FILMS, width=HIDDEN_WIDTH, height=HIDDEN_HEIGHT)
            segments = QUICK_UNCUT_SEGMENTS if quick else UNCUT_SEGMENTS
            makes = {row: make_uncut(row, reel, segments=segments) for row in UNCUT if named(row.name)}
            report.uncut = _sampled(makes, f"{segments}", chosen, clips, progress)
        if HidingPart.LARGE in parts:
            makes = {row: several for row, several in large_makes().items() if named(row.name)}
            report.large = _sampled(makes, "large", chosen, clips, progress)
        if HidingPart.PLAIN in parts:
            streams = [stream for stream in PRICED if named(stream.name)]
            report.priced = [_priced(stream, chosen, clips, progress) for stream in streams]
        if HidingPart.WORST in parts:
            head = next(stream for stream in PRICED if stream.name == TALKING_HEAD)
            extremes = {name: make for name, make in extreme_makes().items() if named(name)}
            report.worst = _worst({TALKING_HEAD: head.make(), **extremes}, chosen, clips, progress)
    if HidingPart.LISTED in parts:
        report.listed = measure_listed()
    if HidingPart.GATE in parts:
        report.gate = measure_gate(chosen, clips, windows=QUICK_WINDOWS if quick else WINDOWS)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    report.print(console)
    if plot is not None:
        draw_hiding(plot, report)


def _sampled(
    rows: dict[HiddenRow, list[MakeClip]],
    extent: str,
    profile: SamplingProfile,
    folder: ClipFolder,
    progress: Progress,
) -> dict[HiddenRow, list[HiddenResult]]:
    """Results of all clips of all rows."""
    made = made_clips({f"{row.name}-{extent}": several for row, several in rows.items()}, folder, progress)
    with Decoder() as decoder:
        return {
            row: [measure(hidden, decoder, profile) for hidden in made[f"{row.name}-{extent}"]]
            for row in progress.track(rows, description="sampling")
        }


def measure(hidden: HiddenClip, decoder: Decoder, profile: SamplingProfile) -> HiddenResult:
    """Samples all segments of a clip and judges the samples."""
    seed = f"{hidden.row}/{hidden.clip.encoder}/{hidden.clip.base}"
    return judge_hidden(hidden, [found for _, found in sampled(hidden.clip, decoder, profile, seed=seed)])


def _priced(stream: PricedStream, profile: SamplingProfile, folder: ClipFolder, progress: Progress) -> PricedResult:
    (hidden,) = made_clips({stream.name: [stream.make()]}, folder, progress)[stream.name]
    with StreamCost(profile) as cost:
        ways: list[Callable[[HiddenClip], float]] = [cost.ours, cost.plain]
        rounds = [[way(hidden) for way in ways] for _ in range(ROUNDS)]
    ours, plain = (min(measured) for measured in zip(*rounds, strict=True))
    return PricedResult(name=stream.name, floor=stream.floor, ours=ours, plain=plain)


def _worst(
    makes: dict[str, MakeClip], profile: SamplingProfile, folder: ClipFolder, progress: Progress
) -> dict[str, float]:
    """CPU in seconds for a second of each stream; one clip at a time, for they are large."""
    spent = {}
    for name, make in makes.items():
        (hidden,) = made_clips({name: [make]}, folder, progress)[name]
        with StreamCost(profile) as cost:
            spent[name] = min(cost.ours(hidden) for _ in range(ROUNDS))
    return spent


if __name__ == "__main__":
    typer.run(main)
