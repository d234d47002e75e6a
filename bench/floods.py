"""`python -m bench.floods`: CPU of reading segments that are cheap to send, beside that of an ordinary one.

A broadcaster can stuff pictures with NAL units that nobody needs, or send pictures of a few bytes by the thousand.
"""

import statistics
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from io import BytesIO

import av
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.clips import ENCODERS, make_clean_clip
from bench.material import Reel
from config.profiles import BALANCED
from sampler.child.decoder import Decoder

SIDE_PIXELS = 16
RATE = 500
ROUNDS = 3
STUFFED, STUFFING_UNITS = 3_000, 480
"""Pictures, and units in front of each."""
UNITS = {
    "messages": b"\0\0\1\x06\x05",
    "parameter sets": b"\0\0\1\x67\x42\xc0\x0b\xda\x0a\x36\x84",
    "start codes": b"\0\0\1",
}
"""Useless NAL units by their name."""
MESSAGES = b"\0\0\1\x06" + b"\x05\x00" * (1 << 20)
"""A NAL unit of as many empty messages as it has byte pairs."""


def main() -> None:
    """Prints a table."""
    floods: Mapping[str, Callable[[], bytes]] = {
        "ordinary: 4 s of 720p": _ordinary,
        **{
            f"{STUFFED:,} pictures, {STUFFING_UNITS} {name} each": partial(_pictures, STUFFED, unit * STUFFING_UNITS)
            for name, unit in UNITS.items()
        },
        "10,000 pictures": partial(_pictures, 10_000),
        "10 pictures, 1,048,576 empty messages each": partial(_pictures, 10, MESSAGES),
    }
    table = Table(title=f"Reading of segments, medians of {ROUNDS} samplings")
    for heading in ("segment", "MB", "CPU, ms", "ordinary segments"):
        table.add_column(heading, justify="left" if heading == "segment" else "right")
    ordinary = 0.0
    with Decoder() as decoder:
        for name, make in track(floods.items(), "reading", transient=True):
            data = make()
            seconds = statistics.median(
                decoder.sample(data, profile=BALANCED, seed=b"bench", consume=lambda _: None).cpu_seconds["demux"]
                for _ in range(ROUNDS)
            )
            ordinary = ordinary or seconds
            table.add_row(name, f"{len(data) / 1e6:.1f}", f"{1000 * seconds:.0f}", f"{seconds / ordinary:.0f}")
    Console().print(table)


def _ordinary() -> bytes:
    reel = Reel(["bigbuckbunny"], width=1280, height=720)
    clip = make_clean_clip(reel, encoder=ENCODERS[0], base="bigbuckbunny", gop_seconds=4, seconds=4)
    (segment,) = clip.segments
    return segment


def _pictures(count: int, stuffing: bytes = b"") -> bytes:
    """Keyframes of a few pixels: one encoded picture, repeated, with NAL units in front."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width = encoder.height = SIDE_PIXELS
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, RATE)
    frame = av.VideoFrame(SIDE_PIXELS, SIDE_PIXELS, "yuv420p")
    picture = stuffing + b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))
    encoded = BytesIO()
    with av.open(encoded, "w", format="mpegts") as output:
        stream = output.add_mux_stream("h264", rate=RATE, width=SIDE_PIXELS, height=SIDE_PIXELS)
        for index in range(count):
            packet = av.Packet(picture)
            packet.stream, packet.time_base = stream, Fraction(1, RATE)
            packet.pts = packet.dts = index
            packet.is_keyframe = True
            output.mux(packet)
    return encoded.getvalue()


if __name__ == "__main__":
    typer.run(main)
