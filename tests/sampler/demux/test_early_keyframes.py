"""Keyframes that are stamped earlier than they are shown."""

import pytest

from sampler.demux.packets import VideoPacket, keyframes_as_shown


def packets(*times: float) -> list[VideoPacket]:
    """A keyframe, two leading pictures and others, stamped so."""
    return [
        VideoPacket(seconds, 1000, keyframe=index == 0, leading=index in (1, 2)) for index, seconds in enumerate(times)
    ]


@pytest.mark.parametrize("stamp", [0.0, 0.04])
def test_a_keyframe_takes_the_empty_place_after_its_leading_pictures(stamp: float) -> None:
    """Its sample would be at another time than viewers saw it, and a second one be taken beside it."""
    assert keyframes_as_shown(packets(stamp, 0.04, 0.08, 0.24, 0.16, 0.2))[0].seconds == pytest.approx(0.12)


@pytest.mark.parametrize(
    "times",
    [
        (0.12, 0.04, 0.08, 0.24, 0.16, 0.2),
        (0.0, 0.04, 0.08, 0.2, 0.12, 0.16),
        (0.0, 0.4, 0.8, 2.4, 1.6, 2.0),
        (0.0, 0.04, 0.08),
    ],
    ids=["stamped right", "no empty place", "too far away", "nothing after it"],
)
def test_other_keyframes_stay_where_they_are(times: tuple[float, ...]) -> None:
    """A broadcaster could have it speak for what comes long after it."""
    assert keyframes_as_shown(packets(*times)) == {}
