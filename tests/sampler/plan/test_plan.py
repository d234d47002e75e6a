"""Guarantees of every plan, whatever the packets: bounds, and independence of irrelevant input."""

import math
from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.profiles import BALANCED, ECONOMY, PROFILES, VIGILANT, SamplingProfile
from sampler.demux.packets import VideoPacket, own_pictures, runs
from sampler.frames import SampleReason
from sampler.plan.plan import plan
from sampler.plan.planned_picture import PlannedPicture

STEPS_SECONDS = [1 / 60, 1 / 25, 0.1, 1.0, 3.0]
SIZES = [0, 40, 300, 1000, 4000, 60_000]


def changed(packet: VideoPacket, **fields: object) -> VideoPacket:
    """The packet with other fields."""
    before = {name: getattr(packet, name) for name in signature(VideoPacket).parameters}
    return VideoPacket(**before | fields)


@st.composite
def gops(draw: st.DrawFn, start_seconds: float) -> list[VideoPacket]:
    """One GOP in decoding order: its pictures at an even pace, with a run of B-frames before every P."""
    count = draw(st.integers(1, 40))
    step = draw(st.sampled_from(STEPS_SECONDS))
    leading = draw(st.sampled_from([0, 0, 2]))
    """B-frames that are shown before the keyframe, as in an open GOP."""
    between = draw(st.integers(0, 3))
    times = [start_seconds + place * step for place in range(count + leading)]
    order = [leading, *range(leading)]
    place = leading + 1
    while place < len(times):
        last = min(place + between, len(times) - 1)
        order += [last, *range(place, last)]
        place = last + 1
    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=len(order), max_size=len(order)))
    quantiser = draw(st.none() | st.integers(10, 51))
    return [
        VideoPacket(
            seconds=times[shown],
            size_bytes=size,
            keyframe=number == 0,
            reference=number == 0 or shown == max(order[: number + 1]),
            quantiser=quantiser,
            leading=number > 0 and shown < leading,
        )
        for number, (shown, size) in enumerate(zip(order, sizes, strict=True))
    ]


@st.composite
def streams(draw: st.DrawFn) -> list[VideoPacket]:
    """Some GOPs; the first may lack its keyframe, and some pictures may be hidden, or be recovery points."""
    packets: list[VideoPacket] = []
    for _ in range(draw(st.integers(1, 5))):
        packets += draw(gops(max((packet.seconds for packet in packets), default=-0.04) + 0.04))
    if draw(st.booleans()):
        packets[0] = changed(packets[0], keyframe=False)
        at = draw(st.integers(0, len(packets) - 1))
        packets[at] = changed(packets[at], recovery_frames=None if packets[at].keyframe else draw(st.integers(0, 9)))
    for at in draw(st.sets(st.integers(0, len(packets) - 1), max_size=4)):
        packets[at] = changed(packets[at], shown=False)
    return packets


HEAPS = st.lists(
    st.builds(
        VideoPacket,
        seconds=st.floats(0, 20),
        size_bytes=st.sampled_from(SIZES),
        keyframe=st.booleans(),
        reference=st.booleans(),
        quantiser=st.none() | st.integers(-12, 51),
        shown=st.booleans(),
        recovery_frames=st.none() | st.integers(0, 100),
    ),
    min_size=1,
    max_size=40,
)
"""Packets as a hostile broadcaster may send them, in no order at all."""
ANY = streams() | HEAPS
AMPLE = {"samples_per_second": 1e9, "cuts_per_second": 1e9}
"""Tokens for everything."""
ANY_PROFILE = st.sampled_from([*PROFILES.values(), BALANCED.model_copy(update={"audits_per_minute": 60.0})])


def end_of(packets: Sequence[VideoPacket]) -> float:
    return max(packet.seconds for packet in packets) + 0.04


def targets_of(
    packets: Sequence[VideoPacket], profile: SamplingProfile = BALANCED, seed: bytes = b"plan"
) -> list[PlannedPicture]:
    """All pictures in the plan."""
    planned = plan(packets, profile=profile, seed=seed, end_seconds=end_of(packets))
    return [target for part in planned.runs for target in part.targets]


def decodable(packets: Sequence[VideoPacket]) -> set[int]:
    """Visible pictures that decode correctly within their run."""
    return {index for run in runs(packets) for index in own_pictures(packets, run)}


@given(packets=ANY, profile=ANY_PROFILE)
def test_no_stretch_is_without_a_certain_sample(packets: list[VideoPacket], profile: SamplingProfile) -> None:
    """An unusual stream would have a stretch to hide in."""
    times = sorted(packets[index].seconds for index in decodable(packets))
    # Targets with proofs are dropped if the cut turns out to be none.
    sure = sorted(packets[target.index].seconds for target in targets_of(packets, profile) if not target.proofs)
    edges = [*times, end_of(packets)]

    assert sure[:1] == times[:1]
    for before, after in pairwise([*sure, end_of(packets)] if times else []):
        within = [time for time in edges if before <= time <= after]
        longest_picture = max((later - earlier for earlier, later in pairwise(within)), default=0.0)
        assert after - before <= profile.max_gap_seconds + longest_picture + 1e-6


@given(packets=ANY, profile=ANY_PROFILE)
def test_only_visible_pictures_are_planned_and_each_once(packets: list[VideoPacket], profile: SamplingProfile) -> None:
    """Pictures that no viewer ever sees would raise alarms, or one picture would raise two."""
    taken = targets_of(packets, profile)
    indices = [target.index for target in taken]

    assert set(indices) <= decodable(packets)
    assert len(set(indices)) == len(indices)
    for part in plan(packets, profile=profile, seed=b"plan", end_seconds=end_of(packets)).runs:
        times = [packets[target.index].seconds for target in part.targets]
        assert times == sorted(times)
        assert all(part.run.start <= target.index < part.run.tail for target in part.targets)
        assert all(part.run.start <= proof.packet < part.run.tail for target in part.targets for proof in target.proofs)


@given(packets=ANY, profile=ANY_PROFILE)
def test_reasons_are_true(packets: list[VideoPacket], profile: SamplingProfile) -> None:
    """A reader of a record would look for a cut where there is none."""
    for target in targets_of(packets, profile):
        if target.reason is SampleReason.KEYFRAME:
            assert packets[target.index].keyframe
        if target.proofs:
            assert target.reason is SampleReason.CUT


@given(packets=ANY, profile=ANY_PROFILE)
def test_a_plan_depends_on_nothing_else(packets: list[VideoPacket], profile: SamplingProfile) -> None:
    """A segment repeated after a crash would give other samples, and other verdicts."""
    assert targets_of(packets, profile) == targets_of(list(packets), profile)


@given(packets=ANY, profile=ANY_PROFILE, seeds=st.tuples(st.binary(max_size=9), st.binary(max_size=9)))
def test_the_seed_moves_what_time_calls_for_only(
    packets: list[VideoPacket], profile: SamplingProfile, seeds: tuple[bytes, bytes]
) -> None:
    """Detecting a cut would depend on chance, where there are tokens for it."""
    profile = profile.model_copy(update=AMPLE)
    # A keyframe may be left out up to the next picture that time calls for.
    first, second = (
        {target.index: replace(target, until_seconds=None) for target in targets_of(packets, profile, seed)}
        for seed in seeds
    )
    for index in first.keys() | second.keys():
        found = {first.get(index), second.get(index)} - {None}
        reasons = {target.reason for target in found if target is not None}
        assert first.get(index) == second.get(index) or reasons & {SampleReason.AUDIT, SampleReason.GAP}


@given(packets=streams(), offset=st.sampled_from([0.5, 7.0, 1000.0]))
def test_only_differences_in_time_matter(packets: list[VideoPacket], offset: float) -> None:
    """The same pictures would be sampled differently in the middle of a file than at its start."""
    unaudited = BALANCED.model_copy(update={"audits_per_minute": 0.0} | AMPLE)
    moved = [changed(packet, seconds=packet.seconds + offset) for packet in packets]

    here, there = ({target.index: target.reason for target in targets_of(one, unaudited)} for one in (packets, moved))
    # Only the seed knows where gaps are filled, which may be where a cut is.
    gaps = {index for taken in (here, there) for index, reason in taken.items() if reason is SampleReason.GAP}
    assert here.keys() - gaps == there.keys() - gaps


@given(packets=ANY, profile=ANY_PROFILE)
def test_cuts_are_bounded(packets: list[VideoPacket], profile: SamplingProfile) -> None:
    """A broadcaster who makes every packet look like a cut would have everything decoded."""
    shown = [packets[index].seconds for index in decodable(packets)]
    span = end_of(packets) - min(shown, default=end_of(packets))
    cuts = [target for target in targets_of(packets, profile) if target.reason is SampleReason.CUT]

    assert len(cuts) <= 2 * math.ceil(profile.cuts_per_second * span + 1e-6)


def steady(sizes: Sequence[int], *, keyframes: Sequence[int] = (0,)) -> list[VideoPacket]:
    """25 pictures a second, without B-frames."""
    return [
        VideoPacket(seconds=number / 25, size_bytes=size, keyframe=number in keyframes)
        for number, size in enumerate(sizes)
    ]


def taken_at(packets: Sequence[VideoPacket], profile: SamplingProfile) -> list[tuple[int, str]]:
    unaudited = profile.model_copy(update={"audits_per_minute": 0.0})
    return [(target.index, str(target.reason)) for target in targets_of(packets, unaudited)]


QUIET = [450, 620, 550]
"""Sizes of pictures in which little happens: encoders make no two alike."""
CALM = [20_000, *QUIET * 33]
INSERT = [20_000, *QUIET * 13, 18_000, *[500] * 11, 18_000, *[*QUIET * 16][:47]]


@pytest.mark.parametrize(
    ("packets", "profile", "expected"),
    [
        pytest.param(steady(CALM[:50]), BALANCED, [(0, "keyframe")], id="a GOP of 2 s is seen by its keyframe"),
        pytest.param(steady(CALM[:80]), BALANCED, [(0, "keyframe"), "gap"], id="one of 3 s needs another picture"),
        pytest.param(steady(CALM), ECONOMY, [(0, "keyframe")], id="which economy does without"),
        pytest.param(
            steady(INSERT),
            BALANCED,
            [(0, "keyframe"), "gap", (39, "cut"), (40, "cut"), (51, "cut"), (52, "cut"), "gap"],
            id="both ends of an insert, and what was before each",
        ),
        pytest.param(
            steady([5000] * 50, keyframes=range(50)),
            BALANCED,
            [(0, "keyframe"), (13, "keyframe"), (26, "keyframe"), (39, "keyframe")],
            id="keyframes all along are passed over",
        ),
        pytest.param(
            steady([5000] * 5 + [9000] * 3 + [5000] * 4, keyframes=range(12)),
            BALANCED,
            [(0, "keyframe"), (5, "keyframe"), (8, "keyframe")],
            id="but not those that show something else",
        ),
    ],
)
def test_planned_pictures(
    packets: list[VideoPacket], profile: SamplingProfile, expected: list[tuple[int, str] | str]
) -> None:
    """Samples would miss changes of content, or be dense where nothing changes."""
    taken = taken_at(packets, profile)

    # Only the seed knows where the pictures of gaps lie.
    assert [reason if reason == "gap" else (index, reason) for index, reason in taken] == expected


@pytest.mark.parametrize(
    ("sizes", "watched"),
    [(CALM, False), ([20_000, *[5_000, 5_200] * 49, 50_000], True), ([20_000, *[60] * 99], False)],
    ids=["sizes of an encoder", "all of one size", "nothing moves"],
)
def test_pictures_all_of_one_size_are_compared(sizes: list[int], watched: bool) -> None:
    """Bytes that no decoder reads would hide any cut."""
    planned = plan(steady(sizes), profile=BALANCED, seed=b"plan", end_seconds=4.0)

    assert [part.watched for part in planned.runs] == [watched]


@pytest.mark.parametrize(
    ("keyframe", "others", "watched"),
    [
        ((20_000, 51), (18_000, 20), True),
        ((20_000, 20), (6_000, 40), True),
        ((20_000, 30), (6_000, 30), False),
    ],
    ids=["sizes leave no room", "complexity leaves no room", "both do"],
)
def test_quantisers_that_may_lie_keep_nothing_from_being_compared(
    keyframe: tuple[int, int], others: tuple[int, int], watched: bool
) -> None:
    """A slice may name a quantiser that its blocks take back: no cut stands out then, and nobody would look."""
    packets = [
        VideoPacket(number / 25, size, number == 0, quantiser=quantiser)
        for number, (size, quantiser) in enumerate([keyframe, *(others, (others[0] * 4 // 5, others[1])) * 24])
    ]
    planned = plan(packets, profile=BALANCED, seed=b"lies", end_seconds=2.0, picture_macroblocks=900, probed=True)

    assert [part.watched for part in planned.runs] == [watched]


def test_vigilance_samples_twice_a_second() -> None:
    """The closest profile would leave half a second to hide in."""
    times = [index / 25 for index, _ in taken_at(steady(CALM), VIGILANT)]

    assert max(after - before for before, after in pairwise([*times, 4.0])) <= 0.54


def test_pictures_that_interleave_with_other_gops_are_planned_too() -> None:
    """GOPs in another order than they are shown in would leave seconds to hide in."""
    begins = (0.0, 10.0, 2.0)
    packets = [
        VideoPacket(seconds=begin + number / 25, size_bytes=500 if number else 20_000, keyframe=number == 0)
        for begin, count in zip(begins, (50, 50, 75), strict=True)
        for number in range(count)
    ]
    times = sorted(packets[index].seconds for index, _ in taken_at(packets, BALANCED))
    shown_until = 2.0 + 75 / 25

    within = [time for time in times if time < shown_until]
    assert max(after - before for before, after in pairwise([*within, shown_until])) <= BALANCED.max_gap_seconds + 0.04


@pytest.mark.parametrize("seconds", [2, 8])
def test_audits_come_by_the_minute_and_fall_anywhere(seconds: int) -> None:
    """Long segments would be audited rarely, or only at their beginning."""
    profile = ECONOMY.model_copy(update={"audits_per_minute": 6.0, "max_gap_seconds": 60.0})
    packets = steady([20_000, *[500] * (25 * seconds - 1)])
    audited = [
        target.index
        for seed in range(1_000)
        for target in targets_of(packets, profile, str(seed).encode())
        if target.reason is SampleReason.AUDIT
    ]
    expected = 1_000 * seconds * 6 / 60

    assert len(audited) == pytest.approx(expected, rel=0.15)
    assert sum(index > len(packets) / 2 for index in audited) == pytest.approx(expected / 2, rel=0.2)


def test_a_run_without_a_keyframe_is_sampled_from_its_first_recovery() -> None:
    """With intra refresh a segment would be sampled only from its last refresh on, though it is correct from the
    first."""
    packets = [
        VideoPacket(
            seconds=number / 25, size_bytes=5000, keyframe=False, recovery_frames=5 if number in (10, 30) else None
        )
        for number in range(50)
    ]

    assert taken_at(packets, BALANCED) == [(0, "gap"), (15, "gap")]
