"""The recall and cost of the sampler beside other methods: `make bench`, or `python -m bench.sampling --quick`.

Clips are made here: natural and generated motion, five settings of x264, GOPs of 2, 4 and 10 s, with other films cut in
between keyframes for 0.25 to 2 s. Each clip is sampled by five methods, one after the other in one process, so that
ratios do not depend on the machine. An insert is hidden if no keyframe lies in it, and seen if a picture was taken
whose time lies in [start, end).

PySceneDetect is compared with if it is installed. Its package requires opencv-python, which must never be installed
beside opencv-python-headless, hence: `pip install --no-deps scenedetect && pip install tqdm platformdirs click`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.clips import ENCODERS, Clip, Encoder, make_clean_clip, make_clip
from bench.fidelity import Fidelity, compare
from bench.material import CLEAN, MONTAGE, NATURAL, Reel
from bench.methods import (
    KeyframesOnly,
    Livewarden,
    Method,
    SceneDetect,
    Seeking,
    VideoCapture,
    sampled,
    scenedetect_is_here,
)
from bench.recall_plot import Point, Series, draw
from bench.report import INSERT_SECONDS, StillScene, goals, print_report
from bench.score import Result, Results, judge, median_by_cpu
from config.profiles import BALANCED
from models.classifiers.classifier import Classifier
from models.classifiers.registry import DEFAULT, known_packages
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from worker.cli.model_report import time_model
from worker.moderation.gate_key import CHROMA_COLUMNS, CHROMA_ROWS, GateKey
from worker.moderation.segment_gate import SegmentGate

BASES = (*NATURAL, "pan", "handheld")
INSERTED = (*BASES, "discs")
GOP_SECONDS = (2, 4, 10)
HIDDEN_WIDTH, HIDDEN_HEIGHT = 320, 180
"""Small, so that many clips are affordable. The sampler compares ratios of packets, which hold at any size."""
CLEAN_WIDTH, CLEAN_HEIGHT = 640, 360
"""Size of the cheapest rendition that platforms send, for all figures of CPU: with smaller pictures the cost per
picture would weigh too much."""
CLEAN_GOP_SECONDS = 2
CLEAN_SEGMENT_SECONDS = (2, 6)
"""One GOP, as in low-latency streams, and the 6 s that Apple's HLS authoring specification asks for."""
ROUNDS = 3
"""Measurements of each clip whose CPU counts, of which the median is taken: these clips are short."""
STILL_SECONDS = 60
CLASSIFIED = 40
"""Pictures that are classified to time one."""
GATE_KEY = GateKey(b"bench")
REPORT_COLUMNS = 126
"""Width of the widest table, if the output is no terminal."""


@dataclass(frozen=True, kw_only=True)
class CorpusSize:
    """The extent of the measurement."""

    bases: tuple[str, ...]
    repeats: int
    """Inserts of each duration in each clip."""
    clean_seconds: int
    expensive_bases: tuple[str, ...]
    """Films with inserts among which the most expensive clip is searched."""
    still_encoders: int

    @property
    def clips(self) -> int:
        """Number of clips of an encoder's setting."""
        return len(self.bases) * len(GOP_SECONDS)


FULL = CorpusSize(bases=BASES, repeats=6, clean_seconds=18, expensive_bases=BASES, still_encoders=len(ENCODERS))
"""330 hidden inserts an encoder's setting."""
QUICK = CorpusSize(
    bases=("bikes", "handheld"), repeats=1, clean_seconds=12, expensive_bases=("carphone_pristine",), still_encoders=2
)
"""22 hidden inserts an encoder's setting."""

Make = Callable[[], Clip]


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer clips: a minute instead of ten.")] = False,
    seed: Annotated[int, typer.Option(help="Another one places the inserts elsewhere.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw the plane of cost and recall as this PNG.")] = None,
) -> None:
    """Measures the sampler against keyframes only, seeking, full decoding and scene detection."""
    cv2.setNumThreads(1)
    extent = QUICK if quick else FULL
    with Decoder() as decoder, progress_bars() as progress:
        ours = Livewarden(decoder, BALANCED)
        others: list[Method] = [KeyframesOnly(), Seeking(), VideoCapture()]
        if scenedetect_is_here():
            others.append(SceneDetect())
        hidden, fidelity = _measure_hidden(extent, seed, [ours, *others], decoder, progress)
        clean = _measure_clean(extent, [ours, KeyframesOnly(), VideoCapture()], progress)
        expensive = _measure_expensive(extent, seed, [ours, VideoCapture()], progress)
        still = _measure_still(extent, decoder, progress)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    methods = [ours.name, *(method.name for method in others[:3]), SceneDetect.name]
    reached = goals(hidden, clean, expensive, still, fidelity, max_gap_seconds=BALANCED.max_gap_seconds)
    picture_seconds = _picture_seconds()
    print_report(console, hidden, clean, reached, methods=methods, picture_seconds=picture_seconds)
    if plot is not None:
        _draw(plot, hidden, picture_seconds)


def _measure_hidden(
    extent: CorpusSize, seed: int, methods: Sequence[Method], decoder: Decoder, progress: Progress
) -> tuple[Results, list[Fidelity]]:
    """Results of all methods on all clips, and the fidelity of our samples of the clips of the first film."""
    reel = Reel(INSERTED, width=HIDDEN_WIDTH, height=HIDDEN_HEIGHT)
    fidelity: list[Fidelity] = []
    task = progress.add_task("hidden inserts", total=extent.clips * len(ENCODERS) * len(methods))
    rows: list[Result] = []
    for number, encoder in enumerate(ENCODERS):
        makes = with_inserts(reel, extent.bases, encoder, repeats=extent.repeats, seed=(seed, number))
        for clip in made(makes, progress, f"encoding: {encoder.name}"):
            for method in methods:
                rows.append(judge(method.name, clip, method.sample(clip)))
                progress.advance(task)
            if clip.base == extent.bases[0]:
                fidelity.append(compare(clip, decoder, BALANCED))
    return Results(rows=tuple(rows)), fidelity


def _measure_clean(extent: CorpusSize, methods: Sequence[Method], progress: Progress) -> Results:
    names = (*CLEAN, MONTAGE)
    reel = Reel(names, width=CLEAN_WIDTH, height=CLEAN_HEIGHT)
    makes = [
        partial(
            make_clean_clip,
            reel,
            encoder=encoder,
            base=name,
            gop_seconds=CLEAN_GOP_SECONDS,
            seconds=extent.clean_seconds,
            segment_seconds=segment_seconds,
        )
        for encoder in ENCODERS
        for name in names
        for segment_seconds in CLEAN_SEGMENT_SECONDS
    ]
    return _timed(made(makes, progress, "encoding: clean"), methods, progress, "clean clips")


def _measure_expensive(extent: CorpusSize, seed: int, methods: Sequence[Method], progress: Progress) -> Results:
    """Results on clips with an insert every 3 s, for their cost."""
    reel = Reel(INSERTED, width=CLEAN_WIDTH, height=CLEAN_HEIGHT)
    makes = [
        make
        for number, encoder in enumerate(ENCODERS)
        for make in with_inserts(reel, extent.expensive_bases, encoder, repeats=1, seed=(seed, number))
    ]
    return _timed(made(makes, progress, "encoding: expensive"), methods, progress, "expensive clips")


def with_inserts(
    reel: Reel, bases: Sequence[str], encoder: Encoder, *, repeats: int, seed: tuple[int, ...]
) -> list[Make]:
    """A clip with inserts for each film and GOP; another `seed` places them elsewhere."""
    return [
        partial(
            make_clip,
            reel,
            encoder=encoder,
            base=base,
            gop_seconds=gop_seconds,
            insert_seconds=INSERT_SECONDS * repeats,
            seed=(*seed, place, gop_seconds),
        )
        for place, base in enumerate(bases)
        for gop_seconds in GOP_SECONDS
    ]


def _timed(clips: Sequence[Clip], methods: Sequence[Method], progress: Progress, description: str) -> Results:
    rows: list[Result] = []
    for clip in progress.track(clips, description=description):
        rounds = [[judge(method.name, clip, method.sample(clip)) for method in methods] for _ in range(ROUNDS)]
        rows += [median_by_cpu(repeated) for repeated in zip(*rounds, strict=True)]
    return Results(rows=tuple(rows))


def _measure_still(extent: CorpusSize, decoder: Decoder, progress: Progress) -> list[StillScene]:
    reel = Reel(["still"], width=HIDDEN_WIDTH, height=HIDDEN_HEIGHT)
    makes = [
        partial(
            make_clean_clip, reel, encoder=encoder, base="still", gop_seconds=CLEAN_GOP_SECONDS, seconds=STILL_SECONDS
        )
        for encoder in ENCODERS[: extent.still_encoders]
    ]
    scenes = []
    for clip in progress.track(made(makes, progress, "encoding: still"), description="still scenes"):
        passed = list(gate_passes(clip, decoder))
        scenes.append(StillScene(encoder=clip.encoder, taken=len(passed), classified=sum(passed)))
    return scenes


def gate_passes(clip: Clip, decoder: Decoder) -> Iterator[bool]:
    """For each sampled picture of the clip, whether the gate passes it to the classifiers."""
    gate = SegmentGate(GATE_KEY)
    for start_seconds, segment in sampled(clip, decoder, BALANCED):
        gate = SegmentGate(GATE_KEY, gate.state)
        for frame in segment.frames if segment is not None else ():
            if frame.hashed_only is not None:
                yield False
                continue
            capture_ms = round(1000 * (start_seconds + frame.pts_seconds))
            luma, chroma = frame.picture.luma(), frame.picture.chroma(CHROMA_COLUMNS, CHROMA_ROWS)
            seen = gate.view(luma, chroma, hash_luma(luma), capture_ms=capture_ms, flat=frame.flat is not None)
            if seen.repeated is None:
                gate.classified(seen, {})
            else:
                gate.taken_over(seen)
            yield seen.repeated is None


def made(makes: Sequence[Make], progress: Progress, description: str) -> list[Clip]:
    """The clips, encoded on all cores before anything is measured; libx264 releases the interpreter's lock."""
    task = progress.add_task(description, total=len(makes))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(make) for make in makes]
        for _ in as_completed(futures):
            progress.advance(task)
    progress.remove_task(task)
    return [future.result() for future in futures]


def progress_bars() -> Progress:
    """Progress bars on standard error, so that tables can be redirected."""
    return Progress(
        TextColumn("{task.description:32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _picture_seconds() -> float:
    """CPU of classifying a picture of the clips with inserts."""
    classifier = Classifier(known_packages(None)[DEFAULT])
    return time_model(classifier, width=HIDDEN_WIDTH, height=HIDDEN_HEIGHT, rounds=CLASSIFIED).scores_ms / 1000


def _draw(path: Path, hidden: Results, picture_seconds: float) -> None:
    series = []
    for method in dict.fromkeys(row.method for row in hidden.rows):
        results = hidden.where(method=method)
        low, high = results.recall().wilson()
        parts = tuple(_point(results.where(encoder=encoder.name), picture_seconds) for encoder in ENCODERS)
        series.append(Series(name=method, all=_point(results, picture_seconds), low=low, high=high, parts=parts))
    total = hidden.where(method=VideoCapture.name).recall().total
    draw(
        path,
        series,
        subtitle=f"{total} inserts of 0.25 to 2 s; pale: each of {len(ENCODERS)} encoder settings; bars: Wilson 95 %",
    )


def _point(results: Results, picture_seconds: float) -> Point:
    return Point(milliseconds=results.milliseconds(picture_seconds), recall=results.recall().share)


if __name__ == "__main__":
    typer.run(main)
