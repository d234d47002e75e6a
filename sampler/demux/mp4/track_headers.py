"""Words of an MP4's header on how a track is shown: matrices, where it begins, and kinds of sample entries. Runs in the
decoder child.

FFmpeg reads them too. It forgets a matrix where pictures carry an orientation of their own, which browsers pass over,
and would leave out what an edit list does, which Firefox shows from the first edit on.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import product
from typing import NamedTuple

from sampler.demux.mp4.boxes import CONTAINERS, TO_THE_END, TopBox, read_within, top_boxes
from sampler.demux.source import Read

MOVIE, TRACK = b"mvhd", b"tkhd"
MATRIX_AT = {MOVIE: (36, 48), TRACK: (40, 52)}
"""Places of the matrix, in versions 0 and 1 (ISO/IEC 14496-12, 8.2.2.2 and 8.3.2.2)."""
TRACK_AT = (12, 20)
"""Places of the track's number."""
MATRIX = struct.Struct(">ii4xii")
SCALE_AT = (12, 20)
"""Places of the ticks a second of the movie."""
EDIT_FORMS = (struct.Struct(">Ii4x"), struct.Struct(">Qq4x"))
"""Forms of an edit, in versions 0 and 1 (8.6.6)."""
ENTRIES, CHUNK_RUNS = b"stsd", b"stsc"
SAMPLE_TABLE = (b"mdia", b"minf", b"stbl")
"""The boxes of a track that hold it, one in the other."""
MOST_ENTRIES, MOST_CHUNK_RUNS = 64, 100_000
"""Sample entries, and runs of chunks that have one, that are read (<=). Files have one of each for each change."""
CHUNK_RUN_BYTES = 12
HEAD_BYTES = 96
"""As much of each box is read."""
ONE = 1 << 16
MOST_DEPTH = 10
"""Boxes in each other, as deep as FFmpeg reads them."""


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


class Edit(NamedTuple):
    """An entry of an edit list."""

    duration: int
    """In ticks of the movie."""
    begins: int
    """In ticks of the track; `EMPTY`."""


EMPTY = -1


def track_matrices(read: Read, track: int) -> set[DisplayMatrix]:
    """Those of a track, each with the movie's; several where headers are doubled, of which players take one or another.

    Args:
        read: reads the input, its init section in front.
        track: its number in the container.
    """
    movies: set[DisplayMatrix] = set()
    tracks: set[DisplayMatrix] = set()
    for moov in _inside(read, b"moov"):
        movies |= _matrices(moov, MOVIE)
        for inside in _tracks(moov, track):
            tracks |= _matrices(inside, TRACK)
    return {movie.after(matrix) for movie, matrix in product(movies or {AS_STORED}, tracks or {AS_STORED})}


def begins_at(read: Read, track: int, time_base: Fraction) -> int | None:
    """Time, in ticks, from which on a file's track is shown, by an edit list that says no more than that.

    It is counted from the first edit's beginning, as FFmpeg counts without `advanced_editlist`. None: there is no list,
    or more in it, or it is not as the standard has it, so that players show one thing or another.
    """
    found: list[list[Edit]] = []
    scale = 0
    for moov in _inside(read, b"moov"):
        kinds = [box.kind for box in top_boxes(moov)]
        if kinds.count(MOVIE) != 1 or b"trak" in kinds[: kinds.index(MOVIE)]:
            return None
        scale = next(int.from_bytes(head[_place(SCALE_AT, head) :][:4]) for head in _heads(moov, MOVIE))
        for inside in _tracks(moov, track):
            # FFmpeg reads a list wherever it is, and as many edits as have room in it.
            if _count_anywhere(inside, b"elst") > 1:
                return None
            for edts in _inside(inside, b"edts"):
                if not all(_is_whole_list(edts, box) for box in top_boxes(edts) if box.kind == b"elst"):
                    return None
                found += [_edits(head) for head in _heads(edts, b"elst")]
    match found:
        case [[Edit(begins=begins)]] if begins != EMPTY:
            return 0
        case [[Edit(duration=duration, begins=-1), Edit(begins=begins)]] if begins != EMPTY and scale:
            return int(duration / (scale * time_base))
    return None


def has_mixed_entries(read: Read, track: int) -> bool:
    """True if samples of a file's track have sample entries of several kinds, or it cannot be told.

    FFmpeg leaves out all but those of the first kind, without a word. Players that decode each show them all.
    """
    for moov in _inside(read, b"moov"):
        tables = list(_tracks(moov, track))
        for kind in SAMPLE_TABLE:
            tables = [inside for table in tables for inside in _inside(table, kind)]
        for table in tables:
            kinds = [kind for box in _inside(table, ENTRIES) for kind in _entry_kinds(box)]
            if len(set(kinds)) > 1:
                used = {number for box in _inside(table, CHUNK_RUNS) for number in _used_entries(box)}
                if len({kinds[number - 1] if 0 < number <= len(kinds) else b"" for number in used}) > 1:
                    return True
    return False


def _entry_kinds(read: Read) -> list[bytes]:
    """Kinds of a table's sample entries (8.5.2), the first ones."""
    inside = partial(read_within, read, TopBox(ENTRIES, 8, TO_THE_END))
    return [box.kind for box in top_boxes(inside, most=MOST_ENTRIES)]


def _used_entries(read: Read) -> set[int]:
    """Numbers, from 1 on, of the sample entries that chunks have (8.7.4); 0 is none, if not all are read."""
    count = int.from_bytes(read(4, 4))
    runs = read(8, CHUNK_RUN_BYTES * min(count, MOST_CHUNK_RUNS))
    used = {int.from_bytes(runs[place : place + 4]) for place in range(8, len(runs), CHUNK_RUN_BYTES)}
    return used | {0} if count > MOST_CHUNK_RUNS else used


def _matrices(read: Read, kind: bytes) -> set[DisplayMatrix]:
    """Those of the headers of a kind among some boxes."""
    return {DisplayMatrix(*MATRIX.unpack_from(head, _place(MATRIX_AT[kind], head))) for head in _heads(read, kind)}


def _edits(head: bytes) -> list[Edit]:
    """Those of a list, of which three are as good as more."""
    form = EDIT_FORMS[head[:1] > b"\0"]
    count = min(int.from_bytes(head[4:8]), 3)
    return [Edit(*form.unpack_from(head, 8 + number * form.size)) for number in range(count)]


def _is_whole_list(read: Read, box: TopBox) -> bool:
    """True if a list of edits is of a version that there is, and as long as it says."""
    head = read(box.offset, 8).ljust(8, b"\0")
    return head[0] < len(EDIT_FORMS) and box.size_bytes == 8 + int.from_bytes(head[4:]) * EDIT_FORMS[head[0]].size


def _count_anywhere(read: Read, kind: bytes, *, depth: int = MOST_DEPTH) -> int:
    """The boxes of a kind in some others, at any depth."""
    boxes = [*top_boxes(read)]
    inner = [box for box in boxes if box.kind in CONTAINERS and depth]
    return sum(box.kind == kind for box in boxes) + sum(
        _count_anywhere(partial(read_within, read, box), kind, depth=depth - 1) for box in inner
    )


def _place(places: tuple[int, int], head: bytes) -> int:
    """The one for the version of a header."""
    return places[head[:1] > b"\0"]


def _tracks(moov: Read, track: int) -> Iterator[Read]:
    """The insides of the boxes of a track."""
    for inside in _inside(moov, b"trak"):
        for head in _heads(inside, TRACK):
            if int.from_bytes(head[_place(TRACK_AT, head) :][:4]) == track:
                yield inside


def _inside(read: Read, kind: bytes) -> Iterator[Read]:
    """The insides of the boxes of a kind among some."""
    return (partial(read_within, read, box) for box in top_boxes(read) if box.kind == kind)


def _heads(read: Read, kind: bytes) -> Iterator[bytes]:
    """The beginnings of the boxes of a kind among some, as long as if they were whole."""
    return (read(box.offset, HEAD_BYTES).ljust(HEAD_BYTES, b"\0") for box in top_boxes(read) if box.kind == kind)
