"""Bounds within the budget: least and most that inputs, samples and pictures count for, where profiles, segments or
pictures are far from the usual."""

import pytest

from config.profiles import BALANCED, VIGILANT, SamplingProfile
from sampler.demux.packets import VideoPacket
from sampler.plan.budget import DecodingBound, SampleBudget
from sampler.plan.plan import plan
from sampler.plan.run_plan import Plan

MACROBLOCKS_360P, MACROBLOCKS_720P, MACROBLOCKS_1080P, MACROBLOCKS_8K = 920, 3_600, 8_160, 129_600


def packets_of(
    seconds: float, *, rate: int, gop: int, size_bytes: int = 900, keyframe_bytes: int = 9_000, pictures: int = 1
) -> list[VideoPacket]:
    return [
        VideoPacket(
            seconds=number / rate,
            size_bytes=size_bytes if number % gop else keyframe_bytes,
            keyframe=number % gop == 0,
            pictures=pictures,
        )
        for number in range(round(seconds * rate))
    ]


def planned(
    packets: list[VideoPacket],
    *,
    macroblocks: float,
    profile: SamplingProfile = BALANCED,
    compared: bool = False,
    decoder: str = "",
) -> Plan:
    """The plan of one input, which ends with its last picture's time."""
    step = packets[-1].seconds - packets[-2].seconds if len(packets) > 1 else 0.04
    return plan(
        packets,
        profile=profile,
        seed=b"bounds",
        end_seconds=max(packet.seconds for packet in packets) + step,
        picture_macroblocks=macroblocks,
        decoder=decoder,
        probed=True,
        compared=compared,
    )


def taken(result: Plan) -> list[int]:
    return [target.index for part in result.runs for target in part.targets]


def spent(budget: SampleBudget, half_second: int) -> int:
    """The samples that there are tokens for."""
    return sum(budget.spend(half_second) for _ in range(100))


def test_a_profile_of_less_than_a_sample_a_second_takes_some() -> None:
    """No cut would ever be sampled, for the bucket never holds a whole token."""
    budget = SampleBudget(0.25, 0.0)
    assert [spent(budget, half_second) for half_second in (0, 4, 8, 16)] == [1, 0, 1, 1]


def test_tokens_of_a_long_still_scene_are_lost() -> None:
    """After a minute of nothing a strobe would have 240 pictures sampled within half a second."""
    budget = SampleBudget(4.0, 0.0)
    assert [spent(budget, 0), spent(budget, 120)] == [4, 4]


def test_a_short_input_has_the_burst_of_its_own_time() -> None:
    """A stream of segments of half a second would have twice the samples of others."""
    bound = DecodingBound.of(BALANCED, span_seconds=0.5, picture_macroblocks=MACROBLOCKS_360P)
    assert spent(SampleBudget(16.0, 0.0, burst_seconds=bound.burst_seconds), 0) == 8
    long = DecodingBound.of(BALANCED, span_seconds=4.0, picture_macroblocks=MACROBLOCKS_360P)
    assert spent(SampleBudget(16.0, 0.0, burst_seconds=long.burst_seconds), 0) == 16


def test_a_picture_of_an_earlier_half_second_takes_nothing_from_others() -> None:
    """A picture that is shown before the one that was sampled last would be refused though there are tokens."""
    budget = SampleBudget(4.0, 0.0)
    assert budget.spend(4)
    assert [budget.spend(0), spent(budget, 4)] == [True, 2]


def test_a_cut_in_a_part_of_a_fifth_of_a_second_is_sampled() -> None:
    """Parts of low-latency streams would be refused for the seconds that they do not have."""
    packets = packets_of(0.2, rate=25, gop=25, keyframe_bytes=20_000)
    packets[3] = packets[3]._replace(size_bytes=19_000)
    result = planned(packets, macroblocks=MACROBLOCKS_720P)
    assert 3 in taken(result) or any(part.watched for part in result.runs)
    assert not result.refused_seconds


def test_many_short_segments_cost_less_to_decode_than_a_long_one() -> None:
    """Opening each costs besides: a stream of segments of half a second would cost a fourth more than others."""
    short, long = (
        DecodingBound.of(BALANCED, span_seconds=seconds, picture_macroblocks=MACROBLOCKS_360P).macroblocks
        for seconds in (0.5, 4.0)
    )
    assert 8 * short < 0.9 * long


def test_a_keyframe_of_a_megabyte_begins_a_short_segment() -> None:
    """Streams of high quality in segments of half a second would be unmoderated as `too_large`."""
    packets = packets_of(0.5, rate=60, gop=30, keyframe_bytes=1_400_000)
    assert 0 in taken(planned(packets, macroblocks=MACROBLOCKS_1080P))


def test_a_profile_of_few_macroblocks_has_its_samples() -> None:
    """An operator who halves what streams may cost, again and again, would find keyframes refused."""
    profile = BALANCED.model_copy(update={"macroblocks_per_second": 100_000, "audits_per_minute": 0})
    result = planned(packets_of(4, rate=25, gop=25), macroblocks=MACROBLOCKS_360P, profile=profile)
    assert {0, 25, 50, 75} <= {*taken(result)}
    assert not result.refused_seconds


def test_a_profile_of_few_samples_and_many_macroblocks_has_all_its_keyframes() -> None:
    """Each sample would count for as much as a second of decoding."""
    profile = VIGILANT.model_copy(update={"samples_per_second": 1.0, "audits_per_minute": 0, "cuts_per_second": 0})
    packets = packets_of(4, rate=24, gop=6)
    result = planned(packets, macroblocks=MACROBLOCKS_360P, profile=profile)
    assert {*range(0, 96, 6)} <= {*taken(result)} | {
        index for part in result.runs if part.watched for index in range(part.run.start, part.run.stop)
    }


def test_a_profile_without_samples_takes_what_keyframes_call_for() -> None:
    """Each segment of a stream would fail by an error of arithmetic."""
    profile = BALANCED.model_copy(update={"samples_per_second": 0.0, "audits_per_minute": 0})
    assert {0, 50} <= {*taken(planned(packets_of(4, rate=25, gop=50), macroblocks=MACROBLOCKS_360P, profile=profile))}


def test_small_pictures_are_watched_on_a_profile_of_few_macroblocks() -> None:
    """A tenth of a second of a video of stamp size would use up what the profile allows."""
    profile = BALANCED.model_copy(update={"macroblocks_per_second": 100_000, "audits_per_minute": 0})
    result = planned(packets_of(4, rate=25, gop=50, size_bytes=200), macroblocks=16, profile=profile, compared=True)
    assert all(part.watched for part in result.runs)
    assert not result.refused_seconds


def test_small_pictures_are_watched_on_a_profile_of_many_macroblocks() -> None:
    """The profile that sees most would leave out more than others of a stream of 240 pictures a second."""
    packets = packets_of(4, rate=240, gop=480, size_bytes=700)
    result = planned(packets, macroblocks=MACROBLOCKS_360P, profile=VIGILANT, compared=True)
    assert all(part.watched for part in result.runs)
    assert not result.refused_seconds


def test_few_pictures_a_second_give_nothing_back() -> None:
    """A slide show of 20 Mbit/s would be decoded beyond the bound, for the pictures that it does not have."""
    packets = packets_of(10, rate=1, gop=10, size_bytes=2_400_000, keyframe_bytes=2_400_000)
    result = planned(packets, macroblocks=MACROBLOCKS_1080P, compared=True)
    assert not any(part.watched for part in result.runs)
    assert result.refused_seconds


def test_runs_of_one_picture_count_for_two() -> None:
    """990 keyframes of 64×64 a second, each compared with the one before, cost twice the bound."""
    packets = packets_of(2, rate=990, gop=1, keyframe_bytes=200)
    result = planned(packets, macroblocks=16)
    assert 0 < sum(part.run.stop - part.run.start for part in result.runs if part.watched) <= 230


@pytest.mark.parametrize(("pictures", "count"), [(16, 1), (17, 0), (1_000, 0)])
def test_a_first_packet_of_many_pictures_is_left_out(pictures: int, count: int) -> None:
    """A thousand hidden pictures of AV1 in 20 kB took four seconds, and ended the decoder with all the segment."""
    first = VideoPacket(seconds=0.0, size_bytes=20_000, keyframe=True, pictures=pictures)
    rest = [VideoPacket(seconds=number / 25, size_bytes=900, keyframe=False) for number in range(1, 50)]
    result = planned([first, *rest], macroblocks=MACROBLOCKS_8K, compared=True, decoder="libdav1d")
    assert len(taken(result)) == count
    assert result.refused_seconds


def test_hidden_pictures_count_as_shown_ones_do() -> None:
    """A stream of AV1 or VP9 with seven hidden pictures in each packet would cost eight times the bound."""
    packets = packets_of(4, rate=60, gop=120, pictures=8)
    result = planned(packets, macroblocks=MACROBLOCKS_720P, compared=True, decoder="vp9")
    assert not all(part.watched for part in result.runs)
    assert result.refused_seconds


def test_probes_take_what_samples_left() -> None:
    """Three pictures of 8K, decoded in part for each GOP, would come on top of the bound."""
    packets = packets_of(4, rate=30, gop=24, size_bytes=120_000, keyframe_bytes=500_000)
    result = planned(packets, macroblocks=MACROBLOCKS_8K)
    decoded = sum(12 + max(target.index - part.run.start, 0) + 1 for part in result.runs for target in part.targets)
    probed = sum(1.5 * any(doubt.packet in part.own for part in result.runs) for doubt in result.doubts)
    assert (decoded + probed) * MACROBLOCKS_8K <= BALANCED.macroblocks_per_second * 4
