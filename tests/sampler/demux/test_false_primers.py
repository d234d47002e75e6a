"""Segments before that would have pictures of the next one count as right which nobody sees so."""

import io
from itertools import pairwise

import av
import numpy as np
import pytest
from changed_sets import IDR_SLICE, PPS, SLICE, SPS, false_and_used, kind_of, uses
from fields import SIZE
from long_term import shown_at, with_long_reference
from media import (
    FRAME_TICKS,
    Recipe,
    cut,
    encode,
    encode_pictures,
    keyframes,
    photograph,
    remux,
    rewritten,
    steady,
    x264,
)
from numpy.typing import NDArray

from config.profiles import BALANCED, VIGILANT, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

PICTURES = 150
PLAIN = {"bframes": 3, "b_adapt": 0, "b_pyramid": "none", "cabac": 0, "scenecut": 0, "qp": 34, "weightp": 0}
"""Slices of plain bits, whose quantisers count from that of the parameter set."""
OPEN = x264(open_gop=1, keyint=60, min_keyint=60, **PLAIN, **{"8x8dct": 0})
REFRESH = x264(intra_refresh=1, keyint=50, **{**PLAIN, "bframes": 0, "8x8dct": 0})


def with_before(decoder: Decoder, segment: bytes, before: bytes, sets: bytes) -> SampledSegment:
    first = decoder.sample(segment, profile=BALANCED, seed=b"false", parameter_sets=sets)
    assert first.needs_before
    leading = decoder.sample(segment, profile=BALANCED, seed=b"false", before=before, first=first, parameter_sets=sets)
    return first.with_leading(leading)


def decoded(data: bytes) -> dict[int, NDArray[np.float64]]:
    """Luma, 0 to 255, of each picture of a stream by its time stamp, as a player shows it."""
    with av.open(io.BytesIO(data), format="mpegts") as source:
        frames = list(source.decode(video=0))
    luma = {frame.pts: frame.to_ndarray()[: frame.height, : frame.width] for frame in frames if frame.pts is not None}
    return {pts: np.clip((shown.astype(np.float64) - 16) * 255 / 219, 0, 255) for pts, shown in luma.items()}


def wrong(segment: SampledSegment, data: bytes, shown: dict[int, NDArray[np.float64]]) -> list[float]:
    """Times of samples that count as right, and differ from what a player shows."""
    with av.open(io.BytesIO(data), format="mpegts") as source:
        origin = min(packet.pts for packet in source.demux(video=0) if packet.pts is not None)
    return [
        frame.pts_seconds
        for frame in segment.frames
        if not frame.concealed
        and np.abs(frame.picture.luma() - shown[origin + round(frame.pts_seconds * 90_000)]).mean() > 6
    ]


def lost_seconds(segment: SampledSegment) -> float:
    return sum(stretch.seconds for stretch in segment.unmoderated)


@pytest.mark.parametrize("named", [True, False], ids=["named", "listed"])
def test_what_leans_on_a_picture_from_before_the_keyframe_is_lost_time(decoder: Decoder, named: bool) -> None:
    """With one whole picture at each segment's end, a broadcaster would show an old one for all of every other second,
    and it would count as seen."""
    data = with_long_reference(60, second=29, named=named)
    before, segment = (part.data for part in cut(data, [0, 30, 60]))
    sets = decoder.sample(before, profile=BALANCED, seed=b"false").parameter_sets
    seen = with_before(decoder, segment, before, sets)

    assert lost_seconds(seen) == pytest.approx(1.2, abs=0.01)
    assert all(
        np.abs(frame.picture.luma() - shown_at(30 + round(frame.pts_seconds * 25), 29)).mean() < 2
        for frame in seen.frames
        if not frame.concealed
    )


def test_a_long_last_step_hides_nothing_at_the_beginning(decoder: Decoder) -> None:
    """Half a second of twelve pictures would be left out as the time of one."""
    data = encode(Recipe(options=REFRESH.options, width=SIZE.width, height=SIZE.height), steady(PICTURES))
    steps = [number + 11 * (number >= 99) for number in range(PICTURES)]
    first = min(decoded(data))
    late = remux(data, lambda number, _: first + steps[number] * FRAME_TICKS)
    before, segment = (part.data for part in cut(late, [0, 50, 100]))
    sets = decoder.sample(before, profile=BALANCED, seed=b"false").parameter_sets
    alone = decoder.sample(segment, profile=BALANCED, seed=b"false", parameter_sets=sets)

    assert alone.leaning_until_seconds > 0.3
    assert lost_seconds(alone) == pytest.approx(alone.leaning_until_seconds, abs=0.05)


def sets_with_a_leading_picture() -> bytes:
    """The true PPS comes with the picture after the keyframe, which who begins at that leaves out."""
    usual = photograph("astronaut", 192, 108)
    insert = usual.copy()
    insert[24:84, 48:144] = photograph("coffee", 192, 108)[24:84, 48:144]
    data = encode_pictures(OPEN, steady(PICTURES), lambda number: insert if 78 <= number < 100 else usual)
    owed: list[bytes] = []

    def change(index: int, units: list[bytes]) -> list[bytes]:
        slices = [unit for unit in units if kind_of(unit) in (SLICE, IDR_SLICE)]
        if index and any(kind_of(unit) == PPS for unit in units):
            owed[:] = [unit for unit in units if kind_of(unit) == PPS]
            head = [unit for unit in units if kind_of(unit) != PPS and unit not in slices]
            return [*head, *false_and_used(owed[0]), *map(uses, slices)]
        if owed and not any(unit[0] & 0x60 for unit in slices):
            return [owed.pop(), *units]
        return units

    return rewritten(data, change)


@pytest.mark.parametrize("profile", [BALANCED, VIGILANT], ids=["balanced", "vigilant"])
def test_a_parameter_set_with_a_leading_picture_comes_to_those_after_it(
    decoder: Decoder, profile: SamplingProfile
) -> None:
    """All inserts of such a stream would be sampled as noise, in which no hash matches."""
    data = sets_with_a_leading_picture()
    seen = decoder.sample(data, profile=profile, seed=b"false")

    assert lost_seconds(seen) == 0
    assert wrong(seen, data, decoded(data)) == []


def test_a_parameter_set_with_a_leading_picture_of_the_segment_before(decoder: Decoder) -> None:
    """Nor across a border."""
    data = sets_with_a_leading_picture()
    before, segment, _ = (part.data for part in cut(data, [0, 76, 116, PICTURES]))
    sets = decoder.sample(before, profile=BALANCED, seed=b"false").parameter_sets

    assert wrong(with_before(decoder, segment, before, sets), segment, decoded(data)) == []


def test_a_parameter_set_that_came_late_is_not_taken_for_an_earlier_one(decoder: Decoder) -> None:
    """What is in force at the end of the segment before need not be so where decoding begins in it."""
    usual = photograph("astronaut", 192, 108)
    plain = encode_pictures(REFRESH, steady(PICTURES), lambda _: usual)
    _, second, third = keyframes(plain)
    first: list[bytes] = []

    def change(index: int, units: list[bytes]) -> list[bytes]:
        first.extend(unit for unit in units if kind_of(unit) == PPS and not first)
        kept = [unit for unit in units if not index or kind_of(unit) not in (SPS, PPS)]
        late = false_and_used(first[0]) if index == second + 14 else []
        return [*late, *(uses(unit) if index >= second + 14 and kind_of(unit) == SLICE else unit for unit in kept)]

    data = rewritten(plain, change)
    before, segment, _ = (part.data for part in cut(data, [0, second + 20, third + 25, PICTURES]))
    sets = decoder.sample(before, profile=BALANCED, seed=b"false").parameter_sets
    seen = with_before(decoder, segment, before, sets)

    assert wrong(seen, segment, decoded(data)) == []


def test_a_picture_without_vectors_is_not_taken_for_a_whole_one(decoder: Decoder) -> None:
    """An honest encoder's smear would count as seen, for FFmpeg leaves out slices without references in silence."""
    recipe = x264(preset="superfast", intra_refresh=1, keyint=50, scenecut=0)
    scenes = [photograph(name, recipe.width + 64, recipe.height) for name in ("astronaut", "coffee")]

    def passing(number: int) -> NDArray[np.float64]:
        return scenes[number // 90 % 2][:, number % 64 :][:, : recipe.width]

    data = encode_pictures(recipe, steady(200), passing)
    shown = decoded(data)
    parts = [part.data for part in cut(data, [0, 50, 100, 150, 200])]
    sets = decoder.sample(parts[0], profile=BALANCED, seed=b"false").parameter_sets
    for before, segment in pairwise(parts):
        alone = decoder.sample(segment, profile=BALANCED, seed=b"false", parameter_sets=sets)
        assert wrong(alone, segment, shown) == []
        assert wrong(with_before(decoder, segment, before, sets), segment, shown) == []
