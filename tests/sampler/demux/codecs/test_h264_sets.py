"""H.264 parameter sets that decoders do not take, or take otherwise: no slice header is read by them.

Sections are those of ITU-T H.264.
"""

import io

import av
import pytest
from fields import BitWriter
from kinds import H264
from media import Recipe, encode, steady, x264

from sampler.demux.codecs.h264 import QuantiserReader

MAIN, HIGH_444_OF_OLD, LEVEL = 77, 144, 30
SPS, PPS, IDR = 0x67, 0x68, 0x65
FRAME_NUMBER_BITS = 8


def sequence_parameters(
    *,
    profile: int = MAIN,
    number_bits: int = FRAME_NUMBER_BITS,
    order_type: int = 2,
    frames: int = 2,
    reordered: int | None = None,
    rates: int = 0,
) -> bytes:
    """7.3.2.1.1, with the VUI up to max_num_reorder_frames, or its rates, if they are given."""
    bits = BitWriter()
    bits.put(profile, 8)
    bits.put(LEVEL, 16)
    bits.ue(0, number_bits - 4, order_type, frames)
    bits.put(0)
    bits.ue(11, 7)
    bits.put(0b110, 3)
    bits.put(reordered is not None or rates > 0)
    bits.put(0, 5)
    bits.put(rates > 0)
    if rates:
        bits.ue(rates - 1)
        bits.put(0, 8)
        for _ in range(rates):
            bits.ue(0, 0)
            bits.put(0)
        bits.put(0, 20)
    bits.put(0)
    bits.put(0, 2 if rates else 1)
    bits.put(reordered is not None)
    bits.put(0)
    bits.ue(0, 0, 0, 0, reordered or 0, 0)
    return bits.unit(SPS)[4:]


def picture_parameters(*, sequence: int = 0, references: int = 1, offset: int = 0) -> bytes:
    """7.3.2.2."""
    bits = BitWriter()
    bits.ue(0, sequence)
    bits.put(0, 2)
    bits.ue(0, references - 1, 0)
    bits.put(0, 3)
    bits.ue(0, 0, offset)
    bits.put(0, 3)
    return bits.unit(PPS)[4:]


def keyframe() -> bytes:
    bits = BitWriter()
    bits.ue(0, 7, 0)
    bits.put(0, FRAME_NUMBER_BITS)
    bits.ue(0)
    bits.put(0, 2)
    bits.ue(4)
    return bits.unit(IDR)[4:]


def is_read(*sets: bytes) -> bool:
    reader = QuantiserReader()
    for one in sets:
        reader.learn(one)
    reader.read(keyframe())
    return reader.head is not None


GOOD = [sequence_parameters(), picture_parameters()]
TAKEN = {
    "none": [],
    "the same": GOOD,
    "others": [sequence_parameters(frames=4, reordered=2), picture_parameters(references=3)],
    "with rates": [sequence_parameters(rates=2, reordered=0), picture_parameters()],
    "cut off": [sequence_parameters()[:10], picture_parameters()],
    "of the same fields": [sequence_parameters(reordered=3)],
}
NOT_TAKEN = {
    "too many frames": [sequence_parameters(frames=17), picture_parameters()],
    "too much is reordered": [sequence_parameters(reordered=17), picture_parameters()],
    "too many rates": [sequence_parameters(rates=40), picture_parameters()],
    "of a profile that some know": [sequence_parameters(profile=HIGH_444_OF_OLD), picture_parameters()],
    "of too many bits": [sequence_parameters(number_bits=17), picture_parameters()],
    "of an order that there is not": [sequence_parameters(order_type=3), picture_parameters()],
    "an SPS whose PPS came before": [sequence_parameters(number_bits=FRAME_NUMBER_BITS + 1)],
    "a PPS of too many references": [picture_parameters(references=33)],
    "a PPS of an SPS that there is not": [picture_parameters(sequence=5)],
    "a PPS of an offset that there is not": [picture_parameters(offset=30)],
}


@pytest.mark.parametrize("sets", TAKEN.values(), ids=TAKEN.keys())
def test_headers_are_read_by_the_sets_that_decoders_take(sets: list[bytes]) -> None:
    """Pictures would be decoded for nothing, and keyframes count as none."""
    assert is_read(*GOOD, *sets)


@pytest.mark.parametrize("sets", NOT_TAKEN.values(), ids=NOT_TAKEN.keys())
def test_no_header_is_read_by_others(sets: list[bytes]) -> None:
    """A decoder reads it by those before: a header could say that a picture leans on others than it does."""
    assert not is_read(*GOOD, *sets)
    assert is_read(*GOOD, *sets, *GOOD)


ENCODERS = {
    "high": H264,
    "interlaced": x264(tff=1, bframes=2),
    "with rates": x264(nal_hrd="cbr", vbv_maxrate=500, vbv_bufsize=500, bitrate=500),
}


@pytest.mark.parametrize("recipe", ENCODERS.values(), ids=ENCODERS.keys())
def test_those_of_encoders_are_taken(recipe: Recipe) -> None:
    """Quantisers tell of cuts that sizes do not, and would be unknown."""
    reader = QuantiserReader()
    with av.open(io.BytesIO(encode(recipe, steady(20)))) as source:
        packets = [bytes(packet) for packet in source.demux(video=0)]
    for unit in (unit for packet in packets for unit in packet.split(b"\0\0\1")[1:]):
        if unit[0] & 0x1F in (SPS & 0x1F, PPS & 0x1F):
            reader.learn(unit)
        elif unit[0] & 0x1F in (1, IDR & 0x1F):
            assert reader.read(unit) is not None
