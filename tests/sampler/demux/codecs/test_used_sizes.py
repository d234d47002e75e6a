"""The size that pictures count by in the bound of macroblocks: that of the parameter sets which slices use."""

from dataclasses import replace

import pytest
from fields import BitWriter
from kinds import CLOSED, GOP, HEVC
from media import Recipe, encode, rewritten, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

WIDTH, HEIGHT = 4096, 2304
H264 = x264(**CLOSED)
SPS, PPS = 7, 8


def units_of(recipe: Recipe) -> list[bytes]:
    """The first picture's NAL units."""
    found: list[list[bytes]] = []
    rewritten(encode(recipe, steady(1)), lambda _, units: found.append(units) or units)
    return found[0]


def large(*, pps: bool) -> list[bytes]:
    """Parameter sets number 5 of large pictures."""
    recipe = replace(x264(sps_id=5, **CLOSED), width=WIDTH, height=HEIGHT)
    kinds = {SPS, PPS} if pps else {SPS}
    return [unit for unit in units_of(recipe) if unit[0] & 0x1F in kinds]


def large_hevc() -> list[bytes]:
    """The beginning of an SPS of large pictures (H.265, 7.3.2.2), number 5."""
    bits = BitWriter()
    bits.put(0, 8)
    for _ in range(12):
        bits.put(0x55, 8)
    bits.ue(5, 1, WIDTH, HEIGHT)
    bits.put(0)
    return [bits.unit(0x42)[4:5] + b"\1" + bits.unit(0x42)[5:]]


def before_each(data: bytes, extra: list[bytes]) -> bytes:
    return rewritten(data, lambda index, units: [*units[:1], *extra, *units[1:]] if index % GOP == 0 else units)


def look(decoder: Decoder, data: bytes, macroblocks: int) -> SampledSegment:
    profile = BALANCED.model_copy(update={"macroblocks_per_second": macroblocks})
    return decoder.sample(data, profile=profile, seed=b"sizes")


@pytest.mark.parametrize(
    ("recipe", "extra"),
    [(H264, large(pps=False)), (H264, large(pps=True)), (HEVC, large_hevc())],
    ids=["h264", "h264, with a pps", "hevc"],
)
def test_sets_that_no_slice_uses_cost_no_budget(decoder: Decoder, recipe: Recipe, extra: list[bytes]) -> None:
    """Few bytes more, and all of a stream would be skipped with `budget`: cheap for a broadcaster who hides."""
    data = encode(recipe, steady(GOP))
    plain = look(decoder, data, 20_000)
    segment = look(decoder, before_each(data, extra), 20_000)

    assert plain.unmoderated == segment.unmoderated == ()
    assert len(segment.frames) == len(plain.frames) > 1


def test_those_that_are_used_count(decoder: Decoder) -> None:
    """A small SPS beside it would have large pictures decoded without a bound."""
    small = [unit for unit in units_of(x264(sps_id=5, **CLOSED)) if unit[0] & 0x1F == SPS]
    data = before_each(encode(replace(H264, width=1280, height=720), steady(GOP)), small)
    assert {stretch.reason for stretch in look(decoder, data, 20_000).unmoderated} == {"budget"}
