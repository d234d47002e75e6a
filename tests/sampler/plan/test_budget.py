"""Bounds of a plan: tokens by half seconds, and macroblocks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.profiles import BALANCED, VIGILANT
from sampler.demux.packets import VideoPacket
from sampler.frames import Stretch
from sampler.plan.budget import DECODING_COST, DecodingBound, SampleBudget
from sampler.plan.coverage import MOST_REFUSED, refused_stretches, with_refused
from sampler.plan.plan import plan
from sampler.plan.run_plan import Plan, RunPlan

MACROBLOCKS_8K = 129_600


def planned(
    packets: list[VideoPacket],
    *,
    macroblocks: float = 0,
    probed: bool = True,
    compared: bool = False,
    decoder: str = "",
) -> Plan:
    end_seconds = max(packet.seconds for packet in packets) + 0.04
    return plan(
        packets,
        profile=BALANCED,
        seed=b"budget",
        end_seconds=end_seconds,
        picture_macroblocks=macroblocks,
        decoder=decoder,
        probed=probed,
        compared=compared,
    )


@pytest.mark.parametrize(("macroblocks", "led"), [(920, True), (8_160, False)], ids=["360p", "1080p"])
def test_what_leads_to_a_keyframe_is_decoded_where_that_costs_less_than_a_sample(macroblocks: float, led: bool) -> None:
    """To save a sample of 10 ms more would be decoded than classifying takes."""
    packets = [
        VideoPacket(seconds=number / 25, size_bytes=900 if number % 25 else 9_000, keyframe=number % 25 == 0)
        for number in range(100)
    ]
    found = planned(packets, macroblocks=macroblocks)

    assert [bool(part.led_to) for part in found.runs] == [led, False, led, False]
    assert found.spare_macroblocks >= 0


def test_a_burst_leaves_the_tokens_of_other_half_seconds() -> None:
    """A strobe in one place would pay with an insert in another."""
    budget = SampleBudget(4.0, 10.0)
    burst = [budget.spend(budget.half_second(10.2)) for _ in range(20)]
    later = [budget.spend(budget.half_second(11.1)) for _ in range(20)]

    assert sum(burst) == 4
    assert sum(later) == 4


def test_what_is_known_leaves_tokens_for_what_is_new() -> None:
    """Two scenes that alternate would use up what a third one needs."""
    budget = SampleBudget(4.0, 0.0)
    while budget.spend(0, reserve=0.5):
        pass

    assert budget.spend(0)


def test_what_is_owed_is_taken_and_others_wait() -> None:
    """Keyframes that are taken in any case would come on top of the budget."""
    budget = SampleBudget(4.0, 0.0)
    assert budget.spend(0, 6, owed=True)
    assert not budget.spend(1)
    assert budget.spend(3)


def test_many_keyframes_a_second_are_bounded() -> None:
    """A stream of nothing but keyframes that alternate in size cost 255 times a talking head."""
    packets = [
        VideoPacket(seconds=number / 240, size_bytes=9000 if number % 2 else 3000, keyframe=True)
        for number in range(960)
    ]
    taken = [target for part in planned(packets).runs for target in part.targets]

    assert len(taken) <= BALANCED.samples_per_second * (4 + 1)


def test_large_pictures_are_refused_by_their_macroblocks_and_the_first_is_taken() -> None:
    """8K cost 388 times a talking head."""
    packets = [VideoPacket(seconds=number / 4, size_bytes=90_000, keyframe=True) for number in range(16)]
    result = planned(packets, macroblocks=MACROBLOCKS_8K)
    taken = [target.index for part in result.runs for target in part.targets]

    assert taken[0] == 0
    assert 3 * len(taken) * MACROBLOCKS_8K <= BALANCED.macroblocks_per_second * 4
    assert result.refused_seconds


def test_large_packets_are_refused_by_their_bytes() -> None:
    """Small pictures of 129 Mbit/s cost 75 times what a talking head does."""
    packets = [VideoPacket(seconds=number / 60, size_bytes=270_000, keyframe=number == 0) for number in range(240)]
    result = planned(packets, macroblocks=920)
    decoded = max(target.index for part in result.runs for target in part.targets)

    assert not any(part.watched for part in result.runs)
    assert decoded * 270_000 * DECODING_COST.byte <= BALANCED.macroblocks_per_second * 4
    unseen = refused_stretches(result.refused_seconds, [target / 60 for target in (0, decoded)], 4.0)
    assert sum(end - start for start, end in unseen) > 3


@pytest.mark.parametrize("compared", [False, True])
def test_a_plan_of_any_size_keeps_its_first_picture(compared: bool) -> None:
    """A single picture over the bound would leave a segment without any sample, which is an error of its own."""
    packets = [VideoPacket(seconds=number / 25, size_bytes=5000, keyframe=number == 0) for number in range(100)]
    result = planned(packets, macroblocks=64_000_000 / 256, compared=compared)

    assert [target.index for part in result.runs for target in part.targets] == [0]
    assert result.refused_seconds


@pytest.mark.parametrize("gop", [1, 2, 10])
@pytest.mark.parametrize("compared", [True, False])
def test_short_gops_that_cannot_be_watched_are_not_called_seen(compared: bool, gop: int) -> None:
    """Where every picture is a keyframe another scene could fill all the time between samples."""
    packets = [VideoPacket(seconds=number / 60, size_bytes=5000, keyframe=number % gop == 0) for number in range(240)]
    result = planned(packets, macroblocks=32_400, compared=compared)
    sampled = sorted(packets[index].seconds for part in result.runs for index in _targets(part))

    assert not all(part.watched for part in result.runs)
    unseen = refused_stretches(result.refused_seconds, sampled, 4.0)
    watched = sum(part.run.stop - part.run.start for part in result.runs if part.watched) / 60
    assert sum(end - start for start, end in unseen) > 3.8 - watched


@pytest.mark.parametrize("compared", [True, False])
def test_what_cannot_be_watched_is_not_called_seen(compared: bool) -> None:
    """AV1 over the bound, or H.264 whose packets say nothing, would count as moderated from keyframe to keyframe."""
    packets = [VideoPacket(seconds=number / 60, size_bytes=5000, keyframe=number % 60 == 0) for number in range(240)]
    result = planned(packets, macroblocks=32_400, compared=compared)

    assert not all(part.watched for part in result.runs)
    unseen = refused_stretches(result.refused_seconds, [0.0, 1.0, 2.0, 3.0], 4.0)
    assert sum(end - start for start, end in unseen) > 2


def test_bytes_count_where_they_cost_more_than_pictures() -> None:
    """90 Mbit/s of 360p took 36 times a talking head's CPU: its pictures are few macroblocks, and all entropy."""
    packets = [VideoPacket(seconds=number / 60, size_bytes=190_000, keyframe=number % 60 == 0) for number in range(240)]
    bits = 8 * sum(
        packets[index].size_bytes
        for part in planned(packets, macroblocks=920, compared=True).runs
        for index in range(part.run.start, part.run.stop if part.watched else 1 + max(_targets(part), default=-1))
    )

    assert bits <= 18_000_000 * 4


@pytest.mark.parametrize("gop", [1, 8])
def test_small_pictures_count_for_what_comparing_them_costs(gop: int) -> None:
    """990 pictures of 64×64 a second took 25 times a talking head's CPU: each is 16 macroblocks to decode."""
    packets = [VideoPacket(seconds=number / 990, size_bytes=200, keyframe=number % gop == 0) for number in range(1_980)]
    result = planned(packets, macroblocks=16)
    watched = sum(part.run.stop - part.run.start for part in result.runs if part.watched)

    assert 0 < watched <= 250 * 2
    assert result.refused_seconds


@pytest.mark.parametrize(
    ("decoder", "rate", "whole"), [("libdav1d", 30, True), ("vp9", 30, True), ("h264", 30, True), ("hevc", 60, False)]
)
def test_1080p_is_decoded_whole_up_to_what_it_costs(decoder: str, rate: int, whole: bool) -> None:
    """Half of each stream of 1080p whose packets say little would be left out."""
    packets = [
        VideoPacket(seconds=number / rate, size_bytes=2_000, keyframe=number % (2 * rate) == 0)
        for number in range(4 * rate)
    ]
    result = planned(packets, macroblocks=8_160, compared=True, decoder=decoder)

    assert all(part.watched for part in result.runs) is whole
    assert bool(result.refused_seconds) is not whole


@pytest.mark.parametrize(("rate", "whole"), [(60, True), (100, True), (180, False)])
def test_comparing_many_pictures_a_second_counts(rate: int, whole: bool) -> None:
    """180 small pictures a second, all of them watched, took 16 times a talking head's CPU in H.265 and VP9."""
    packets = [
        VideoPacket(seconds=number / rate, size_bytes=700, keyframe=number % (rate // 2) == 0)
        for number in range(4 * rate)
    ]
    result = planned(packets, macroblocks=1_280, compared=True, decoder="hevc")
    watched = sum(part.run.stop - part.run.start for part in result.runs if part.watched)

    assert (watched == len(packets)) is whole
    assert bool(result.refused_seconds) is not whole
    assert watched <= 4 * 100


@pytest.mark.parametrize("decoder", ["h264", "hevc", "vp9"])
@pytest.mark.parametrize("rate", [30, 60])
def test_720p_is_decoded_whole(decoder: str, rate: int) -> None:
    """Grain and flicker would hide cuts in most streams of that size."""
    packets = [
        VideoPacket(seconds=number / rate, size_bytes=9_000, keyframe=number % (2 * rate) == 0)
        for number in range(4 * rate)
    ]
    result = planned(packets, macroblocks=3_600, compared=True, decoder=decoder)

    assert all(part.watched for part in result.runs)
    assert not result.refused_seconds


@pytest.mark.parametrize("probed", [True, False])
def test_pictures_of_one_size_are_probed_where_there_is_no_room_for_all(*, probed: bool) -> None:
    """A steady camera of 1080p and 17 Mbit/s would be left out, for its packets are as alike as padded ones."""
    packets = [
        VideoPacket(seconds=number / 30, size_bytes=70_000 if number % 30 else 300_000, keyframe=number % 30 == 0)
        for number in range(120)
    ]
    result = planned(packets, macroblocks=8_160, probed=probed)

    left = [part.run for part in result.runs if not part.watched]
    assert left
    doubted = [sum(run.start < doubt.packet < run.stop for doubt in result.doubts) for run in left]
    assert all(count >= 3 for count in doubted) is probed
    assert bool(result.refused_seconds) is not probed


def test_pictures_of_one_size_are_refused_where_there_is_no_room_for_probes() -> None:
    """Three pictures of 8K, decoded in part for each GOP, would take twice what the bound allows."""
    packets = [
        VideoPacket(seconds=number / 30, size_bytes=120_000 if number % 24 else 500_000, keyframe=number % 24 == 0)
        for number in range(120)
    ]
    result = planned(packets, macroblocks=MACROBLOCKS_8K)

    probes = 3 * len({part.run.start for part in result.runs for doubt in result.doubts if doubt.packet in part.own})
    assert probes * MACROBLOCKS_8K <= BALANCED.macroblocks_per_second * 4
    assert result.refused_seconds


@pytest.mark.parametrize(("size_bytes", "count"), [(2_900_000, 1), (33_000_000, 0)])
def test_a_first_picture_of_many_bytes_is_left_out(size_bytes: int, count: int) -> None:
    """Entropy alone, 33 MB in one picture each 2 s, took 67 times a talking head's CPU."""
    packets = [VideoPacket(seconds=0.0, size_bytes=size_bytes, keyframe=True)]
    packets += [VideoPacket(seconds=number / 25, size_bytes=900, keyframe=False) for number in range(1, 50)]
    result = planned(packets, macroblocks=32_400)

    assert sum(len(part.targets) for part in result.runs) == count
    assert bool(result.refused_seconds) is (count == 0)


def test_samples_pay_for_being_judged() -> None:
    """A montage of 1080p that is decoded whole would have five classified a second besides."""
    bound = DecodingBound.of(BALANCED, span_seconds=4, picture_macroblocks=8_160)
    assert bound.left(0, 20, size_bytes=0) <= bound.macroblocks / 3


def test_bytes_that_were_decoded_are_gone_for_leading_pictures() -> None:
    """A stream of open GOPs would cost twice the bound: its leading pictures had all that entropy had used up."""
    bound = DecodingBound.of(BALANCED, span_seconds=4, picture_macroblocks=920)
    used = round(bound.macroblocks / DECODING_COST.byte)
    assert bound.left(60, 2, size_bytes=used) == 0
    assert 0 < bound.left(60, 2, size_bytes=60 * 920) < bound.left(60, 2, size_bytes=0)


def test_short_segments_together_cost_what_a_long_one_does() -> None:
    """Each would have a whole second's budget: keyframes alone, in segments of 0.5 s, cost 19 times a talking head."""
    packets = [VideoPacket(index / 240, 4_000 + 2_000 * (index % 2), keyframe=True) for index in range(120)]
    result = planned(packets, macroblocks=240)

    assert sum(len(part.targets) for part in result.runs) <= 0.5 * BALANCED.samples_per_second + 1


def test_the_bound_of_half_a_second_is_that_of_shorter_inputs() -> None:
    """Parts of low-latency streams would be refused for the seconds that they do not have."""
    bound = DecodingBound.of(VIGILANT, span_seconds=0.2, picture_macroblocks=920)
    assert bound.macroblocks >= (60 + 2 * 10) * 920


def _targets(part: RunPlan) -> list[int]:
    return [target.index for target in part.targets]


INSTANTS = st.lists(st.floats(0, 30), max_size=40)


@given(refused=INSTANTS, seen=INSTANTS)
def test_refused_stretches_end_at_samples(refused: list[float], seen: list[float]) -> None:
    """Time would be lost twice, or not at all."""
    stretches = refused_stretches(refused, seen, 30.0)

    assert stretches == sorted(stretches)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(stretches))
    for seconds in refused:
        following = min((at for at in seen if at > seconds + 1e-6), default=30.0)
        assert following <= seconds or any(start <= seconds and following <= end for start, end in stretches)


def test_more_stretches_than_fit_are_joined() -> None:
    """A strobe would make a message that the parent takes for a lie."""
    refused = [number / 100 for number in range(1, 2000, 2)]
    seen = [number / 100 for number in range(0, 2000, 2)]
    stretches = refused_stretches(refused, seen, 20.0)

    assert len(stretches) <= MOST_REFUSED
    assert all(any(start <= seconds < end for start, end in stretches) for seconds in refused)


def test_time_that_was_not_seen_for_two_reasons_counts_once() -> None:
    """The ledger's equation would not hold."""
    unseen = [
        Stretch(start_seconds=1.0, end_seconds=2.0, reason="concealed"),
        Stretch(start_seconds=2.5, end_seconds=4.0, reason="gap"),
    ]
    both = with_refused(unseen, [(0.5, 1.5), (1.8, 3.0)])

    assert [(one.start_seconds, one.end_seconds, one.reason) for one in both] == [
        (0.5, 1.0, "budget"),
        (1.0, 2.0, "concealed"),
        (2.0, 3.0, "budget"),
        (3.0, 4.0, "gap"),
    ]


def test_weak_suspects_leave_tokens_to_those_after_them() -> None:
    """Of a talking head in x265 whole GOPs would be decoded, since suspects found no token that weak ones had used."""
    sizes = [20_000, *[7_200] * 49]
    for place in (26, 30, 34):
        sizes[place] = 9_000
    for place in (40, 45):
        sizes[place] = 14_000
    packets = [
        VideoPacket(seconds=number / 25, size_bytes=size, keyframe=number == 0) for number, size in enumerate(sizes)
    ]

    (run,) = plan(packets, profile=BALANCED, seed=b"", end_seconds=2, picture_macroblocks=880, probed=True).runs

    assert not run.watched
    assert {40, 45} <= {target.index for target in run.targets}


@pytest.mark.parametrize(("rate", "suspects"), [(25, (6, 12, 18)), (50, (16, 42))])
def test_suspects_that_are_too_many_to_be_cuts_are_compared(rate: int, suspects: tuple[int, ...]) -> None:
    """A noisy camera at 720p would have the end of each second unmoderated, as if all that stands out were cuts."""
    sizes = [40_000, *[8_000] * (rate - 1)]
    for place in suspects:
        sizes[place] = 30_000
    packets = [
        VideoPacket(seconds=number / rate, size_bytes=size, keyframe=number == 0) for number, size in enumerate(sizes)
    ]

    result = planned(packets, macroblocks=3_600)

    assert not result.refused_seconds
    assert [part.watched for part in result.runs] == [True]


def test_leading_pictures_do_not_pay_for_the_keyframe_after_them_again() -> None:
    """Each segment of open GOPs at 720p and 60 pictures a second would begin with pictures that nobody sees."""
    before, rate = 120, 60
    packets = [VideoPacket(0.0, 40_000, keyframe=True, shown=False)]
    packets += [VideoPacket(n / rate, 5_000 + 1_000 * (n % 5), keyframe=False, shown=False) for n in range(1, before)]
    packets.append(VideoPacket((before + 2) / rate, 40_000, keyframe=True))
    packets += [VideoPacket((before + n) / rate, 9_000, keyframe=False, reference=n == 0, leading=True) for n in (0, 1)]
    bound = DecodingBound.of(BALANCED, span_seconds=2, picture_macroblocks=3_600)
    size_bytes = sum(packet.size_bytes for packet in packets if packet.leading or not packet.shown)
    left = (before + 1) * 3_600 + 20_000 + bound.handed_over(1) + DECODING_COST.byte * size_bytes

    result = plan(
        packets,
        profile=BALANCED,
        seed=b"leading",
        end_seconds=packets[before].seconds,
        picture_macroblocks=3_600,
        probed=True,
        leading_macroblocks=left,
        primer=before,
    )

    assert not result.refused_seconds
    assert [(part.run.start, bool(part.targets)) for part in result.runs] == [(0, True)]


@pytest.mark.parametrize("owed_late", [False, True])
def test_suspects_beside_what_is_refused_anyway_are_not_left_to_a_probe(*, owed_late: bool) -> None:
    """An insert's beginning would be taken out of the ledger, since its own packet shows nothing new, and what shows
    the rest of it is never decoded."""
    rate, suspects = 120, (300, 330)
    sizes = [40_000, *(6_000 + 900 * (number % 7) for number in range(3 * rate - 1))]
    for place in suspects:
        sizes[place] = 20_000
    packets = [
        VideoPacket(seconds=number / rate, size_bytes=size, keyframe=number == 0) for number, size in enumerate(sizes)
    ]
    profile = BALANCED.model_copy(
        update={"macroblocks_per_second": 100_000, "max_gap_seconds": 2.0 if owed_late else 4.0, "audits_per_minute": 0}
    )

    result = plan(packets, profile=profile, seed=b"beside", end_seconds=3.0, picture_macroblocks=3_600, probed=True)

    (part,) = result.runs
    times = {packets[place].seconds for place in suspects}
    assert {target.index for target in part.over_bound}.issuperset(suspects) != owed_late
    assert times.issubset(result.refused_seconds) == owed_late
