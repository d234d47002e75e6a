"""Detection of hidden cuts from packets alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.profiles import BALANCED, ECONOMY, VIGILANT
from sampler.demux.packets import VideoPacket, own_pictures, runs
from sampler.plan.cut_score import find_cuts
from sampler.plan.suspects import find_suspects

KEYFRAME_BYTES = 20_000
QUIET = [KEYFRAME_BYTES, *[800, 900, 700, 850] * 12]


def forward(sizes: Sequence[int], quantisers: Sequence[int] | None = None) -> list[VideoPacket]:
    """A GOP without B-frames."""
    return [
        VideoPacket(
            seconds=number / 25,
            size_bytes=size,
            keyframe=number == 0,
            quantiser=None if quantisers is None else quantisers[number],
        )
        for number, size in enumerate(sizes)
    ]


def with_b_frames(predicted_bytes: Sequence[int], b_bytes: int) -> list[VideoPacket]:
    """A GOP with a keyframe, and two B-frames before each P-frame, which come after it in the stream."""
    packets = [VideoPacket(seconds=0, size_bytes=KEYFRAME_BYTES, keyframe=True)]
    for group, size in enumerate(predicted_bytes):
        first = 3 * group + 1
        packets.append(VideoPacket(seconds=(first + 2) / 25, size_bytes=size, keyframe=False))
        packets += [
            VideoPacket(seconds=place / 25, size_bytes=b_bytes, keyframe=False, reference=False)
            for place in (first, first + 1)
        ]
    return packets


def with_pyramid(*, predicted_bytes: Sequence[int], middle_bytes: Sequence[int], b_bytes: int) -> list[VideoPacket]:
    """A GOP with a keyframe, and three B-frames before each P-frame, the middle one of which the others lean on."""
    packets = [VideoPacket(seconds=0, size_bytes=KEYFRAME_BYTES, keyframe=True)]
    for group, (predicted, middle) in enumerate(zip(predicted_bytes, middle_bytes, strict=True)):
        first = 4 * group + 1
        sizes = {first + 3: predicted, first + 1: middle, first: b_bytes, first + 2: b_bytes}
        packets += [
            VideoPacket(seconds=place / 30, size_bytes=size, keyframe=False, reference=place in {first + 1, first + 3})
            for place, size in sizes.items()
        ]
    return packets


def found(packets: Sequence[VideoPacket], threshold: float = BALANCED.cut_doublings) -> list[int]:
    """Packets that are taken for cuts."""
    return sorted(cut.index for cut in find_cuts(packets, 0, len(packets), threshold))


@pytest.mark.parametrize("at", [1, 2, 5, 24, 46, 47, 48])
def test_a_packet_as_large_as_a_keyframe_is_a_cut(at: int) -> None:
    """An insert anywhere in a GOP, even at its very ends, would not be detected."""
    sizes = list(QUIET)
    sizes[at] = 15_000

    assert found(forward(sizes)) == [at]


def test_a_quiet_scene_has_no_cuts() -> None:
    """Every stream would be decoded completely."""
    for profile in (ECONOMY, BALANCED, VIGILANT):
        assert found(forward(QUIET), profile.cut_doublings) == []


def test_both_ends_of_an_insert_are_cuts() -> None:
    """An insert with a soft beginning would be missed, though its end is hard."""
    sizes = list(QUIET)
    sizes[20] = sizes[30] = 12_000

    assert found(forward(sizes)) == [20, 30]


def test_a_cut_starved_by_rate_control_shows_in_its_quantiser() -> None:
    """Under a tight buffer a new scene takes hardly more bits than an old one: it would not be detected."""
    starved = [20] * 49
    starved[24] = 47
    sizes = list(QUIET)
    sizes[24] = 1600

    assert found(forward(sizes)) == []
    assert found(forward(sizes, starved)) == [24]


def test_the_size_pattern_of_b_frames_is_no_cut() -> None:
    """P-frames are many times as large as the B-frames between them: each would be decoded as a cut."""
    assert found(with_b_frames([4000] * 16, 300)) == []


def test_a_cut_at_a_p_frame_stands_out_among_p_frames() -> None:
    """With B-frames around it a cut would be lost among their sizes."""
    sizes = [2000] * 16
    sizes[7] = 18_000
    packets = with_b_frames(sizes, 300)
    (cut,) = find_cuts(packets, 0, len(packets), BALANCED.cut_doublings)

    assert cut.index == 1 + 3 * 7
    # The scene before is best seen in the P-frame that is shown last before it.
    assert packets[cut.before].seconds == pytest.approx(packets[cut.index].seconds - 3 / 25)


def test_repeats_among_b_frames_hide_among_no_others() -> None:
    """Of a camera of 10 pictures a second, sent as 30, each GOP would be decoded to its first B-frame that is none."""
    packets = with_pyramid(predicted_bytes=[17_000] * 12, middle_bytes=[300, 650, 15_000] * 4, b_bytes=100)

    assert found(packets) == []


def test_a_still_scene_before_an_insert_is_no_repeat_where_many_b_frames_lie_between() -> None:
    """The insert's P-frame was compared with its own others alone, and a window over a shared screen went unseen."""
    packets = [VideoPacket(seconds=0, size_bytes=KEYFRAME_BYTES, keyframe=True)]
    for group, size in enumerate([300, 9_000, 5_000, 250]):
        first = 8 * group + 1
        packets.append(VideoPacket(seconds=(first + 7) / 15, size_bytes=size, keyframe=False))
        packets += [
            VideoPacket(seconds=(first + place) / 15, size_bytes=60, keyframe=False, reference=False)
            for place in range(7)
        ]

    assert 1 + 8 in found(packets)


def test_a_still_scene_around_a_cut_is_no_repeat_where_pictures_are_few() -> None:
    """At 10 pictures a second all but the cut's were taken for repeats of it: beside nothing else it did not stand
    out."""
    assert found(with_b_frames([6_000, 400, 350], 40)) == [1]


def test_a_still_insert_into_grain_is_no_repeat_where_pictures_are_few() -> None:
    """At 5 pictures a second its three were taken for repeats of its first, beside which its end did not stand out."""
    sizes = [13_000, 7_500, 8_000, 7_900, 2_200, 350, 650, 850, 6_000, 400]
    packets = [
        VideoPacket(seconds=number / 5, size_bytes=size, keyframe=number == 0) for number, size in enumerate(sizes)
    ]

    assert 8 in found(packets)


def test_the_next_keyframe_is_no_measure_of_the_pictures_before_it() -> None:
    """Leading pictures lean on it, so that it lies in their run: a cut shortly before it stood out less than where
    GOPs are closed."""
    sizes = [KEYFRAME_BYTES, *[800] * 10, 8_000]
    closed = forward(sizes)
    opened = [*closed, VideoPacket(seconds=len(sizes) / 25, size_bytes=KEYFRAME_BYTES, keyframe=True)]

    assert found(closed) == found(opened) == [11]


@given(st.lists(st.integers(41, 30_000), min_size=2, max_size=60), st.integers(2, 50))
def test_only_ratios_count(sizes: list[int], factor: int) -> None:
    """Detection would depend on the stream's bit rate."""
    assert found(forward(sizes)) == found(forward([factor * size for size in sizes]))


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60), st.floats(-4, 16), st.floats(0, 4))
def test_a_lower_threshold_finds_no_fewer_cuts(sizes: list[int], threshold: float, less: float) -> None:
    """A closer profile would miss cuts that a cheaper one finds."""
    packets = forward(sizes)

    assert set(found(packets, threshold)) <= set(found(packets, threshold - less))


@given(
    st.lists(
        st.builds(
            VideoPacket,
            seconds=st.floats(0, 20),
            size_bytes=st.integers(0, 10**9),
            keyframe=st.booleans(),
            reference=st.booleans(),
            quantiser=st.none() | st.integers(-(2**15), 2**15),
        ),
        min_size=1,
        max_size=30,
    ),
    st.data(),
)
def test_any_packets_are_scored(packets: list[VideoPacket], data: st.DataObject) -> None:
    """One odd packet would end the segment."""
    start = data.draw(st.integers(0, len(packets) - 1))
    stop = data.draw(st.integers(start + 1, len(packets)))
    cuts = find_cuts(packets, start, stop, -100.0)

    assert len({cut.index for cut in cuts}) == len(cuts)
    for cut in cuts:
        assert start <= cut.index < stop
        assert start <= cut.before < stop
        assert cut.score >= -100.0


def test_a_leading_picture_is_a_full_suspect_though_its_size_makes_it_a_weak_one() -> None:
    """Weak ones are dropped where other weak ones use up the tokens, and their time is called seen."""
    first = [
        VideoPacket(seconds=number / 25, size_bytes=150, keyframe=False, quantiser=30) for number in (34, *range(1, 34))
    ]
    between = [400, 980, 770, 680, 610, 420, 330, 540, 740, 800, 1080, 1050]
    packets = [
        VideoPacket(seconds=0, size_bytes=12_500, keyframe=True, quantiser=26),
        *first,
        VideoPacket(seconds=48 / 25, size_bytes=13_600, keyframe=True, quantiser=26),
        VideoPacket(seconds=41 / 25, size_bytes=1_400, keyframe=False, quantiser=13, leading=True),
        *(
            VideoPacket(
                seconds=(35 + number + (number >= 6)) / 25,
                size_bytes=size,
                keyframe=False,
                reference=False,
                quantiser=33 if number < 4 else 13,
                leading=True,
            )
            for number, size in enumerate(between)
        ),
    ]
    run = runs(packets)[0]
    suspects = find_suspects(packets, run, own_pictures(packets, run), BALANCED, picture_macroblocks=240.0, probed=True)

    assert [suspect.weak for suspect in suspects if suspect.cut.index == 36] == [False]


@pytest.mark.parametrize(
    ("size", "reference", "probed"),
    [
        pytest.param(9_000, True, True, id="it stands out"),
        pytest.param(7_200, True, False, id="it is as large as all others"),
        pytest.param(9_000, False, False, id="nothing leans on it, so that the next one has to show it too"),
    ],
)
def test_a_weak_suspect_is_probed_where_that_can_tell(size: int, reference: bool, probed: bool) -> None:
    """Every large picture of a talking head in x265 would be probed; or none of a window of a ninth of the picture."""
    packets = forward([20_000, *[7_200] * 20, size, *[7_200] * 20])
    packets[21] = packets[21]._replace(reference=reference)
    (run,) = runs(packets)

    suspects = find_suspects(packets, run, own_pictures(packets, run), BALANCED, picture_macroblocks=880, probed=True)

    assert (21 in {suspect.cut.index for suspect in suspects}) == probed
