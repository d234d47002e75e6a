"""One timeline from any time stamps that a broadcaster sends."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampler.demux.timeline import BACKSTEP_SECONDS, JUMP_SECONDS, Timeline

CLOCK = Fraction(1, 90_000)
FRAME = 3600
WRAP = 2**33

Stamp = tuple[int | None, int | None]
"""(pts, dts), in ticks."""


def placed(stamps: list[Stamp], time_base: Fraction = CLOCK) -> list[float]:
    """The position of each picture, in decoding order."""
    timeline = Timeline(time_base)
    return [timeline.place(pts, dts) for pts, dts in stamps]


def frames(*places: float) -> list[float]:
    """Duration in seconds of this many frames at 25 a second."""
    return [pytest.approx(place / 25) for place in places]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        pytest.param([(0, 0), (3600, 3600), (7200, 7200)], frames(0, 1, 2), id="as they are"),
        pytest.param([(900, 900), (4500, 4500)], frames(0.25, 1.25), id="the container's origin is kept"),
        pytest.param(
            [(3600, 0), (14400, 3600), (7200, 7200), (10800, 10800)], frames(1, 4, 2, 3), id="b-frames step back"
        ),
        pytest.param([(3600, None), (14400, None), (7200, None)], frames(1, 4, 2), id="b-frames, no decoding times"),
        pytest.param([(0, 0), (None, 3600), (7200, 7200)], frames(0, 1, 2), id="shown when decoded"),
        pytest.param([(0, 0), (None, None), (None, None)], frames(0, 1, 2), id="missing"),
        pytest.param([(None, None), (3600, 3600)], frames(0, 1), id="missing at first"),
        pytest.param(
            [(0, 0), (1800, 1800), (3600, 3600), (None, None)], frames(0, 0.5, 1, 1.5), id="missing, at a learnt rate"
        ),
        pytest.param([(0, 0), (9 * 90_000, 9 * 90_000)], frames(0, 225), id="a long pause is a pause"),
        pytest.param([(0, 0), (3600, 3600), (10**7, 10**7)], frames(0, 1, 2), id="a jump on"),
        pytest.param([(2778 * FRAME, 2778 * FRAME), (0, 0), (3600, 3600)], frames(2778, 2779, 2780), id="back"),
        pytest.param([(2778 * FRAME, None), (0, None), (3600, None)], frames(2778, 2779, 2780), id="pts"),
        pytest.param([(0, 0), (0, 0), (3600, 3600)], frames(0, 0, 1), id="doubled"),
        pytest.param([(0, 0), (WRAP - 1, 3600), (7200, 7200)], frames(0, 1, 2), id="shown a day later"),
        pytest.param([(0, 0), (-WRAP, 3600), (7200, 7200)], frames(0, 1, 2), id="shown a day before"),
    ],
)
def test_each_picture_gets_its_position(stamps: list[Stamp], expected: list[float]) -> None:
    """A finding would be shown at the wrong instant, or a segment's duration be off by hours."""
    assert placed(stamps) == expected


@pytest.mark.parametrize(
    ("pts", "dts", "jumps", "missing"), [(None, None, 0, 1), (10**9, 10**9, 1, 0), (7200, 7200, 0, 0)]
)
def test_bridged_faults_are_counted(pts: int | None, dts: int | None, jumps: int, missing: int) -> None:
    """An operator would not learn why times are off."""
    timeline = Timeline(CLOCK)
    timeline.place(3600, 3600)
    timeline.place(pts, dts)

    assert (timeline.jumps, timeline.missing) == (jumps, missing)


@pytest.mark.parametrize(
    ("time_base", "step"),
    [(Fraction(1, 1000), 40), (Fraction(1, 12_800), 512), (Fraction(1001, 30_000), 1), (Fraction(1), 1)],
    ids=["milliseconds", "mp4", "one tick a picture", "seconds"],
)
def test_every_time_base_gives_the_same_times(time_base: Fraction, step: int) -> None:
    """Another packager would give other times for the same pictures."""
    timeline = Timeline(time_base)
    times = [timeline.place(number * step, number * step) for number in range(5)]

    assert times == [pytest.approx(number * step * float(time_base)) for number in range(5)]
    assert timeline.frame_seconds == pytest.approx(step * float(time_base))


@pytest.mark.parametrize(
    ("step", "frame_seconds"), [(1800, 0.02), (45_000, 0.5), (45_001, 0.04), (8 * 90_000, 0.04), (0, 0.04)]
)
def test_only_a_plausible_step_sets_a_pictures_duration(step: int, frame_seconds: float) -> None:
    """After a pause, the segment's last picture would count as moderated for seconds."""
    timeline = Timeline(CLOCK)
    timeline.place(0, 0)
    timeline.place(step, step)

    assert timeline.frame_seconds == pytest.approx(frame_seconds)


@given(st.lists(st.integers(1, 9 * 90_000), min_size=1, max_size=30), st.integers(-WRAP, WRAP))
def test_a_sound_clock_is_not_changed(steps: list[int], origin: int) -> None:
    """Times of a stream without faults would be altered."""
    stamps = [origin]
    for step in steps:
        stamps.append(stamps[-1] + step)

    assert placed([(stamp, stamp) for stamp in stamps]) == [pytest.approx(stamp / 90_000) for stamp in stamps]


STEPS = st.sampled_from([0, 1, FRAME, 80_000, 800_000, 10**6, WRAP]).flatmap(
    lambda step: st.sampled_from([step, -step])
)
STAMPS = st.none() | STEPS | st.integers(-WRAP, WRAP)


@given(st.lists(st.tuples(STAMPS, STAMPS), min_size=1, max_size=30))
def test_no_time_stamps_make_time_jump(stamps: list[Stamp]) -> None:
    """A broadcaster could stretch a segment to days with false time stamps, and flood its ledger."""
    times = placed(stamps)
    latest = [max(times[: place + 1]) for place in range(len(times))]

    assert all(after - before <= 3 * JUMP_SECONDS + 1 for before, after in pairwise(latest))
    assert all(last - time <= 3 * JUMP_SECONDS + 1 for last, time in zip(latest, times, strict=True))


@given(st.lists(st.integers(0, 89_000), min_size=1, max_size=100))
def test_small_steps_back_do_not_accumulate(steps: list[int]) -> None:
    """A clock that creeps back would map a minute onto the previous one, and omit it from the count."""
    stamps = [0]
    for step in steps:
        stamps.append(stamps[-1] - step)
    times = placed([(stamp, None) for stamp in stamps])

    assert min(times) >= -BACKSTEP_SECONDS


@given(st.lists(st.tuples(STAMPS, STAMPS), min_size=1, max_size=30), st.integers(-WRAP, WRAP))
def test_only_differences_matter(stamps: list[Stamp], offset: int) -> None:
    """The same segment at another time of day would be sampled differently."""
    moved = [(None if pts is None else pts + offset, None if dts is None else dts + offset) for pts, dts in stamps]
    first, again = placed([(0, 0), *stamps]), placed([(offset, offset), *moved])

    assert [time - first[0] for time in first] == [pytest.approx(time - again[0], abs=1e-6) for time in again]
