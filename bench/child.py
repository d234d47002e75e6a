"""`python -m bench.child`: what the way through the decoder child costs, against the same work in this process."""

import os
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bench.clips import ENCODERS, make_clean_clip
from bench.material import Reel
from bench.sampling import REPORT_COLUMNS
from config.profiles import BALANCED
from sampler.decoder import Decoder
from sampler.demux import Demuxer
from sampler.execute import Executor
from sampler.limits import Limits
from sampler.plan import plan
from sampler.source import Source

SIZES = ((640, 360), (1280, 720))
SEGMENT_SECONDS = (2, 4)
"""One GOP each."""
LOOKS = 60
"""At one segment in a round: the kernel counts a child's CPU in hundredths of a second."""
ROUNDS = 5
SEED = b"bench"


def main() -> None:
    """Samples segments through the child and without it."""
    table = Table(title="The way through the decoder child, CPU in ms a segment", box=box.SIMPLE_HEAD)
    table.add_column("segment", no_wrap=True)
    for heading in ("through it", "in this process", "share", "decoding all", "share of that"):
        table.add_column(heading, justify="right", no_wrap=True)
    for width, height in SIZES:
        reel = Reel(["bigbuckbunny"], width=width, height=height)
        for seconds in SEGMENT_SECONDS:
            clip = make_clean_clip(reel, encoder=ENCODERS[0], base="bigbuckbunny", gop_seconds=seconds, seconds=seconds)
            (segment,) = clip.segments
            with Decoder() as decoder:
                through = _median(lambda: _through(decoder, segment))  # noqa: B023 (called at once)
            here = _median(lambda: _here(segment, everything=False))  # noqa: B023
            everything = _median(lambda: _here(segment, everything=True))  # noqa: B023
            table.add_row(
                f"{seconds} s of {height}p",
                *(f"{1000 * seconds_taken / LOOKS:.2f}" for seconds_taken in (through, here)),
                f"{through / here - 1:.1%}",
                f"{1000 * everything / LOOKS:.2f}",
                f"{(through - here) / everything:.1%}",
            )
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    console.print(table)


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(ROUNDS))


def _through(decoder: Decoder, segment: bytes) -> float:
    """CPU seconds of both processes; the pictures are looked at as a worker does, and not kept."""
    decoder.sample(segment, profile=BALANCED, seed=SEED, consume=lambda _: None)
    assert decoder.child_pid is not None
    began = time.process_time() + _cpu_seconds(decoder.child_pid)
    for _ in range(LOOKS):
        decoder.sample(segment, profile=BALANCED, seed=SEED, consume=lambda _: None)
    return time.process_time() + _cpu_seconds(decoder.child_pid) - began


def _cpu_seconds(process: int) -> float:
    """Of another process (utime and stime of proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _here(segment: bytes, *, everything: bool) -> float:
    """CPU seconds of demuxing, planning and decoding what is planned, or every picture."""
    descriptor = os.memfd_create("segment")
    os.write(descriptor, segment)
    began = time.process_time()
    for _ in range(LOOKS):
        with closing(Demuxer(Source(descriptor, len(segment)), Limits())) as demuxer:
            context = demuxer.codec_context
            executor = Executor(context, Limits(), BALANCED)
            for window in demuxer.windows():
                if everything:
                    context.thread_count = 1
                    for payload in window.payloads:
                        context.decode(payload)
                    context.decode(None)
                    continue
                end_seconds = max(packet.seconds for packet in window.packets) + demuxer.timeline.frame_seconds
                targets = plan(
                    window.packets, profile=BALANCED, seed=SEED, end_seconds=end_seconds, asked=executor.asks
                )
                for _taken in executor.run(window, targets):
                    pass
    spent = time.process_time() - began
    os.close(descriptor)
    return spent


if __name__ == "__main__":
    typer.run(main)
