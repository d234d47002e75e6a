"""Matrices by which an MP4 wants a track's pictures shown. Runs in the decoder child.

FFmpeg knows them too, and forgets them where pictures carry an orientation of their own, which browsers pass over.
"""

import struct
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

from sampler.demux.boxes import Read, TopBox, read_within, top_boxes

MOVIE, TRACK = b"mvhd", b"tkhd"
MATRIX_AT = {MOVIE: (36, 48), TRACK: (40, 52)}
"""Places of the matrix, in versions 0 and 1 (ISO/IEC 14496-12, 8.2.2.2 and 8.3.2.2)."""
TRACK_AT = (12, 20)
"""Places of the track's number."""
FIELDS = struct.Struct(">ii4xii")
HEAD_BYTES = 96
"""As much of each box is read."""
ONE = 1 << 16


class DisplayMatrix(NamedTuple):
    """Players show the pixel (x, y) at (ax + cy, bx + dy), times 2 ** -16 (ISO/IEC 14496-12, 6.2.2)."""

    a: int
    b: int
    c: int
    d: int

    def after(self, first: "DisplayMatrix") -> "DisplayMatrix":
        """This one applied to what another gives."""
        return DisplayMatrix(
            (first.a * self.a + first.b * self.c) // ONE,
            (first.a * self.b + first.b * self.d) // ONE,
            (first.c * self.a + first.d * self.c) // ONE,
            (first.c * self.b + first.d * self.d) // ONE,
        )


AS_STORED = DisplayMatrix(ONE, 0, 0, ONE)


def track_matrices(read: Read, track: int) -> set[DisplayMatrix]:
    """Those of a track, each with the movie's; several where headers are doubled, of which players take one or another.

    Args:
        read: reads the input, its init section in front.
        track: its number in the container.
    """
    movies: set[DisplayMatrix] = set()
    tracks: set[DisplayMatrix] = set()
    for moov in top_boxes(read):
        if moov.kind == b"moov":
            inside = partial(read_within, read, moov)
            movies |= set(_matrices(inside, MOVIE))
            for box in top_boxes(inside):
                if box.kind == b"trak":
                    tracks |= set(_matrices(partial(read_within, inside, box), TRACK, track=track))
    return {movie.after(matrix) for movie, matrix in product(movies or {AS_STORED}, tracks or {AS_STORED})}


def _matrices(read: Read, kind: bytes, *, track: int | None = None) -> Iterator[DisplayMatrix]:
    """Those of the headers of a kind among some boxes; `track`: only of that number."""
    for box in top_boxes(read):
        if box.kind == kind:
            yield from _matrix(read, box, track)


def _matrix(read: Read, box: TopBox, track: int | None) -> Iterator[DisplayMatrix]:
    head = read(box.offset, HEAD_BYTES)
    version = int(head[:1] > b"\0")
    place = MATRIX_AT[box.kind][version]
    if len(head) < place + FIELDS.size:
        return
    number = int.from_bytes(head[TRACK_AT[version] :][:4])
    if track is None or number == track:
        yield DisplayMatrix(*FIELDS.unpack_from(head, place))
