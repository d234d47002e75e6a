"""Other content cut in between keyframes is sampled, and reported as a cut."""

from dataclasses import replace

import numpy as np
import pytest
from kinds import AV1, MPEG2, VP9, x265
from media import (
    FRAME_SECONDS,
    FRAME_TICKS,
    Recipe,
    encode,
    encode_pictures,
    number_in,
    painted,
    photograph,
    remux,
    steady,
    x264,
)
from numpy.typing import NDArray

from config.profiles import BALANCED, VIGILANT
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment, SampleReason

GOP = 100
INSERT = 13
"""Pictures: half a second."""
SAME = 10.0
"""Mean difference, of 255, below which two pictures are the same."""
STARTS = [7, 31, 44, 62, 80]
"""Inserts that end before the next keyframe."""
BIT_RATE = {"bitrate": 300, "vbv_maxrate": 300, "vbv_bufsize": 300}
CLOSED = {"keyint": GOP, "min_keyint": GOP, "scenecut": 0}
ENCODERS = {
    "zerolatency": x264(tune="zerolatency", preset="ultrafast", **CLOSED),
    "zerolatency, constant bit rate": x264(tune="zerolatency", **CLOSED, **BIT_RATE),
    "b-frames": x264(bframes=3, b_pyramid="none", **CLOSED),
    "b-frames, constant bit rate": x264(bframes=3, b_pyramid="normal", **CLOSED, **BIT_RATE),
    "intra refresh": x264(intra_refresh=1, bframes=0, keyint=GOP, scenecut=0),
    "hevc, b-frames": x265(keyint=GOP, min_keyint=GOP),
}
OTHERS = {
    "interlaced": x264(tff=1, bframes=3, **CLOSED),
    "10 bit": replace(x264(bframes=3, **CLOSED), pixel_format="yuv420p10le"),
    "intra refresh with b-frames": x264(intra_refresh=1, bframes=3, keyint=GOP, scenecut=0),
    "hevc, ultrafast, constant quality": x265(bframes=0, rc_lookahead=0, crf=28, keyint=GOP, min_keyint=GOP),
    "hevc, zerolatency": x265(bframes=0, rc_lookahead=0, keyint=GOP, min_keyint=GOP),
    "hevc, 10 bit": replace(x265(keyint=GOP, min_keyint=GOP), pixel_format="yuv420p10le"),
    "av1": replace(AV1, options=AV1.options | {"g": str(GOP), "svtav1-params": "lp=1:scd=0"}),
    "vp9": replace(VP9, options=VP9.options | {"g": str(GOP)}),
    "mpeg-2": replace(MPEG2, options=MPEG2.options | {"g": str(GOP), "sc_threshold": "1000000000"}),
}
"""Encoders configured for keyframes only at the beginning of GOPs."""


def with_insert(decoder: Decoder, recipe: Recipe, start: int, stop: int) -> SampledSegment:
    """Two GOPs of one scene, in which pictures [start, stop) show another."""
    data = encode(recipe, steady(2 * GOP), lambda index: 1 if start <= index < stop else 0)
    return decoder.sample(data, profile=BALANCED, seed=b"cuts")


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("recipe", (ENCODERS | OTHERS).values(), ids=(ENCODERS | OTHERS).keys())
def test_an_insert_between_keyframes_is_sampled_as_a_cut(decoder: Decoder, recipe: Recipe, start: int) -> None:
    """Half a second of forbidden material between keyframes would go unseen."""
    segment = with_insert(decoder, recipe, start, start + INSERT)
    cuts = [frame for frame in segment.frames if frame.reason is SampleReason.CUT]
    hits = [frame for frame in cuts if start * FRAME_SECONDS <= frame.pts_seconds < (start + INSERT) * FRAME_SECONDS]

    assert hits
    assert all(start <= number_in(frame.picture.luma()) < start + INSERT for frame in hits)
    assert not any(frame.keyframe for frame in hits)


@pytest.mark.parametrize("recipe", ENCODERS.values(), ids=ENCODERS.keys())
def test_the_picture_before_a_cut_is_sampled_with_it(decoder: Decoder, recipe: Recipe) -> None:
    """If only the end of an insert shows in the packets, the insert itself would go unseen."""
    start = 44
    segment = with_insert(decoder, recipe, start, start + INSERT)
    numbers = {number_in(frame.picture.luma()) for frame in segment.frames if frame.reason is SampleReason.CUT}

    assert numbers & set(range(start - 4, start))


@pytest.mark.parametrize("name", ["zerolatency", "av1"])
def test_a_cut_at_the_instant_of_a_gap_s_sample_is_one(decoder: Decoder, name: str) -> None:
    """The first sample that is right would speak for an insert that ends with it, and that none shows."""
    data = encode((ENCODERS | OTHERS)[name], steady(GOP), lambda index: 1 if 44 <= index < 44 + INSERT else 0)
    reasons = set()
    for number in range(40):
        frames = decoder.sample(data, profile=VIGILANT, seed=b"cuts%d" % number).frames
        reasons |= {frame.reason for frame in frames if round(frame.pts_seconds / FRAME_SECONDS) == 44}

    assert reasons == {SampleReason.CUT}


@pytest.mark.parametrize("name", ["av1", "vp9", "mpeg-2"])
def test_where_packets_show_nothing_both_sides_of_every_cut_are_sampled_and_little_else(
    decoder: Decoder, name: str
) -> None:
    """AV1's packet sizes vary as if there were cuts all the time: real ones would be missed, or quiet streams decoded
    completely."""
    start = 44
    segment = with_insert(decoder, OTHERS[name], start, start + INSERT)
    cuts = {number_in(frame.picture.luma()) for frame in segment.frames if frame.reason is SampleReason.CUT}

    # What was before the cut back was sampled: it is the insert's.
    both = {start - 1, start, start + INSERT - 1, start + INSERT}
    assert both - {start + INSERT - 1} <= cuts
    # The first change may be motion, and half of the painted numbers' strip changes at each sixteenth picture.
    strip = {number + step for number in range(16, 2 * GOP, 16) for step in (-1, 0)}
    assert cuts - both <= {1} | strip


@pytest.mark.parametrize("name", ["av1", "vp9", "mpeg-2"])
def test_a_flicker_is_not_sampled_completely(decoder: Decoder, name: str) -> None:
    """A stream of flashes would use up the hashing and classifying of all others."""
    data = encode(OTHERS[name], steady(2 * GOP), lambda index: index % 2)
    segment = decoder.sample(data, profile=BALANCED, seed=b"cuts")
    seconds = 2 * GOP * FRAME_SECONDS

    assert len(segment.frames) <= BALANCED.samples_per_second * (seconds + 1) + seconds
    assert segment.max_gap_seconds <= BALANCED.max_gap_seconds + FRAME_SECONDS


@pytest.mark.parametrize("name", ["zerolatency", "b-frames"])
def test_a_steady_scene_shows_no_cuts(decoder: Decoder, name: str) -> None:
    """Ordinary streams would be decoded almost completely, at four times the cost."""
    segment = with_insert(decoder, ENCODERS[name], 0, 0)
    times = [frame.pts_seconds for frame in segment.frames]
    cuts = {round(frame.pts_seconds / FRAME_SECONDS) for frame in segment.frames if frame.reason is SampleReason.CUT}

    # At 128 all painted digits change at once, an eighth of the picture; every third picture on the way is compared.
    assert cuts <= {128, 129, 130}
    # Nothing is decoded beyond the last picture that a GOP's gaps call for, which may be anywhere in its second half.
    last = [max(round(one / FRAME_SECONDS) for one in times if one < (gop + 1) * GOP * FRAME_SECONDS) for gop in (0, 1)]
    assert segment.frames_decoded <= last[0] + 1 + last[1] - GOP + 1


@pytest.mark.parametrize("recipe", [ENCODERS["zerolatency"], ENCODERS["b-frames"]], ids=["zerolatency", "b-frames"])
def test_an_insert_in_a_window_over_a_still_background_is_sampled_as_a_cut(decoder: Decoder, recipe: Recipe) -> None:
    """Content beside a face camera would go unseen: most of such a picture is predicted, cut or not."""
    rows, columns = recipe.height * 2 // 3, recipe.width * 2 // 3
    start, stop = 31, 31 + INSERT

    def composed(index: int) -> NDArray[np.float64]:
        luma = painted(recipe, 0, 0, still=True)
        luma[-rows:, -columns:] = painted(recipe, index, 1 if start <= index < stop else 2)[-rows:, -columns:]
        return luma

    data = encode_pictures(recipe, steady(GOP), composed)
    segment = decoder.sample(data, profile=BALANCED, seed=b"cuts")
    cuts = [frame.pts_seconds for frame in segment.frames if frame.reason is SampleReason.CUT]

    assert [seconds for seconds in cuts if start * FRAME_SECONDS <= seconds < stop * FRAME_SECONDS]


@pytest.mark.parametrize("gop", [1, 2])
def test_a_scene_that_only_keyframes_at_even_distances_interrupt_is_sampled(decoder: Decoder, gop: int) -> None:
    """All samples could be of a scene that is shown for an instant each, in packets that are all alike."""
    recipe = x264(keyint=gop, min_keyint=gop, bframes=0, scenecut=0, qp=30)
    shown = photograph("astronaut", recipe.width, recipe.height)
    spaced = range(0, GOP, round(BALANCED.keyframe_spacing_seconds / FRAME_SECONDS) + 1)
    pictures = [shown[:, ::-1] if index in spaced else shown for index in range(GOP)]
    segment = decoder.sample(encode_pictures(recipe, steady(GOP), pictures.__getitem__), profile=BALANCED, seed=b"cuts")
    is_shown = [abs(frame.picture.luma() - shown).mean() < SAME for frame in segment.frames]

    assert 2 * sum(is_shown) >= len(is_shown)


def test_a_scene_that_begins_with_a_keyframe_near_the_last_one_is_sampled(decoder: Decoder) -> None:
    """The keyframe is skipped, nothing else of its GOP stands out, and the next sample is of what comes after it."""
    recipe = x264(keyint=1000, min_keyint=1, bframes=0, scenecut=0, qp=30)
    shown = photograph("astronaut", recipe.width, recipe.height)
    short, long = 12, 20
    base, insert = (
        encode_pictures(recipe, steady(count), lambda _, luma=luma: luma)
        for count, luma in ((short, shown[:, ::-1]), (long, shown))
    )
    data = b""
    for number in range(4):
        start = number * (short + long) * FRAME_TICKS
        data += remux(base, lambda _, pts, start=start: pts + start)
        data += remux(insert, lambda _, pts, start=start: pts + start + short * FRAME_TICKS)
    segment = decoder.sample(data, profile=BALANCED, seed=b"cuts")
    at = [frame.pts_seconds for frame in segment.frames if abs(frame.picture.luma() - shown).mean() < SAME]

    for number in range(4):
        start = (number * (short + long) + short) * FRAME_SECONDS
        assert any(start - 0.01 < seconds < start + long * FRAME_SECONDS for seconds in at)
