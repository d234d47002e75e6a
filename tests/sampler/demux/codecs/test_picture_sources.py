"""Which pictures others may be predicted from, by the headers of a stream that is written bit by bit.

Sections are those of ITU-T H.264.
"""

from collections.abc import Sequence

import pytest
from fields import (
    BLOCK,
    FRAME_NUMBER_BITS,
    I_SLICE,
    IDR,
    LEVEL,
    MAIN_PROFILE,
    P_SLICE,
    SLICE,
    SPS,
    BitWriter,
    picture_parameters,
)
from long_term import UNREFERENCED_SLICE

from sampler.demux.codecs.picture_sources import PictureSources, Sources

B_SLICE = 6
KEPT = 3
"""References that a decoder keeps."""
FORGET, FORGET_LONG, MAKE_LONG, LIMIT_LONG, RENEW, BE_LONG = range(1, 7)
OLDER, NEWER, BY_LONG_NUMBER = range(3)
"""modification_of_pic_nums_idc (table 7-7)."""
END_OF_LIST = 3


def sets(kept: int = KEPT) -> bytes:
    bits = BitWriter()
    bits.put(MAIN_PROFILE, 8)
    bits.put(LEVEL, 16)
    bits.ue(0, FRAME_NUMBER_BITS - 4, 0, FRAME_NUMBER_BITS - 4, kept)
    bits.put(0)
    bits.ue(BLOCK - 1, BLOCK - 1)
    bits.put(0b1100, 4)
    return bits.unit(SPS) + picture_parameters()


def picture(
    kind: int,
    number: int,
    order: int,
    *lists: Sequence[tuple[int, int]],
    lengths: Sequence[int] = (),
    reference: bool = True,
    marking: Sequence[tuple[int, ...]] = (),
) -> bytes:
    """The slice header of a picture: `lists` are modifications, each a kind and a number."""
    bits = BitWriter()
    bits.ue(0, kind, 0)
    bits.put(number, FRAME_NUMBER_BITS)
    bits.put(order, FRAME_NUMBER_BITS)
    if kind == B_SLICE:
        bits.put(1)
    if kind != I_SLICE:
        bits.put(1)
        bits.ue(*(length - 1 for length in lengths))
        for named in lists or [()] * len(lengths):
            bits.put(bool(named))
            if named:
                bits.ue(*(value for pair in named for value in pair), END_OF_LIST)
    if reference:
        bits.put(bool(marking))
        if marking:
            bits.ue(*(value for operation in marking for value in operation), 0)
    bits.ue(0)
    return bits.unit(SLICE if reference else UNREFERENCED_SLICE)


def intra(number: int, order: int, *marking: tuple[int, ...]) -> bytes:
    return picture(I_SLICE, number, order, marking=marking)


def predicted(number: int, order: int, length: int, *named: tuple[int, int], **options: object) -> bytes:
    return picture(P_SLICE, number, order, named, lengths=[length], **options)  # type: ignore[arg-type]


def between(number: int, order: int, *lengths: int, lists: Sequence[Sequence[tuple[int, int]]] = ()) -> bytes:
    return picture(B_SLICE, number, order, *lists, lengths=lengths, reference=False)


def sources(*pictures: bytes) -> list[Sources]:
    reader = PictureSources(sets())
    for number, packet in enumerate(pictures):
        reader.read(number, packet)
    return [reader.of(number) for number in range(len(pictures))]


THREE = intra(1, 2), predicted(2, 8, 1), predicted(3, 14, 2)
"""Shown at 2, 8 and 14."""
INSIDE = {
    "the latest": ([*THREE, predicted(4, 18, 1)], {2}),
    "the two latest": ([*THREE, predicted(4, 18, 2)], {1, 2}),
    "all": ([*THREE, predicted(4, 18, 3)], {0, 1, 2}),
    "none that was put out for a newer one": ([*THREE, predicted(4, 18, 1), predicted(5, 22, 3)], {1, 2, 3}),
    "one by its number": ([*THREE, predicted(4, 18, 1, (OLDER, 2))], {0}),
    "one by its number, and the latest": ([*THREE, predicted(4, 18, 2, (OLDER, 2))], {0, 2}),
    "none that is forgotten": ([*THREE[:2], predicted(3, 14, 1, marking=[(FORGET, 0)]), predicted(4, 18, 2)], {0, 2}),
    "a long-term one, by its number": (
        [intra(1, 2, (BE_LONG, 0)), predicted(2, 8, 1, (BY_LONG_NUMBER, 0))],
        {0},
    ),
    "a long-term one, behind others": (
        [*THREE[:2], predicted(3, 14, 1, marking=[(MAKE_LONG, 1, 0)]), predicted(4, 18, 3)],
        {0, 1, 2},
    ),
    "after all were put out": ([*THREE, intra(4, 20, (RENEW,)), predicted(1, 24, 3)], {3}),
    "the nearest on both sides": ([*THREE, between(4, 10, 1, 1)], {1, 2}),
    "the nearest two before": ([*THREE, between(4, 18, 2, 1)], {1, 2}),
    "the second list begins with another": ([*THREE, between(4, 18, 1, 1)], {1, 2}),
    "a B-frame's by their numbers": ([*THREE, between(4, 10, 1, 1, lists=[[(OLDER, 2)], [(OLDER, 2)]])], {0}),
    "nothing": ([intra(1, 2)], set()),
}
"""Pictures, and the sources of the last one by their numbers."""


@pytest.mark.parametrize(("pictures", "expected"), INSIDE.values(), ids=INSIDE.keys())
def test_a_picture_leans_on_what_its_lists_reach(pictures: list[bytes], expected: set[int]) -> None:
    """Pictures would stay unmoderated though all that they lean on was there."""
    assert sources(*pictures)[-1] == expected


OUTSIDE = {
    "a list longer than what there is": [intra(1, 2), predicted(2, 8, 2)],
    "a number that there is not": [*THREE, predicted(4, 18, 1, (OLDER, 3))],
    "a long-term one that there is not": [*THREE, predicted(4, 18, 1, (BY_LONG_NUMBER, 0))],
    "a long-term one that is older": [
        intra(2, 2),
        predicted(3, 8, 1, marking=[(MAKE_LONG, 1, 0)]),
        predicted(4, 14, 1, (BY_LONG_NUMBER, 0)),
    ],
    "one that was forgotten": [*THREE, predicted(4, 18, 1, marking=[(FORGET, 0)]), predicted(5, 22, 1, (OLDER, 1))],
    "one that was put out for a newer one": [*THREE, predicted(4, 18, 1), predicted(5, 22, 1, (OLDER, 3))],
    "a frame that is missing": [*THREE, predicted(5, 18, 1)],
    "after a number that goes back": [*THREE, predicted(2, 18, 1), predicted(3, 22, 1)],
    "a B-frame while older ones may be there": [*THREE[:2], between(3, 10, 1, 1)],
    "what came before a header that makes no sense": [*THREE, b"\0\0\1\x61\xff" + bytes(8), predicted(5, 22, 1)],
    "what is kept after another count of references": [*THREE, sets(KEPT - 1) + predicted(4, 18, 1)],
}
"""Pictures, of which the last one may lean on one from before them."""


@pytest.mark.parametrize("pictures", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_a_picture_may_lean_on_what_is_not_there(pictures: list[bytes]) -> None:
    """What nobody has seen would count as moderated."""
    assert sources(*pictures)[-1] is None


def test_nothing_is_older_than_an_idr_picture() -> None:
    """A B-frame would stay unmoderated until as many references came as a decoder keeps."""
    bits = BitWriter()
    bits.ue(0, I_SLICE, 0)
    bits.put(0, FRAME_NUMBER_BITS)
    bits.ue(0)
    bits.put(0, FRAME_NUMBER_BITS)
    bits.put(0b00, 2)
    bits.ue(0)
    assert sources(bits.unit(IDR), predicted(1, 8, 1), between(2, 4, 1, 1))[-1] == {0, 1}
