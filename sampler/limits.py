"""Limits of one input: bytes, pixels, frames, streams, seconds and memory."""

import mmap
from dataclasses import dataclass
from typing import Self

MIB = 1 << 20
ROOM = 2
"""FFmpeg's own bound on a picture's pixels counts the margins that it works in, so it is set to so many times
Livewarden's, which the sampler checks itself: on a picture's head, and on the shown picture."""


BATCH_BYTES = 16 * MIB
"""Pictures are handed over when they reach this size: the parent works on one file while the decoder fills the other,
and signals when it is done."""
BATCH_PICTURES = 256
"""Or this number: what the parent reads at once is bounded however small they are."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds for one call of the decoder. All are inclusive: a value at the limit is allowed."""

    input_bytes: int = 64 * MIB
    """A segment of 10 s at 50 Mbit/s, the top of what platforms take in, is 60 MiB."""
    picture_pixels: int = 64_000_000
    """Above 8K (33 MP) and above the pictures of phones (50 MP); 64 MP are 96 MB as YUV, 192 MB as RGB."""
    picture_side_pixels: int = 16
    """The smallest width and height: below one macroblock there is nothing to recognise."""
    frames: int = 20_000
    """In one segment: over five minutes at 60 frames a second. """
    frames_per_second: int = 1_000
    """Four times the fastest screen that people broadcast from; a stream that claims more is nonsense."""
    streams: int = 64
    """Elementary streams that a container may declare. Real ones have under ten."""
    window_seconds: float = 30.0
    """A longer input is sampled in windows, each of complete GOPs, so that pictures come out as it is read."""
    window_bytes: int = 128 * MIB
    """Packets held at once: a window is cut here at the latest, be it within a GOP."""
    window_frames: int = 100_000
    """The same by count, for packets may be tiny, and each costs 600 bytes to keep."""
    output_bytes: int = 512 * MIB
    """Pictures of one window: 350 of 1080p, or five of 64 MP; the plan takes fewer where they are larger."""
    wall_seconds: float = 30.0
    """Then the child is killed. Well under the redelivery time-out of a segment; decoding takes under 1 s."""
    memory_bytes: int = 1536 * MIB
    """Address space of the child over what the interpreter and its libraries map: packets of one window and reference
    pictures of one decoder (16 of 8K at the most). Besides, in memory that both sides share: the input, and pictures
    handed over, at most twice `batch_file_bytes`."""

    @property
    def batch_file_bytes(self) -> int:
        """Size of one of the files in which pictures are handed over: a batch, and the picture that makes it full, at
        three bytes a pixel and a fourth for what pads its rows."""
        return BATCH_BYTES + 4 * self.picture_pixels

    @classmethod
    def for_files(cls) -> Self:
        """Bounds for a file that a person names: hours of video, worked through in windows."""
        return cls(input_bytes=1 << 41, frames=4_000_000, wall_seconds=6 * 3600.0)


def has_room(count: int) -> bool:
    """True if `count` more bytes are available.

    Libraries that are refused memory often call the picture damaged; called afterwards, this distinguishes them.
    """
    try:
        mmap.mmap(-1, max(count, 1)).close()
    except OSError:
        return False
    return True
