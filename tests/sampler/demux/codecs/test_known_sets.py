"""Floods of parameter sets: each that is read costs up to half a millisecond."""

import pytest
from fields import BitWriter
from kinds import HEVC
from media import Recipe, encode, rewritten, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.codecs.bits import Bits, HeaderError
from sampler.demux.codecs.known_sets import MOST_DIFFERENT, FloodError, KnownSets
from sampler.demux.codecs.nal import NalCodec, NalReader

H264 = x264(keyint=25, min_keyint=25, scenecut=0, bframes=0)
RECIPES = {"h264": H264, "hevc": HEVC}
START_CODE = b"\0\0\1"
SPS, PPS = 7, 8


def numbered(number: int) -> bytes:
    """A unit that differs from others, after two bytes of head."""
    bits = BitWriter()
    bits.ue(number, 1)
    return bits.unit(0)[3:]


def number_of(bits: Bits) -> tuple[int, int]:
    number = bits.ue()
    if number == 7:
        raise HeaderError
    return number, number


def test_each_is_read_once_and_no_more_than_so_many() -> None:
    read: list[int] = []

    def counted(bits: Bits) -> tuple[int, int]:
        read.append(1)
        return number_of(bits)

    sets = KnownSets(counted, head_bytes=2, most_bytes=100)
    for _ in range(3):
        for number in range(MOST_DIFFERENT + 40):
            if number == 7:
                with pytest.raises(HeaderError):
                    sets.read(numbered(number))
            elif number < MOST_DIFFERENT:
                assert sets.read(numbered(number)) == (number, number)
            else:
                with pytest.raises(FloodError):
                    sets.read(numbered(number))
    assert len(read) == MOST_DIFFERENT


def units_of(recipe: Recipe) -> list[list[bytes]]:
    found: list[list[bytes]] = []
    rewritten(encode(recipe, steady(50)), lambda _, units: found.append(units) or units)
    return found


def picture_set(number: int) -> bytes:
    """A PPS of H.264 of that number (7.3.2.2), of SPS 0."""
    bits = BitWriter()
    bits.ue(number, 0)
    bits.put(0, 2)
    bits.ue(0, 0, 0)
    bits.put(0, 3)
    bits.ue(0, 0, 0)
    bits.put(0, 3)
    return bits.unit(0x68)[4:]


def test_in_a_flood_nothing_is_known_until_known_ones_come_again() -> None:
    """What a decoder has by then was not read; of what is not known nothing is believed."""
    (first, *_), *_ = [units_of(H264)]
    flood = [picture_set(number) for number in range(1, 250)] + [
        picture_set(number) + b"\1" for number in range(1, 250)
    ]
    reader = NalReader(NalCodec.H264, b"")

    def read(units: list[bytes]) -> int | None:
        return reader.read(b"".join(START_CODE + unit for unit in units)).quantiser

    slices = [unit for unit in first if unit[0] & 0x1F not in (SPS, PPS)]
    known = read(first)
    assert known is not None
    for start in range(0, len(flood), 40):
        read([*flood[start : start + 40], *slices])
    assert read(slices) is None
    assert read(first) == known


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_stream_with_a_flood_is_sampled(decoder: Decoder, recipe: Recipe) -> None:
    """A player shows it as ever."""
    data = encode(recipe, steady(50))
    kind = (lambda unit: unit[0] & 0x1F == PPS) if recipe is H264 else (lambda unit: unit[0] >> 1 == 34)
    picture = next(unit for units in units_of(recipe) for unit in units if kind(unit))
    count = iter(range(1, 10_000))

    def flooded(_index: int, units: list[bytes]) -> list[bytes]:
        # Bytes behind the end are no part of it for a decoder, and make it another one.
        return [*(picture + b"\x80" + next(count).to_bytes(2) + b"\1" for _ in range(30)), *units]

    segment = decoder.sample(rewritten(data, flooded), profile=BALANCED, seed=b"flood")
    plain = decoder.sample(data, profile=BALANCED, seed=b"flood")

    assert {frame.pts_seconds for frame in plain.frames} <= {frame.pts_seconds for frame in segment.frames}
    assert not any(frame.concealed for frame in segment.frames)
    assert segment.unmoderated == ()
