"""`python -m bench.child [--quick]`: the cost of the decoder's processes, against the same work in this process.

CPU of all processes: this one, the fork server, and those that it forked and reaped.
"""

import os
import statistics
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.clips import ENCODERS, make_clean_clip
from bench.material import Reel
from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.child.decoder_pool import INPUTS_A_PROCESS
from sampler.child.fork_server_handle import KEPT_MEMORY
from sampler.child.outbox import Outbox, flatness
from sampler.child.track import Inputs, sample_track
from sampler.decode.presentation.planes import StoredPicture, views_of
from sampler.demux.packet_reader import Demuxer
from sampler.demux.source import InputFile
from sampler.limits import Limits

SIZES = ((640, 360), (1280, 720))
SEGMENT_SECONDS = (2, 4)
"""One GOP each."""
SAMPLINGS = 100
"""Samplings of one segment in a round: the kernel counts a child's CPU in hundredths of a second."""
FULL_SAMPLINGS = 10
"""Samplings of one segment in a round in which every picture is decoded."""
ROUNDS = 7
QUICK_ROUNDS = 3
HEADINGS = (
    "segment",
    f"{INPUTS_A_PROCESS} a process",
    "1 a process",
    "no process",
    f"{INPUTS_A_PROCESS}: over it",
    "1: over it",
    "all pictures",
    f"{INPUTS_A_PROCESS}: over all",
)
COLUMN_CHARACTERS = 14
SEED = b"bench"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One segment: half a minute instead of six.")] = False,
) -> None:
    """Samples segments through the child and without it."""
    if not KEPT_MEMORY.items() <= os.environ.items():
        # This process keeps memory as the decoder's processes do, so that only their cost differs.
        again = [sys.executable, "-m", "bench.child", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | KEPT_MEMORY)
    sizes, lengths, rounds = (
        (SIZES[:1], SEGMENT_SECONDS[:1], QUICK_ROUNDS) if quick else (SIZES, SEGMENT_SECONDS, ROUNDS)
    )
    typer.echo(f"Decoding in separate processes: CPU in ms a segment, medians of {rounds} rounds")
    _print(*HEADINGS)
    for width, height in sizes:
        reel = Reel(["bigbuckbunny"], width=width, height=height)
        for seconds in lengths:
            clip = make_clean_clip(reel, encoder=ENCODERS[0], base="bigbuckbunny", gop_seconds=seconds, seconds=seconds)
            (segment,) = clip.segments
            through, fresh, here, everything = _measure(segment, rounds)
            _print(
                f"{seconds} s of {height}p",
                f"{through:.1f}",
                f"{fresh:.1f}",
                f"{here:.1f}",
                f"{through - here:.1f}",
                f"{fresh - here:.1f}",
                f"{everything:.1f}",
                f"{(through - here) / everything:.0%}",
            )


def _measure(segment: bytes, rounds: int) -> list[float]:
    """Medians, in ms of CPU a segment: through shared processes, through fresh ones, in this process, and in
    this process for every picture."""
    with Decoder() as decoder, Decoder(inputs_a_process=1) as fresh:
        measured = [
            (
                _through(decoder, segment) / SAMPLINGS,
                _through(fresh, segment) / SAMPLINGS,
                _here(segment, everything=False, samplings=SAMPLINGS) / SAMPLINGS,
                _here(segment, everything=True, samplings=FULL_SAMPLINGS) / FULL_SAMPLINGS,
            )
            for _ in range(rounds)
        ]
    return [1000 * statistics.median(way) for way in zip(*measured, strict=True)]


def _print(*cells: str) -> None:
    """Prints a line immediately, because the next one takes a minute."""
    first, *others = cells
    typer.echo(f"{first:<12}" + "".join(f"{cell:>{COLUMN_CHARACTERS}}" for cell in others))


def _through(decoder: Decoder, segment: bytes) -> float:
    """CPU seconds of all processes; the pictures are consumed as in a worker, and not kept."""
    decoder.sample(segment, profile=BALANCED, seed=SEED, consume=lambda _: None)
    assert decoder.fork_server_pid is not None
    began = time.process_time() + _cpu_seconds(decoder.fork_server_pid)
    for _ in range(SAMPLINGS):
        decoder.sample(segment, profile=BALANCED, seed=SEED, consume=lambda _: None)
    return time.process_time() + _cpu_seconds(decoder.fork_server_pid) - began


def _cpu_seconds(process: int) -> float:
    """CPU seconds of another process and of those that it forked and reaped (utime, stime, cutime, cstime of
    proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class _Nowhere(Outbox):
    """Looks at pictures as the child's does, and hands nothing over."""

    def __init__(self) -> None:
        self.pictures = 0

    def add(self, picture: StoredPicture, buffers: tuple[Any, ...], entry: dict[str, object]) -> None:
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        entry["flat"] = flatness(views_of(picture, views), full_range=picture.full_range)
        self.pictures += 1


def _here(segment: bytes, *, everything: bool, samplings: int) -> float:
    """CPU seconds of sampling in this process, or of decoding every picture."""
    descriptor = os.memfd_create("segment")
    os.write(descriptor, segment)
    inputs = Inputs(input=descriptor, before=None)
    request = {
        "seed": SEED.hex(),
        "packets": False,
        "leading_macroblocks": None,
        "leaning_until_seconds": 0.0,
        "parameter_sets": "",
        "padded": False,
        "size": len(segment),
        "init_size": 0,
        "recording": False,
    }
    began = time.process_time()
    for _ in range(samplings):
        if everything:
            _decode_all(InputFile(descriptor, len(segment)))
        else:
            sample_track(0, request, inputs, _Nowhere(), Limits(), BALANCED)
    spent = time.process_time() - began
    os.close(descriptor)
    return spent


def _decode_all(source: InputFile) -> None:
    with closing(Demuxer(source, Limits())) as demuxer:
        context = demuxer.codec_context
        context.thread_count = 1
        for window in demuxer.windows():
            for payload in window.payloads:
                context.decode(payload)
        context.decode(None)


if __name__ == "__main__":
    typer.run(main)
