"""Detection of changes that build up over many pictures, from packets alone."""

from collections.abc import Sequence

import pytest

from config.profiles import BALANCED, PROFILES, SamplingProfile
from sampler.demux.packets import VideoPacket, runs
from sampler.plan.cut_score import Cut, find_cuts
from sampler.plan.suspects import SWELL_DOUBLINGS, find_suspects
from sampler.plan.swells import find_swells

KEYFRAME_BYTES = 10_000
QUIET = [KEYFRAME_BYTES, *[400, 520, 350, 450] * 25]
PICTURES_A_SECOND = 30
THRESHOLD = BALANCED.cut_doublings - SWELL_DOUBLINGS


def packets_of(sizes: Sequence[int], quantisers: Sequence[int] | None = None) -> list[VideoPacket]:
    return [
        VideoPacket(
            seconds=number / PICTURES_A_SECOND,
            size_bytes=size,
            keyframe=number == 0,
            quantiser=None if quantisers is None else quantisers[number],
        )
        for number, size in enumerate(sizes)
    ]


def with_wipe(first: int, length: int) -> list[int]:
    """Sizes of packets, of which so many are twice as large, at the least."""
    sizes = list(QUIET)
    sizes[first : first + length] = ([950, 1_300, 1_050, 1_200, 900] * length)[:length]
    return sizes


def swells(packets: Sequence[VideoPacket], threshold: float = THRESHOLD) -> list[Cut]:
    return find_swells(packets, 0, len(packets), threshold)


@pytest.mark.parametrize("first", [2, 30, 60])
@pytest.mark.parametrize("length", [9, 12, 15])
def test_a_wipe_is_found_by_the_sum_of_its_packets(first: int, length: int) -> None:
    """Another scene that comes in over a third or half of a second would be sampled by nobody."""
    packets = packets_of(with_wipe(first, length))
    (swell,) = swells(packets)

    assert find_cuts(packets, 0, len(packets), BALANCED.cut_doublings) == []
    assert first - 4 <= swell.before < first + 2
    # What is sampled would be a blend of both scenes, which matches nothing.
    assert first + length <= swell.index <= first + length + 4


def test_a_wipe_under_a_bit_rate_that_does_not_change_is_found_by_its_quantisers() -> None:
    """Encoders that keep to a rate make all packets alike."""
    quantisers = [30, *[26] * 100]
    quantisers[40:50] = [36] * 10
    sizes = [2_500, *[900, 1_000, 950, 1_050] * 25]

    assert len(swells(packets_of(sizes, quantisers))) == 1


def between(packets: Sequence[VideoPacket]) -> list[VideoPacket]:
    """The packets four times as far apart, each with three B-frames after it that are shown before it."""
    mixed: list[VideoPacket] = []
    for packet in packets:
        at = 4 * packet.seconds
        mixed.append(packet._replace(seconds=at))
        if not packet.keyframe:
            steps = [at - place / PICTURES_A_SECOND for place in (2, 3, 1)]
            mixed += [VideoPacket(seconds=step, size_bytes=60, keyframe=False, reference=False) for step in steps]
    return mixed


@pytest.mark.parametrize("first", [6, 9, 15])
def test_a_wipe_between_b_frames_is_found_by_few_packets(first: int) -> None:
    """Of half a second three or four pictures are shown in the order they are decoded in."""
    sizes = with_wipe(first, 4)[:26]
    sizes[first : first + 4] = [round(1.5 * size) for size in sizes[first : first + 4]]
    packets = between(packets_of(sizes))
    (swell,) = swells(packets)
    seconds = [packets[index].seconds for index in (swell.before, swell.index)]

    assert find_cuts(packets, 0, len(packets), BALANCED.cut_doublings) == []
    assert 4 * (first - 3) / PICTURES_A_SECOND <= seconds[0] < 4 * (first + 1) / PICTURES_A_SECOND
    assert 4 * (first + 4) / PICTURES_A_SECOND <= seconds[1] <= 4 * (first + 7) / PICTURES_A_SECOND


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_quiet_scene_between_b_frames_is_not_suspected(profile: SamplingProfile) -> None:
    """Fewer packets say less of a stretch."""
    assert swells(between(packets_of(QUIET)), profile.cut_doublings - SWELL_DOUBLINGS) == []


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_quiet_scene_is_not_suspected(profile: SamplingProfile) -> None:
    """Every stream would be decoded completely."""
    assert swells(packets_of(QUIET), profile.cut_doublings - SWELL_DOUBLINGS) == []


def test_single_cuts_are_not_suspected_twice() -> None:
    """A montage would spend the samples of its next cut on the last one."""
    sizes = list(QUIET)
    sizes[40] = sizes[47] = 8_000

    assert swells(packets_of(sizes)) == []


def test_few_packets_hold_no_wipe() -> None:
    """GOPs of a few pictures, or with one time for all, would end the plan with an error."""
    for count in (1, 2, 5, 9):
        assert swells(packets_of(QUIET[:count])) == []
    assert swells([packet._replace(seconds=0.0) for packet in packets_of(QUIET)]) == []
    assert swells([packet._replace(completes=True) for packet in packets_of(QUIET)]) == []


def test_nothing_is_probed_for_a_wipe() -> None:
    """The picture after it is predicted whole: a probe would call it none."""
    packets = packets_of(with_wipe(40, 12), [26] * len(QUIET))
    (run,) = runs(packets)
    own = range(len(packets))
    (suspect,) = find_suspects(packets, run, own, BALANCED, picture_macroblocks=2_000, probed=True)

    assert suspect.proof is not None
    assert suspect.proof.predicted_share is None
    assert suspect.proof.before < 42
