"""Pictures that are decoded without the loop filter, beside the same ones with it."""

import numpy as np
from media import FRAME_SECONDS, encode_pictures, photograph, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED, SamplingProfile
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.frames import SampledFrame, SampleReason

EXACT = BALANCED.model_copy(update={"exact_pictures": True})
GOP = 48
LONG, VERY_LONG = 100, 240
NEAR_BITS = 10
"""The most that PDQ moved over GOPs of 2 s, of a distance of 31."""


def photographed(start: int, stop: int, count: int, gop: int, **parameters: int) -> bytes:
    """A moving photograph of which pictures [start, stop) are another one."""
    recipe = x264(**{"keyint": gop, "min_keyint": gop, "scenecut": 0, "bframes": 3} | parameters)

    def luma(index: int) -> NDArray[np.float64]:
        name = "coffee" if start <= index < stop else "astronaut"
        return np.roll(photograph(name, recipe.width, recipe.height), index, axis=1)

    return encode_pictures(recipe, steady(count), luma)


def taken(decoder: Decoder, data: bytes, profile: SamplingProfile) -> dict[int, SampledFrame]:
    """The samples by number of picture."""
    frames = decoder.sample(data, profile=profile, seed=b"thrift").frames
    return {round(frame.pts_seconds / FRAME_SECONDS): frame for frame in frames}


def test_pictures_of_a_cut_keep_their_hash(decoder: Decoder) -> None:
    """An insert of a listed picture would match no list."""
    data = photographed(20, 33, 2 * GOP, GOP)
    thrifty, exact = taken(decoder, data, BALANCED), taken(decoder, data, EXACT)
    cuts = [number for number, frame in thrifty.items() if frame.reason is SampleReason.CUT]

    assert cuts
    assert thrifty.keys() == exact.keys()
    for number in cuts:
        hashes = [hash_luma(frames[number].picture.luma()) for frames in (thrifty, exact)]
        assert hashes[0].distance(hashes[1]) <= NEAR_BITS


def test_keyframes_and_pictures_late_in_a_gop_are_exact(decoder: Decoder) -> None:
    """What is left out adds up over a long GOP, until hashes match no list."""
    data = photographed(0, 0, LONG, LONG)
    thrifty, exact = taken(decoder, data, BALANCED), taken(decoder, data, EXACT)

    assert len(thrifty) > 1
    assert thrifty.keys() == exact.keys()
    for number, frame in thrifty.items():
        assert np.array_equal(frame.picture.luma(), exact[number].picture.luma())


def test_pictures_late_in_a_long_gop_keep_their_hash(decoder: Decoder) -> None:
    """Where a cut near its end has all of a GOP decoded, what is left out would add up all the way."""
    data = photographed(VERY_LONG - 30, VERY_LONG - 17, VERY_LONG, VERY_LONG, crf=44, bframes=0)
    thrifty, exact = taken(decoder, data, BALANCED), taken(decoder, data, EXACT)

    assert thrifty.keys() == exact.keys()
    moved = [hash_luma(thrifty[n].picture.luma()).distance(hash_luma(exact[n].picture.luma())) for n in thrifty]
    assert max(moved) <= NEAR_BITS
