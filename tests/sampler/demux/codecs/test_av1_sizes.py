"""Sizes of AV1's pictures, which may each have their own, up to the largest that the sequence header allows."""

from dataclasses import replace

import pytest
from kinds import AV1, KINDS, clip
from media import RATE, encode, number_in, steady
from mp4_packets import Coded, coded_in, mp4_of

from config.profiles import BALANCED, VIGILANT
from sampler.child.decoder import Decoder
from sampler.demux.codecs.av1_sizes import Av1Sizes
from sampler.errors import TooLargeError

PICTURES = 4 * RATE
SWITCH_FRAMES = 16
"""One picture of so many can be predicted from pictures of another size, which its sequence header therefore allows."""
SIDE_BITS = 14
LARGEST = 16_384, 8_704
"""What SVT-AV1 allows then, of any picture."""


def switching() -> bytes:
    """A clip with switch frames, from one keyframe on."""
    parameters = f"lp=1:pred-struct=1:sframe-mode=1:sframe-dist={SWITCH_FRAMES}"
    recipe = replace(AV1, options=AV1.options | {"g": str(PICTURES), "svtav1-params": parameters})
    return encode(recipe, steady(PICTURES))


def sides(width: int, height: int) -> str:
    """Both sides as a frame header has them (AV1 specification, 5.9.5)."""
    return f"{width - 1:0{SIDE_BITS}b}{height - 1:0{SIDE_BITS}b}"


def resized(packet: bytes, width: int, height: int) -> bytes:
    """The packet, its picture of another size by its own word."""
    bits = f"{int.from_bytes(packet, 'big'):0{8 * len(packet)}b}"
    before, found, after = bits.partition(sides(AV1.width, AV1.height))
    assert found
    return int(before + sides(width, height) + after, 2).to_bytes(len(packet), "big")


def test_a_size_that_is_only_allowed_is_no_picture_s(decoder: Decoder) -> None:
    """A stream of 360p with switch frames would be refused as one of 142 million pixels."""
    segment = decoder.sample(switching(), profile=VIGILANT, seed=b"sizes")

    assert (segment.notes, segment.unmoderated) == ((), ())
    for frame in segment.frames:
        assert (frame.picture.width, frame.picture.height) == (AV1.width, AV1.height)
        assert number_in(frame.picture.luma()) == round(frame.pts_seconds * RATE)


@pytest.mark.parametrize("index", [0, SWITCH_FRAMES], ids=["keyframe", "switch frame"])
def test_a_picture_that_is_too_large_is_refused_by_its_head(decoder: Decoder, index: int) -> None:
    """A decoder would make all of it, anywhere in a segment."""
    packets = coded_in(switching())
    packets[index] = Coded(resized(packets[index].data, *LARGEST), packets[index].keyframe)

    with pytest.raises(TooLargeError):
        decoder.sample(mp4_of(packets, switching()), profile=BALANCED, seed=b"sizes")


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith("av1")])
def test_every_keyframe_tells_its_size(name: str) -> None:
    """Its cost, and so what may be decoded of the stream, would be unknown."""
    sizes = Av1Sizes(b"")
    pixels = KINDS[name].width * KINDS[name].height
    for coded in coded_in(clip(name)):
        assert sizes.largest(coded.data) in ({pixels} if coded.keyframe else {0, pixels})


def test_a_picture_whose_head_makes_no_sense_counts_as_the_largest() -> None:
    """A header that nothing here can read would pass any size."""
    first, second, *_ = coded_in(switching())
    sizes = Av1Sizes(b"")

    assert sizes.largest(first.data) == AV1.width * AV1.height
    assert sizes.largest(second.data[:4]) == LARGEST[0] * LARGEST[1]
