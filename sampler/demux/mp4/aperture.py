"""The part of its pictures that an MP4 wants shown: its clean aperture. Runs in the decoder child.

Safari and the ffmpeg program show no more than that, other players all of each picture.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from sampler.demux.mp4.boxes import top_boxes
from sampler.demux.source import Read

CROPPED = "cropped"
"""Note, and reason of stretches: players show a part of the pictures, or all of them, and which is unknown."""
MOST_LEFT_OUT = 1 / 64
"""Share of a side that may (<=) be left out at each of its ends. So much at all four moves the PDQ hashes of four
photographs by 14 to 30 bits, of a smooth one by 70; half as much again by 32 to 46, and 96. Digitised television leaves
out 9 of 720 pixels."""
CLAP = b"clap"
FIELDS = struct.Struct(">IIIIiIiI")
"""Width, height, and the offset of its middle to the right and down, each as a fraction (ISO/IEC 14496-12, 12.1.4)."""
CHUNK_BYTES = 1 << 20


class Aperture(NamedTuple):
    """The part that is shown, in pixels."""

    width: float
    height: float
    right: float
    """Its middle lies so far from the picture's."""
    down: float

    def leaves_out(self, width: int, height: int) -> bool:
        """True if more than `MOST_LEFT_OUT` of a picture of that size is not shown."""
        sides = ((width, self.width, self.right), (height, self.height, self.down))
        return any((side - kept) / 2 + abs(offset) > side * MOST_LEFT_OUT for side, kept, offset in sides)


def apertures(read: Read) -> set[Aperture] | None:
    """Those of all tracks. FFmpeg takes one wherever it is in `moov`, so it is searched for by its name.

    Args:
        read: reads the input, its init section in front.

    Returns:
        None: `moov` is behind so many boxes that it is not found.
    """
    ends = [(box.offset, box.offset + box.size_bytes) for box in top_boxes(read) if box.kind == b"moov"]
    return {aperture for start, end in ends for aperture in _inside(read, start, end)} if ends else None


def _inside(read: Read, start: int, end: int) -> Iterator[Aperture]:
    while len(data := read(start, min(CHUNK_BYTES, end - start))) >= len(CLAP):
        found = data.find(CLAP)
        while found >= 0:
            if (aperture := _aperture(read, start + found, end)) is not None:
                yield aperture
            found = data.find(CLAP, found + 1)
        # The name may be in two chunks.
        start += len(data) - len(CLAP) + 1


def _aperture(read: Read, named: int, end: int) -> Aperture | None:
    """The one whose name is there; None: these letters are something else, or what they name is none."""
    size = int.from_bytes(read(named - 4, 4), "big")
    content = named + len(CLAP) + (8 if size == 1 else 0)
    data = read(content, FIELDS.size)
    if len(data) < FIELDS.size or (size > 1 and (size < 8 + FIELDS.size or named - 4 + size > end)):
        return None
    fields = FIELDS.unpack(data)
    if not all((*fields[:4], fields[5], fields[7])):
        return None
    return Aperture(*(above / below for above, below in zip(fields[::2], fields[1::2], strict=True)))
