"""The plot of a sampling plan."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from sampler.frames import PacketSummary, SampleReason
from worker.scan.packet_plot import HEIGHT, WIDTH, packet_plot

COLOURS = {SampleReason.KEYFRAME: (0x1A, 0x7F, 0x37), SampleReason.CUT: (0xC1, 0x12, 0x1F)}


def packets(count: int) -> list[PacketSummary]:
    return [
        PacketSummary(pts_seconds=index / 25, size_bytes=40_000 if index % 50 == 0 else 900, keyframe=index % 50 == 0)
        for index in range(count)
    ]


def columns_of(png: bytes, colour: tuple[int, int, int]) -> np.ndarray:
    """Pixel columns, right of the axis and above the legend, that contain `colour`."""
    drawn = np.asarray(Image.open(BytesIO(png)).convert("RGB"))
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    return np.flatnonzero((drawn[:470] == colour).all(axis=2).any(axis=0))


def test_samples_are_marked_at_their_time_in_the_colour_of_their_reason() -> None:
    """The plot would explain another plan than the executed one."""
    png = packet_plot(
        packets(100), [(0.0, SampleReason.KEYFRAME), (3.0, SampleReason.CUT)], duration_seconds=4, title="x"
    )
    keyframe, cut = columns_of(png, COLOURS[SampleReason.KEYFRAME]), columns_of(png, COLOURS[SampleReason.CUT])
    span = 1570 - 84
    assert np.median(keyframe) == pytest.approx(84, abs=12)
    assert np.median(cut) == pytest.approx(84 + span * 0.75, abs=12)


@pytest.mark.parametrize("count", [0, 1, 30_000])
def test_any_number_of_packets_is_drawn(count: int) -> None:
    """A segment of one picture, or a film, would break the command."""
    assert packet_plot(packets(count), [], duration_seconds=count / 25, title="x" * 500)
