"""`python -m bench.others`: detection of inserts in settings and encoders that the sampler was not tuned on."""

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bench.clips import Encoder, EncoderSetting
from bench.foreign import FOREIGN
from bench.material import Reel
from bench.methods import Livewarden, Method, VideoCapture
from bench.sampling import (
    BASES,
    HIDDEN_HEIGHT,
    HIDDEN_WIDTH,
    INSERTED,
    REPORT_COLUMNS,
    made,
    progress_bars,
    with_inserts,
)
from bench.score import Results, judge
from config.profiles import BALANCED
from sampler.child.decoder import Decoder

CAPPED = "bitrate={kbits}:vbv-maxrate={kbits}:vbv-bufsize={kbits}"


def _x264(name: str, parameters: str, *, preset: str = "veryfast", zero_latency: bool = False) -> EncoderSetting:
    return EncoderSetting(name=f"x264 {name}", zero_latency=zero_latency, parameters=parameters, preset=preset)


def _x265(name: str, parameters: str, *, preset: str = "veryfast", zero_latency: bool = False) -> EncoderSetting:
    return EncoderSetting(
        name=f"x265 {name}", zero_latency=zero_latency, parameters=parameters, preset=preset, codec="libx265"
    )


SETTINGS = (
    _x264("ultrafast, CRF 23", "crf=23", preset="ultrafast", zero_latency=True),
    _x264(
        "superfast, a third of the rate",
        "bframes=2:bitrate={third}:vbv-maxrate={third}:vbv-bufsize={third}",
        preset="superfast",
    ),
    _x264("medium, 8 B-frames, CRF 28", "bframes=8:crf=28", preset="medium"),
    _x264("medium, 4 references, CBR", f"ref=4:{CAPPED}", preset="medium", zero_latency=True),
    _x264("4 slices, CBR", f"slices=4:{CAPPED}", zero_latency=True),
    _x264("constant QP 30", "qp=30"),
    _x264("CRF 16", "crf=16", zero_latency=True),
    _x264("no CABAC, 1 reference, CBR", f"cabac=0:bframes=0:8x8dct=0:weightp=0:{CAPPED}"),
    _x264(
        "HRD with filler, twice the rate", "nal-hrd=cbr:bitrate=400:vbv-maxrate=400:vbv-bufsize=400", zero_latency=True
    ),
    _x265("ultrafast, CRF", "crf=28", preset="ultrafast", zero_latency=True),
    _x265("ultrafast, CBR", CAPPED, preset="ultrafast", zero_latency=True),
    _x265("B-frames, CRF 26", "bframes=3:crf=26"),
    _x265("B-frames, CBR", f"bframes=3:{CAPPED}"),
)


def main(
    repeats: Annotated[int, typer.Option(help="Inserts of each duration in each clip.")] = 3,
    seed: Annotated[int, typer.Option(help="Another one places the inserts elsewhere.")] = 0,
) -> None:
    """Samples clips with inserts in many encoders' settings, with livewarden and with full decoding."""
    reel = Reel(INSERTED, width=HIDDEN_WIDTH, height=HIDDEN_HEIGHT)
    table = Table(title="Inserts hidden between keyframes, settings that nothing was tuned on", box=box.SIMPLE_HEAD)
    table.add_column("encoder", no_wrap=True)
    for heading in ("n", "seen", "Wilson 95 %", "decoded", "CPU ÷ VideoCapture"):
        table.add_column(heading, justify="right", no_wrap=True)
    every: list[Results] = []
    there = [encoder for encoder in FOREIGN if encoder.missing is None]
    settings: list[Encoder] = [*SETTINGS, *there]
    with Decoder() as decoder, progress_bars() as progress:
        methods: list[Method] = [Livewarden(decoder, BALANCED), VideoCapture()]
        for number, setting in enumerate(progress.track(settings, description="settings")):
            makes = with_inserts(reel, BASES, setting, repeats=repeats, seed=(seed, number))
            clips = made(makes, progress, f"encoding: {setting.name}")
            every.append(
                Results(
                    rows=tuple(judge(method.name, clip, method.sample(clip)) for clip in clips for method in methods)
                )
            )
            _add_row(table, setting.name, every[-1])
    _add_row(table, "all", Results(rows=tuple(row for results in every for row in results.rows)))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    console.print(table)
    for encoder in FOREIGN:
        if encoder.missing is not None:
            console.print(f"{encoder.name} was left out: {encoder.missing} is not installed")


def _add_row(table: Table, name: str, results: Results) -> None:
    ours, full = (results.where(method=method) for method in (Livewarden.name, VideoCapture.name))
    recall = ours.recall()
    low, high = recall.wilson()
    table.add_row(
        name,
        str(recall.total),
        str(recall.seen),
        f"{low:.3f}–{high:.3f}",
        f"{ours.decoded_share:.1%}",
        f"{ours.cpu_seconds / full.cpu_seconds:.2f}",
        style="bold" if name == "all" else "",
    )


if __name__ == "__main__":
    typer.run(main)
