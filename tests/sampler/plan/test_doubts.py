"""Pictures of a plan that are decoded in part, to see whether there are bytes behind them."""

import numpy as np
import pytest

from config.profiles import BALANCED
from sampler.demux.packets import VideoPacket
from sampler.plan.plan import plan
from sampler.plan.run_plan import Plan

RATE, GOP, GOPS = 24, 48, 2
MACROBLOCKS = 920


def planned(seed: bytes, *, least: int, most: int) -> Plan:
    """The plan of two GOPs whose predicted pictures have sizes between these."""
    sizes = np.random.default_rng(4).integers(least, most, GOP * GOPS).tolist()
    packets = [
        VideoPacket(
            seconds=number / RATE,
            size_bytes=4 * most if number % GOP == 0 else size,
            keyframe=number % GOP == 0,
            quantiser=26,
        )
        for number, size in enumerate(sizes)
    ]
    return plan(
        packets,
        profile=BALANCED,
        seed=seed,
        end_seconds=GOP * GOPS / RATE,
        picture_macroblocks=MACROBLOCKS,
        decoder="h264",
        probed=True,
    )


def test_nobody_knows_which_pictures_are_decoded_in_part() -> None:
    """A broadcaster would leave those as they are."""
    first = [planned(bytes([seed]), least=4000, most=8000).doubts for seed in range(16)]
    second = [planned(bytes([seed]), least=4000, most=8000).doubts for seed in range(16)]

    assert first == second
    assert len({doubt.packet for doubts in first for doubt in doubts}) > 8


@pytest.mark.parametrize(("least", "most"), [(40, 299), (600, 900)])
def test_packets_without_room_are_not_doubted(least: int, most: int) -> None:
    """A still scene would cost a decoder more."""
    assert planned(b"room", least=least, most=most).doubts == ()
