"""HEVC pictures that say no other leans on them, and that others need all the same.

Sections are those of ITU-T H.265.
"""

from collections.abc import Callable, Sequence

import pytest
from fields import BitWriter
from kinds import x265
from media import encode, rewritten, steady

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.codecs.hevc import HevcReferences
from sampler.demux.codecs.nal import NalCodec, NalReader

VPS_HEAD, SPS_HEAD, PPS_HEAD = b"\x40\x01", b"\x42\x01", b"\x44\x01"
IDR, CRA, TRAIL_N, TRAIL_R = 19, 21, 0, 1
END_OF_SEQUENCE = b"\x48\x01"
ORDER_BITS = 8
P_SLICE, I_SLICE = 1, 2
START_CODE = b"\0\0\1"


def unit(head: bytes, writer: BitWriter) -> bytes:
    return head + writer.unit(0)[5:]


def sequence_parameters(number: int) -> bytes:
    """7.3.2.2, as far as it is read."""
    bits = BitWriter()
    bits.put(0, 4)
    bits.put(0, 3)
    bits.put(1)
    bits.put(1, 88)
    bits.put(30, 8)
    bits.ue(number, 1, 192, 128)
    bits.put(0)
    bits.ue(0, 0, ORDER_BITS - 4)
    bits.put(1)
    bits.ue(4, 2, 0, *[0] * 6)
    # No scaling lists, no AMP, no SAO, no PCM; no sets of references; long-term ones may be.
    bits.put(0, 4)
    bits.ue(0)
    bits.put(1)
    bits.ue(0)
    bits.put(0, 16)
    return unit(SPS_HEAD, bits)


def picture_parameters(number: int) -> bytes:
    """7.3.2.3, as far as it is read."""
    bits = BitWriter()
    bits.ue(number, number)
    bits.put(0, 16)
    return unit(PPS_HEAD, bits)


def a_slice(
    kind: int,
    order: int = 0,
    *,
    keeps: Sequence[int] = (),
    uses: Sequence[int] = (),
    parameters: int = 0,
    long: int = 0,
) -> bytes:
    """A picture's first slice (7.3.6.1) that keeps some pictures, by their orders, and uses some of them."""
    bits = BitWriter()
    bits.put(1)
    if kind == IDR:
        bits.put(0)
    bits.ue(parameters, I_SLICE if kind == IDR else P_SLICE)
    if kind != IDR:
        bits.put(order, ORDER_BITS)
        bits.put(0)
        bits.ue(len(keeps), 0)
        last = order
        for one in sorted(keeps, reverse=True):
            bits.ue(last - one - 1)
            bits.put(one in uses)
            last = one
        bits.ue(long)
    bits.put(0, 64)
    return unit(bytes([kind << 1, 1]), bits)


SETS = [sequence_parameters(0), sequence_parameters(1), picture_parameters(0), picture_parameters(1)]
KEYFRAME = a_slice(IDR)
LEAF = a_slice(TRAIL_N, 1, keeps=[0], uses=[0])
NEXT = a_slice(TRAIL_R, 2, keeps=[0], uses=[0])


def read(*pictures: bytes) -> list[bool]:
    """For each picture whether others need it, by what is known after the last one."""
    reader = NalReader(NalCodec.HEVC, b"")
    needed: list[bool] = []
    for number, picture in enumerate(pictures):
        sets = b"".join(START_CODE + one for one in SETS) if not number else b""
        head = reader.read(sets + START_CODE + picture)
        needed = [True] * len(needed) if reader.leaf_named else needed
        needed.append(head.reference)
    return needed


def test_a_picture_that_none_leans_on_may_be_left_out() -> None:
    """Most pictures of most streams would be decoded for nothing."""
    assert read(KEYFRAME, LEAF, NEXT) == [True, False, True]


NEEDED = {
    "others name it": [LEAF, a_slice(TRAIL_R, 2, keeps=[1], uses=[1])],
    "others name long-term references": [LEAF, a_slice(TRAIL_R, 2, keeps=[0], uses=[0], long=1)],
    "it puts another out": [a_slice(TRAIL_N, 1), NEXT],
    "it puts one of two out": [
        a_slice(TRAIL_R, 1, keeps=[0], uses=[0]),
        a_slice(TRAIL_N, 2, keeps=[1], uses=[1]),
        a_slice(TRAIL_R, 3, keeps=[0, 1], uses=[0]),
    ],
    "it is of another sequence": [a_slice(TRAIL_N, 1, keeps=[0], uses=[0], parameters=1), NEXT],
    "it ends the sequence": [LEAF + START_CODE + END_OF_SEQUENCE, NEXT],
    "its header makes no sense": [a_slice(TRAIL_N, 1, parameters=9), NEXT],
}


@pytest.mark.parametrize("pictures", NEEDED.values(), ids=NEEDED.keys())
def test_one_that_changes_others_is_decoded(pictures: list[bytes]) -> None:
    """Samples would show what no player shows, without any error."""
    assert all(read(KEYFRAME, *pictures))


def test_a_picture_in_the_middle_of_a_gop_is_of_no_other_sequence() -> None:
    """In segments that begin without a keyframe all would be decoded."""
    references = HevcReferences()
    for one in SETS:
        references.learn(one)
    references.leans_outside(NEXT)
    assert not references.leaf_named


DISCARDING: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "no output of prior pictures": lambda coded: [discarding(one) for one in coded],
    "the end of a sequence in front": lambda coded: [END_OF_SEQUENCE, *coded],
}


def discarding(coded: bytes) -> bytes:
    """A keyframe's slice that says so, and any other unit as it is."""
    return coded[:2] + bytes([coded[2] | 0x40]) + coded[3:] if coded[0] >> 1 in (IDR, CRA) else coded


@pytest.mark.parametrize("change", DISCARDING.values(), ids=DISCARDING.keys())
@pytest.mark.parametrize("bframes", [8, 0])
def test_pictures_that_some_players_never_show_leave_all_unmoderated(
    decoder: Decoder, change: Callable[[list[bytes]], list[bytes]], bframes: int
) -> None:
    """Samples would be of pictures that nobody sees, and speak for others that stay for as long."""
    recipe = x265(keyint=25, min_keyint=25, open_gop=1, bframes=bframes, b_adapt=0, rc_lookahead=20)
    clip = encode(recipe, steady(100))
    data = rewritten(clip, lambda index, coded: change(coded) if index and is_keyframe(coded) else coded)
    segment = decoder.sample(data, profile=BALANCED, seed=b"discards")

    assert ("second_video_stream" in segment.notes) == (bframes > 0)
    assert decoder.sample(clip, profile=BALANCED, seed=b"discards").notes == ()


def is_keyframe(coded: list[bytes]) -> bool:
    return any(one[0] >> 1 in (IDR, CRA) for one in coded)


@pytest.mark.parametrize("declared", [True, False])
def test_a_layer_of_its_own_leaves_all_unmoderated(decoder: Decoder, declared: bool) -> None:
    """Headsets show another view to one eye, and browsers what is transparent, which no sample shows."""

    def change(_index: int, coded: list[bytes]) -> list[bytes]:
        units = [
            one[:3] + bytes([one[3] | 0x10]) + one[4:] if declared and one[:2] == VPS_HEAD else one for one in coded
        ]
        return [*units, bytes([coded[-1][0], 1 << 3 | 1]) + coded[-1][2:]]

    data = rewritten(encode(x265(), steady(50)), change)

    assert ("second_video_stream" in decoder.sample(data, profile=BALANCED, seed=b"layers").notes) == declared


DOLBY = {
    "a layer": (63, ("second_video_stream", "odd_colours")),
    "curves": (62, ("odd_colours",)),
    "other": (57, ()),
}
"""Kinds of NAL units, and the notes on a stream that has them."""


@pytest.mark.parametrize(("kind", "notes"), DOLBY.values(), ids=DOLBY.keys())
def test_what_players_with_dolby_vision_show_otherwise_is_noted(
    decoder: Decoder, kind: int, notes: tuple[str, ...]
) -> None:
    """They add a layer to each picture, or change its levels by curves, which phones write too."""
    recipe = x265(keyint=25, min_keyint=25, bframes=0, open_gop=0)
    unit = bytes([kind << 1, 1]) + b"\x55" * 40
    data = rewritten(encode(recipe, steady(50)), lambda _, units: [*units, unit])
    segment = decoder.sample(data, profile=BALANCED, seed=b"layers")
    whole = segment.duration_seconds if "second_video_stream" in notes else 0.0

    assert segment.notes == notes
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(whole)
