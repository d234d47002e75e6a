"""Suspects that there are no macroblocks for are refused only if their packets do not refute them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from media import FRAME_SECONDS, encode_pictures, in_mp4, photograph, steady, x264
from numpy.typing import NDArray
from sounding import with_scattered_sound, with_sound

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

PICTURES, LATE = 50, 44
"""Something stands out at picture `LATE`, up to which there is nothing else to decode."""
ENOUGH, TOO_FEW = 2_000, 700
"""Macroblocks a second, of which a keyframe and some probes take less; and those that leave none for a probe."""
RECIPE = x264(keyint=PICTURES, min_keyint=PICTURES, scenecut=0, crf=30, bframes=0)
GROUND, OTHER = (photograph(name, RECIPE.width, RECIPE.height) for name in ("astronaut", "coffee"))


def sampled(decoder: Decoder, luma: Callable[[int], NDArray[np.float64]], macroblocks: int) -> SampledSegment:
    profile = BALANCED.model_copy(update={"macroblocks_per_second": macroblocks, "audits_per_minute": 0})
    return decoder.sample(encode_pictures(RECIPE, steady(PICTURES), luma), profile=profile, seed=b"late")


def jolted(index: int) -> NDArray[np.float64]:
    """A camera that drifts, and is pushed once."""
    late = index >= LATE
    return np.roll(GROUND, (7 * late, index // 3 + 9 * late), axis=(0, 1))


def test_late_motion_is_no_reason_to_refuse(decoder: Decoder) -> None:
    """An ordinary stream of 1080p would have the end of many GOPs unmoderated."""
    segment = sampled(decoder, jolted, ENOUGH)

    assert len(segment.frames) == 1
    assert segment.unmoderated == ()


@pytest.mark.parametrize(
    ("luma", "macroblocks"),
    [(lambda index: OTHER if index >= LATE else jolted(index), ENOUGH), (jolted, TOO_FEW)],
    ids=["another scene", "no macroblocks for a probe"],
)
def test_what_may_be_a_late_cut_is_refused(
    decoder: Decoder, luma: Callable[[int], NDArray[np.float64]], macroblocks: int
) -> None:
    """Another scene that nobody saw would count as seen."""
    segment = sampled(decoder, luma, macroblocks)

    (stretch,) = segment.unmoderated
    assert stretch.reason == "budget"
    assert stretch.start_seconds <= LATE * FRAME_SECONDS + 1e-6
    assert stretch.end_seconds == pytest.approx(segment.duration_seconds)


def test_where_one_cut_is_refused_so_is_what_may_begin_it(decoder: Decoder) -> None:
    """Of an insert that comes with a jolt only the end would be unmoderated."""
    end = LATE + 3
    segment = sampled(decoder, lambda index: OTHER if index >= end else jolted(index), ENOUGH)

    (stretch,) = segment.unmoderated
    assert stretch.start_seconds <= LATE * FRAME_SECONDS + 1e-6


NULL_PACKET = b"\x47\x1f\xff\x10" + bytes(184)
"""An MPEG-TS packet that players skip (ISO/IEC 13818-1, 2.4.3.3)."""
FILLING = 40_000
"""7.5 MB, which take as long to read as 125,000 macroblocks to decode."""


def test_bytes_that_are_not_decoded_are_paid_for_too(decoder: Decoder) -> None:
    """A segment of null packets costs CPU, and would cost it besides all that decoding may take."""
    clip = encode_pictures(RECIPE, steady(PICTURES), lambda _index: GROUND)
    bare, filled = (
        decoder.sample(data, profile=BALANCED, seed=b"filled") for data in (clip, clip + FILLING * NULL_PACKET)
    )

    assert filled.macroblocks_left < bare.macroblocks_left - FILLING * len(NULL_PACKET) / 100
    assert len(filled.frames) == len(bare.frames)
    assert filled.unmoderated == ()


def test_no_more_than_half_of_the_bound_goes_into_reading(decoder: Decoder) -> None:
    """A profile that allows few macroblocks would see nothing of streams of high rates."""
    clip = encode_pictures(RECIPE, steady(PICTURES), lambda _index: GROUND)
    profile = BALANCED.model_copy(update={"macroblocks_per_second": 2 * ENOUGH, "audits_per_minute": 0})
    segment = decoder.sample(clip + FILLING * NULL_PACKET, profile=profile, seed=b"filled")

    assert segment.frames
    assert segment.unmoderated == ()


LARGE = replace(x264(keyint=25, min_keyint=25, scenecut=0, qp=16, bframes=0), width=640, height=360)
NOISE = np.random.default_rng(1).uniform(0, 255, (LARGE.height, LARGE.width + 100))


def noisy(index: int) -> NDArray[np.float64]:
    """10 kB a picture, and 60 kB a keyframe."""
    return NOISE[:, index : index + LARGE.width]


def test_what_is_read_again_for_sound_takes_nothing_from_decoding(decoder: Decoder) -> None:
    """Where all sound of a fragment is behind its pictures, as FFmpeg writes them, the file is read at two places in
    turn, 256 KiB each time: ordinary streams of 1080p would have most of their pictures unmoderated."""
    clip = encode_pictures(LARGE, steady(100), noisy)
    profile = BALANCED.model_copy(update={"macroblocks_per_second": 200_000, "audits_per_minute": 0})
    among, behind = (
        decoder.sample(with_sound(clip, behind=behind), profile=profile, seed=b"sound") for behind in (False, True)
    )

    assert behind.macroblocks_left > 0.9 * among.macroblocks_left
    assert len(behind.frames) == len(among.frames)
    assert behind.unmoderated == among.unmoderated == ()


def test_sound_that_lies_far_apart_is_not_read(decoder: Decoder) -> None:
    """A segment of 5 MB, with a million packets of sound, would hold a process until it is killed."""
    clip = encode_pictures(in_mp4(LARGE, whole=True), steady(PICTURES), noisy)
    bare, loud = (
        decoder.sample(data, profile=BALANCED, seed=b"sound") for data in (clip, with_scattered_sound(clip, 60_000))
    )

    assert loud.macroblocks_left > 0.9 * bare.macroblocks_left
    assert len(loud.frames) == len(bare.frames)
    assert loud.unmoderated == ()
