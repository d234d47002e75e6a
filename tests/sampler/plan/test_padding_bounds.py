"""Bounds of what is decoded in part, or watched whole, where packets may be padded."""

from itertools import pairwise

import pytest

from config.profiles import BALANCED
from sampler.demux.packets import VideoPacket
from sampler.plan.padding import watched_whole
from sampler.plan.plan import plan
from sampler.plan.run_plan import Plan

RATE = 24
MACROBLOCKS_360P, MACROBLOCKS_4K = 920, 32_400


def packets_of(
    sizes: list[int], *, gops: int = 2, keyframe_bytes: int = 32_000, quantiser: int | None = 26
) -> list[VideoPacket]:
    """GOPs of a keyframe and pictures of these sizes."""
    every = [keyframe_bytes, *sizes] * gops
    return [
        VideoPacket(
            seconds=number / RATE, size_bytes=size, keyframe=number % (len(sizes) + 1) == 0, quantiser=quantiser
        )
        for number, size in enumerate(every)
    ]


def planned(packets: list[VideoPacket], *, macroblocks: float = MACROBLOCKS_360P, seed: int = 0) -> Plan:
    return plan(
        packets,
        profile=BALANCED,
        seed=bytes([seed]),
        end_seconds=len(packets) / RATE,
        picture_macroblocks=macroblocks,
        decoder="h264",
        probed=True,
    )


def doubts(packets: list[VideoPacket], *, macroblocks: float = MACROBLOCKS_360P, seeds: int = 48) -> list[list[int]]:
    """The pictures that are decoded in part, by seed."""
    return [
        [doubt.packet for doubt in planned(packets, macroblocks=macroblocks, seed=seed).doubts] for seed in range(seeds)
    ]


def restless(least: int, most: int, count: int = 47) -> list[int]:
    """Sizes between these, neighbours unlike."""
    return [least + (most - least) * (number * 7 % 12) // 11 for number in range(count)]


@pytest.mark.parametrize(
    ("least", "most", "macroblocks", "doubted"),
    [
        (40, 299, MACROBLOCKS_360P, False),
        (600, 900, MACROBLOCKS_360P, False),
        (150, 290, 16, False),
        (400, 900, 16, True),
        (4_000, 8_000, MACROBLOCKS_360P, True),
    ],
)
def test_only_packets_with_room_are_decoded_in_part(
    least: int, most: int, macroblocks: float, *, doubted: bool
) -> None:
    """A still scene would cost a decoder more, or a cut be hidden where there is room for one."""
    assert any(doubts(packets_of(restless(least, most)), macroblocks=macroblocks)) == doubted


def test_few_pictures_are_decoded_in_part() -> None:
    """Each stream would be decoded twice, for the few that are padded."""
    found = doubts(packets_of(restless(4_000, 8_000)))
    assert 0.5 <= sum(map(len, found)) / len(found) <= 1.5


@pytest.mark.parametrize(("keyframe_bytes", "quantiser"), [(16_000, None), (64_000, 26)])
def test_half_as_many_are_where_they_tell_less(keyframe_bytes: int, quantiser: int | None) -> None:
    """H.265's decoder makes up all that such a picture leans on: streams of it would cost more than others; and small
    packets have little room."""
    usual, seldom = (
        sum(map(len, doubts(packets_of(restless(5_000, 7_000), gops=4, keyframe_bytes=size, quantiser=known))))
        for size, known in ((16_000, 26), (keyframe_bytes, quantiser))
    )
    assert 0 < seldom <= 0.7 * usual


def test_pictures_that_are_decoded_in_part_lie_apart() -> None:
    """Three next to each other would say what one says, and an insert beside them go unseen."""
    for seed in range(48):
        packets = packets_of([120_000] * 23, gops=5, keyframe_bytes=500_000, quantiser=None)
        found = planned(packets, macroblocks=MACROBLOCKS_4K, seed=seed).doubts
        # Three of the GOP for which there is room come first.
        places = sorted(doubt.packet for doubt in found[:3])
        assert len(places) == 3
        assert all(after - before > 4 for before, after in pairwise(places))


def test_what_is_decoded_in_part_is_part_of_the_bound() -> None:
    """Pictures of one size of each GOP in 4K, decoded in part, would come on top of all else."""
    packets = packets_of([120_000] * 23, gops=5, keyframe_bytes=500_000, quantiser=None)
    result = planned(packets, macroblocks=MACROBLOCKS_4K)
    assert result.bound is not None
    samples = [packets[target.index] for part in result.runs for target in part.targets]
    decoded = sum(result.bound.picture_cost(packet) for packet in samples) + result.bound.handed_over(len(samples))
    probed = sum(result.bound.picture_cost(packets[doubt.packet]) for doubt in result.doubts)
    assert probed
    assert decoded + probed <= result.bound.macroblocks
    assert result.refused_seconds


def test_what_turns_out_to_be_padded_is_watched_within_the_bound() -> None:
    """Each padded stream would cost what its pictures do, however large they are; or what is not seen of it would not
    be in the ledger."""
    packets = packets_of(restless(4_000, 8_000, 23), gops=6)
    before = planned(packets, macroblocks=MACROBLOCKS_4K)
    after = watched_whole(packets, before)
    watched = sum(part.watching_macroblocks for part in after.runs if part.watched)
    assert 0 < watched <= before.spare_macroblocks
    left = {packets[index].seconds for part in after.runs if not part.watched for index in part.own[1:]}
    assert left
    assert left <= {*after.refused_seconds}


def test_a_keyframe_of_no_bytes_ends_nothing() -> None:
    """Each of a stream's segments would fail by an error of arithmetic."""
    assert any(doubts(packets_of(restless(40_000, 80_000), keyframe_bytes=0), macroblocks=MACROBLOCKS_4K))


@pytest.mark.parametrize("keyframe_bytes", [14_000, 24_000, 64_000, 1_000_000])
def test_about_four_tenths_of_a_picture_are_decoded(keyframe_bytes: int) -> None:
    """A tenth would be real of any packet, nine tenths of none; and beside a keyframe that is made huge less would be
    decoded than tells anything."""
    packets = packets_of(restless(4_000, 8_000), keyframe_bytes=keyframe_bytes)
    shares = [doubt.share for seed in range(16) for doubt in planned(packets, seed=seed).doubts]
    assert shares
    assert all(0.35 <= share <= 0.45 for share in shares)


def test_pictures_that_are_sampled_are_not_decoded_in_part() -> None:
    """They would be decoded twice, and tell nothing that is not seen."""
    packets = packets_of(restless(4_000, 8_000, 143))
    plans = [planned(packets, seed=seed) for seed in range(96)]
    sampled = [{target.index for part in one.runs for target in part.targets} for one in plans]
    assert all(len(one) > 4 for one in sampled)
    assert not any(doubt.packet in taken for one, taken in zip(plans, sampled, strict=True) for doubt in one.doubts)
