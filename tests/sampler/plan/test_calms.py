"""Detection of changes to a calmer scene, from packets alone."""

from collections.abc import Sequence

import pytest

from sampler.demux.packets import VideoPacket
from sampler.plan.calms import find_calms
from sampler.plan.cut_score import Cut

BUSY = [8_000, *[3_000, 3_200, 2_900, 3_100] * 6]
CALM = [700, 500, 800, 600]


def calms(sizes: Sequence[int], quantisers: Sequence[int] | None = None) -> list[Cut]:
    packets = [
        VideoPacket(
            seconds=number / 10,
            size_bytes=size,
            keyframe=number == 0,
            quantiser=None if quantisers is None else quantisers[number],
        )
        for number, size in enumerate(sizes)
    ]
    return find_calms(packets, 0, len(packets))


@pytest.mark.parametrize("busy", [3, 10, 24])
@pytest.mark.parametrize("calm", [2, 3, 4])
def test_a_calm_scene_is_found_by_what_follows_its_first_picture(busy: int, calm: int) -> None:
    """Its first packet is smaller than those of the busy scene, and stands out from nothing."""
    sizes = [*BUSY[: busy + 1], 1_900, *CALM[:calm]]
    (found,) = calms(sizes)

    # The first picture may still be the busy scene's, where its size lies between.
    assert found.before in (busy - 1, busy)
    assert busy + 1 <= found.index <= busy + 2


def test_a_calm_scene_that_ends_in_the_run_is_found() -> None:
    """Its end is a change to pictures that are all large."""
    (found,) = calms([*BUSY, *CALM * 2, *BUSY[1:]])

    assert len(BUSY) <= found.index < len(BUSY) + 2 * len(CALM)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([*BUSY, 700], id="the last picture alone is small"),
        pytest.param([*BUSY, 700, 700, 3_000, 3_000], id="two of many are small"),
        pytest.param([BUSY[0], BUSY[1], *CALM * 4], id="the first after the keyframe is large"),
        pytest.param([*BUSY, *[1_300] * 8], id="less than a third is left"),
        pytest.param([8_000, 3_000], id="there are two pictures"),
    ],
)
def test_other_pictures_are_not_suspected(sizes: Sequence[int]) -> None:
    """Their GOPs would be decoded for nothing."""
    assert calms(sizes) == []


def test_a_rate_control_that_spends_less_is_no_calm_scene() -> None:
    """It takes a coarser quantiser, and what the pictures show is as rich as before."""
    sizes = [*BUSY, *CALM * 2]

    assert calms(sizes, [24] * len(BUSY) + [36] * 8) == []
    assert len(calms(sizes, [24] * len(sizes))) == 1
