"""`python -m bench.child`: what the way through the decoder child costs, against the same work in this process."""

import os
import statistics
import sys
import time
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
from sampler.zygote import KEPT_MEMORY

SIZES = ((640, 360), (1280, 720))
SEGMENT_SECONDS = (2, 4)
"""One GOP each."""
LOOKS = 100
"""At one segment in a round: the kernel counts a child's CPU in hundredths of a second."""
LOOKS_AT_ALL = 10
"""Likewise, where every picture is decoded."""
ROUNDS = 7
SEED = b"bench"


def main() -> None:
    """Samples segments through the child and without it."""
    if not KEPT_MEMORY.items() <= os.environ.items():
        # What keeping memory saves is not the way's doing: this process gets it as well.
        os.execve(sys.executable, [sys.executable, "-m", "bench.child"], os.environ | KEPT_MEMORY)
    table = Table(title="The way through the decoder child, CPU in ms a segment", box=box.SIMPLE_HEAD)
    table.add_column("segment", no_wrap=True)
    for heading in ("through it", "fresh for each", "in this process", "share", "decoding all", "share of that"):
        table.add_column(heading, justify="right", no_wrap=True)
    for width, height in SIZES:
        reel = Reel(["bigbuckbunny"], width=width, height=height)
        for seconds in SEGMENT_SECONDS:
            clip = make_clean_clip(reel, encoder=ENCODERS[0], base="bigbuckbunny", gop_seconds=seconds, seconds=seconds)
            (segment,) = clip.segments
            with Decoder() as decoder, Decoder(inputs_a_process=1) as fresh:
                rounds = [
                    (
                        _through(decoder, segment),
                        _through(fresh, segment),
                        _here(segment, everything=False, looks=LOOKS),
                        _here(segment, everything=True, looks=LOOKS_AT_ALL) * LOOKS / LOOKS_AT_ALL,
                    )
                    for _ in range(ROUNDS)
                ]
            through, apart, here, everything = (statistics.median(measured) for measured in zip(*rounds, strict=True))
            table.add_row(
                f"{seconds} s of {height}p",
                *(f"{1000 * seconds_taken / LOOKS:.2f}" for seconds_taken in (through, apart, here)),
                f"{through / here - 1:.1%}",
                f"{1000 * everything / LOOKS:.2f}",
                f"{(through - here) / everything:.1%}",
            )
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    console.print(table)


def _through(decoder: Decoder, segment: bytes) -> float:
    """CPU seconds of all processes; the pictures are looked at as a worker does, and not kept."""
    decoder.sample(segment, profile=BALANCED, seed=SEED, consume=lambda _: None)
    assert decoder.zygote_pid is not None
    began = time.process_time() + _cpu_seconds(decoder.zygote_pid)
    for _ in range(LOOKS):
        decoder.sample(segment, profile=BALANCED, seed=SEED, consume=lambda _: None)
    return time.process_time() + _cpu_seconds(decoder.zygote_pid) - began


def _cpu_seconds(process: int) -> float:
    """Of another process and of those that it forked and reaped (utime, stime, cutime and cstime of proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _here(segment: bytes, *, everything: bool, looks: int) -> float:
    """CPU seconds of demuxing, planning and decoding what is planned, or every picture."""
    descriptor = os.memfd_create("segment")
    os.write(descriptor, segment)
    began = time.process_time()
    for _ in range(looks):
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
