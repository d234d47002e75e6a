"""`python -m bench.hiding [--quick]`: inserts hidden by more than their place between keyframes, and the most
expensive streams.

Clips are made here by recorded recipes, in segments of 4 s; with `--cache` they are kept, so that the next run only
samples. An insert is seen if a picture was taken in [start, end) that is not concealed and shows it rather than what it
covers. It is in the ledger if the sampler reports all of it as unmoderated.
"""

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import cv2
import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.hidden_clips import FILMS, PHOTOGRAPHS, ROWS, ClipFolder, HiddenClip, HiddenRow, make_row
from bench.hidden_score import HiddenResult, judge_hidden
from bench.material import Reel
from bench.sampling import HIDDEN_HEIGHT, HIDDEN_WIDTH, REPORT_COLUMNS, progress_bars
from bench.staging import photograph_loop
from config.profiles import PROFILES, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.errors import InputError
from sampler.frames import SampledSegment

os.environ.setdefault("SVT_LOG", "1")  # read by its library: errors only
INSERTS, QUICK_INSERTS = 22, 6
"""Inserts of a row."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Six inserts a row in place of 22.")] = False,
    profile: Annotated[str, typer.Option(help="Sampling profile.")] = "balanced",
    row: Annotated[list[str] | None, typer.Option(help="Only rows whose name has this in it; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Another one places the inserts elsewhere.")] = 0,
    folder: Annotated[Path | None, typer.Option("--cache", help="Keep made clips in this folder.")] = None,
) -> None:
    """Samples clips with hidden inserts, row by row."""
    cv2.setNumThreads(1)
    rows = [one for one in ROWS if not row or any(part in one.name for part in row)]
    with Decoder() as decoder, progress_bars() as progress:
        made = _made(rows, QUICK_INSERTS if quick else INSERTS, seed, ClipFolder(folder), progress)
        results = [
            [measure(clip, decoder, PROFILES[profile]) for clip in progress.track(clips, description=one.name)]
            for one, clips in zip(rows, made, strict=True)
        ]
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    console.print(_table(rows, results, profile))


def _made(
    rows: list[HiddenRow], count: int, seed: int, folder: ClipFolder, progress: Progress
) -> list[list[HiddenClip]]:
    """The clips of all rows, encoded on all cores before anything is measured."""
    lock = Lock()

    @cache
    def loaded() -> Reel:
        reel = Reel(FILMS, width=HIDDEN_WIDTH, height=HIDDEN_HEIGHT)
        reel.loops |= {name: photograph_loop(name, reel.width, reel.height) for name in PHOTOGRAPHS}
        return reel

    def reel() -> Reel:
        with lock:
            return loaded()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [
            [
                pool.submit(folder.clip, f"{row.name}-{count}-{seed}-{number}", make)
                for number, make in enumerate(make_row(row, reel, count=count, seed=seed))
            ]
            for row in rows
        ]
        every = [future for several in futures for future in several]
        task = progress.add_task("encoding", total=len(every))
        for _ in as_completed(every):
            progress.advance(task)
        progress.remove_task(task)
    return [[future.result() for future in several] for several in futures]


def measure(hidden: HiddenClip, decoder: Decoder, profile: SamplingProfile) -> HiddenResult:
    """Samples all segments of a clip and judges the samples."""
    sampled: list[SampledSegment | None] = []
    for index, segment in enumerate(hidden.clip.segments):
        seed = f"{hidden.row}/{hidden.clip.encoder}/{hidden.clip.base}/{index}".encode()
        before = hidden.clip.segments[index - 1] if index else None
        try:
            sampled.append(_sample(decoder, segment, before, profile, seed))
        except InputError:
            sampled.append(None)
    return judge_hidden(hidden, sampled)


def _sample(
    decoder: Decoder, segment: bytes, before: bytes | None, profile: SamplingProfile, seed: bytes
) -> SampledSegment:
    """Samples a segment, and its leading pictures with the segment before where that is needed, as a worker does."""
    found: Any = decoder.sample(segment, profile=profile, seed=seed)
    if before is not None and getattr(found, "leading_seconds", False):
        sample: Any = decoder.sample
        found = found.with_leading(sample(segment, profile=profile, seed=seed, before=before, leading_only=True))
    assert isinstance(found, SampledSegment)
    return found


def _table(rows: list[HiddenRow], results: list[list[HiddenResult]], profile: str) -> Table:
    table = Table(title=f"Hidden inserts, profile {profile}", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("hidden in or by", no_wrap=True)
    for heading in ("n", "seen", "or in ledger", "listed matched", "unmoderated s", "wrong", "samples/s", "CPU ms/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, several in zip(rows, results, strict=True):
        outcomes = [outcome for result in several for outcome in result.outcomes]
        seconds = sum(result.duration_seconds for result in several)
        listed = [outcome.matched for outcome in outcomes if outcome.matched is not None]
        table.add_row(
            row.name,
            str(len(outcomes)),
            str(sum(outcome.seen for outcome in outcomes)),
            str(sum(outcome.seen or outcome.ledgered for outcome in outcomes)),
            str(sum(listed)) if listed else "",
            f"{sum(result.unmoderated_seconds for result in several):.1f}",
            str(sum(result.wrong for result in several)),
            f"{sum(result.samples for result in several) / seconds:.2f}",
            f"{1000 * sum(result.cpu_seconds for result in several) / seconds:.1f}",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
