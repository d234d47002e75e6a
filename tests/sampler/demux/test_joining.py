"""Segments that begin anywhere: correct pictures are sampled, concealed ones are reported as such."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import pytest
from kinds import AV1, CLOSED, H264, HEVC_OPEN_GOP, KINDS, SAME, VP9, Piece, clip, distance, pieces, reference, shown
from media import (
    FRAME_SECONDS,
    RATE,
    Recipe,
    cut,
    encode,
    fragments,
    in_mp4,
    keyframes,
    level_error,
    number_in,
    remux,
    steady,
    x264,
)

from config.profiles import BALANCED, VIGILANT, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.errors import UndecodableError
from sampler.frames import SampledFrame, SampledSegment

TICKS_SECONDS = 0.002
"""More than two ticks of any time base here."""
PROFILES = {
    "balanced": BALANCED,
    # Samples many pictures, to find broken ones that are not reported as such.
    "vigilant, audited": VIGILANT.model_copy(update={"audits_per_minute": 60.0}),
}


Look = Callable[[str, bool, str], Sequence[tuple[Piece, SampledSegment | None]]]
"""Samples each piece of a kind alone, cut at keyframes or anywhere, with a profile of `PROFILES`; None: nothing can be
decoded."""


@pytest.fixture(scope="module")
def look(decoder: Decoder) -> Look:
    """Samples the pieces of a kind once for all tests, in any order."""

    def sample(piece: Piece, profile: SamplingProfile) -> SampledSegment | None:
        try:
            return decoder.sample(piece.data, init=piece.init, profile=profile, seed=b"joining")
        except UndecodableError:
            return None

    @lru_cache(maxsize=2 * len(PROFILES))
    def sampled(kind: str, at_keyframes: bool, profile: str) -> Sequence[tuple[Piece, SampledSegment | None]]:
        cut_up = pieces(kind, at_keyframes=at_keyframes)
        return [(piece, sample(piece, PROFILES[profile])) for piece in reversed(cut_up)]

    return sampled


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of video; all tests of one kind run before those of the next."""
    return str(request.param)


def number_of(frame: SampledFrame, piece: Piece) -> int:
    """The number of the clip's picture that a sample must show, by its time."""
    return piece.numbers[0] + round(frame.pts_seconds * RATE)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("at_keyframes", [True, False], ids=["at keyframes", "anywhere"])
def test_the_bound_holds_across_segments_of_every_kind(look: Look, kind: str, at_keyframes: bool, profile: str) -> None:
    """The end of one segment and the start of the next would together hide more than either may."""
    right: set[int] = set()
    seen: set[int] = set()
    for piece, segment in look(kind, at_keyframes, profile):
        right |= piece.right
        if segment is not None:
            seen |= {number_of(frame, piece) for frame in segment.frames if not frame.concealed}

    assert right
    for start, stop in stretches(right):
        times = [start, *sorted(seen & set(range(start, stop))), stop]
        longest = max(after - before for before, after in pairwise(times))
        assert longest * FRAME_SECONDS <= PROFILES[profile].max_gap_seconds + FRAME_SECONDS + TICKS_SECONDS


@pytest.mark.parametrize("at_keyframes", [True, False], ids=["at keyframes", "anywhere"])
def test_a_moderated_picture_is_what_a_player_shows(look: Look, kind: str, at_keyframes: bool) -> None:
    """Grey concealment of a missing segment would match nothing, and count as moderated."""
    for piece, segment in look(kind, at_keyframes, "vigilant, audited"):
        for frame in segment.frames if segment is not None else ():
            if not frame.concealed:
                assert distance(frame.picture.luma(), reference(kind)[number_of(frame, piece)]) < SAME


def test_undecodable_stretches_are_reported(look: Look, kind: str) -> None:
    """Whole segments without one correct picture would be in the ledger as moderated."""
    for piece, segment in look(kind, False, "balanced"):
        first = min(piece.right, default=piece.numbers[-1] + 1)
        blind_seconds = (first - piece.numbers[0]) * FRAME_SECONDS
        told_seconds = sum(stretch.seconds for stretch in segment.unmoderated) if segment is not None else blind_seconds

        # A sample covers up to `max_gap_seconds` before it, so only the rest must be reported.
        reach_seconds = BALANCED.max_gap_seconds if piece.right else 0
        assert told_seconds >= blind_seconds - reach_seconds - 2 * FRAME_SECONDS


def stretches(numbers: set[int]) -> list[tuple[int, int]]:
    """[start, stop) of each unbroken run of numbers."""
    starts = sorted(number for number in numbers if number - 1 not in numbers)
    stops = sorted(number + 1 for number in numbers if number + 1 not in numbers)
    return list(zip(starts, stops, strict=True))


@pytest.mark.parametrize("recipe", [x264(open_gop=1, bframes=3, **CLOSED), HEVC_OPEN_GOP], ids=["h264", "hevc"])
def test_leading_pictures_of_an_open_gop_are_skipped(decoder: Decoder, recipe: Recipe) -> None:
    """Pictures broken for lack of the previous segment would be hashed, and match nothing."""
    data = encode(recipe, steady(150))
    second = keyframes(data)[1]
    (part,) = cut(data, [second, 150])
    segment = decoder.sample(part.data, profile=BALANCED, seed=b"joining")
    leading = round(segment.frames[0].pts_seconds * RATE)

    assert segment.frames_total == len(part.numbers)
    assert segment.frames[0].keyframe
    assert 0 < leading < 5
    assert number_in(segment.frames[0].picture.luma()) == part.numbers[leading]
    assert level_error(segment.frames[0].picture.luma()) < 4


@pytest.mark.parametrize("bframes", [0, 3])
def test_intra_refresh_is_joined_where_it_has_recovered(decoder: Decoder, bframes: int) -> None:
    """A stream without keyframes, cut anywhere, would be undecodable, or sampled as grey concealment."""
    data = encode(x264(intra_refresh=1, keyint=50, bframes=bframes, scenecut=0), steady(260))
    columns = 192 // 16
    recovered = 50 + columns * (1 + bframes) + 1
    """Pictures after which a refresh has begun and covered every column of blocks, wherever the cut is."""
    for part in cut(data, [20, 140, 260]):
        segment = decoder.sample(part.data, profile=BALANCED, seed=b"joining")
        clean = [frame for frame in segment.frames if not frame.concealed]

        assert segment.frames_total == len(part.numbers)
        assert not any(frame.keyframe for frame in segment.frames)
        assert clean[0].pts_seconds <= recovered * FRAME_SECONDS
        for frame in clean:
            assert number_in(frame.picture.luma()) == part.numbers[0] + round(frame.pts_seconds * RATE)
            assert level_error(frame.picture.luma()) < 4


@pytest.mark.parametrize("first", [48, 96, 144, 192])
def test_intra_refresh_is_joined_whatever_its_first_frame_number(decoder: Decoder, first: int) -> None:
    """If frame_num begins at 0, FFmpeg refuses the first picture: pictures of every other segment would count as
    correct, and differ from what is shown."""
    data = encode(x264(tune="zerolatency", intra_refresh=1, keyint=48, scenecut=0, threads=1), steady(240))
    pictures = tuple(shown(data).values())
    (part,) = cut(data, [first, first + 48])
    segment = decoder.sample(part.data, profile=BALANCED, seed=b"joining")
    clean = [frame for frame in segment.frames if not frame.concealed]

    assert clean
    for frame in clean:
        assert distance(frame.picture.luma(), pictures[first + round(frame.pts_seconds * RATE)]) < 4


@pytest.mark.parametrize("bframes", [0, 3])
def test_a_segment_cut_inside_a_gop_is_sampled_from_its_keyframe(decoder: Decoder, bframes: int) -> None:
    """A packager that cuts by the clock would have whole segments dropped for their broken beginnings."""
    data = encode(x264(bframes=bframes, keyint=50, min_keyint=50, scenecut=0), steady(200), lambda index: index // 37)
    (part,) = cut(data, [80, 200])
    segment = decoder.sample(part.data, profile=VIGILANT, seed=b"joining")
    clean = [frame for frame in segment.frames if not frame.concealed]

    assert segment.frames_total == 120
    assert clean[0].keyframe
    assert number_in(clean[0].picture.luma()) == 100
    for frame in clean:
        assert number_in(frame.picture.luma()) == part.numbers[0] + round(frame.pts_seconds * RATE)
        assert level_error(frame.picture.luma()) < 4


@pytest.mark.parametrize(
    ("recipe", "whole"),
    [(x264(keyint=1), True), (H264, False), (HEVC_OPEN_GOP, False)],
    ids=["intra", "h264", "hevc"],
)
def test_a_segment_of_a_single_picture_is_sampled(decoder: Decoder, recipe: Recipe, whole: bool) -> None:
    """Low-latency parts contain a picture or two: each would be an error, or be skipped."""
    for part in cut(encode(recipe, steady(10)), range(4)):
        (number,) = part.numbers
        if number == 0 or whole:
            segment = decoder.sample(part.data, profile=BALANCED, seed=b"joining")
            (frame,) = segment.frames
            assert (frame.pts_seconds, frame.concealed) == (0, False)
            assert number_in(frame.picture.luma()) == number
            assert segment.duration_seconds == pytest.approx(FRAME_SECONDS)
            assert segment.unmoderated == ()
        else:
            with pytest.raises(UndecodableError):
                decoder.sample(part.data, profile=BALANCED, seed=b"joining")


@pytest.mark.parametrize(
    "recipe",
    [in_mp4(H264), in_mp4(HEVC_OPEN_GOP), AV1, VP9],
    ids=["h264", "hevc", "av1", "vp9"],
)
def test_fragments_need_only_their_init_section(decoder: Decoder, recipe: Recipe) -> None:
    """A worker that gets later segments of a stream, or gets them in any order, could decode none."""
    init, parts = fragments(encode(recipe, steady(150)))
    firsts = []
    for part in reversed(parts):
        segment = decoder.sample(part, init=init, profile=BALANCED, seed=b"joining")
        first = segment.frames[0]
        firsts.append(number_in(first.picture.luma()))

        assert first.keyframe
        for frame in segment.frames:
            elapsed = round((frame.pts_seconds - first.pts_seconds) * RATE)
            assert number_in(frame.picture.luma()) == firsts[-1] + elapsed
            assert level_error(frame.picture.luma()) < 4
    assert len(parts) == 2
    assert firsts == [75, 0]


def test_concealed_pictures_do_not_count_as_moderated(decoder: Decoder) -> None:
    """Segments cut inside a GOP would be grey concealment, match nothing, and be in the ledger as moderated."""
    recipe = in_mp4(x264(bframes=0, keyint=500, scenecut=0), fragment_seconds=6)
    init, parts = fragments(encode(recipe, steady(300)))
    segment = decoder.sample(parts[1], init=init, profile=BALANCED, seed=b"joining")
    (stretch,) = segment.unmoderated

    assert segment.frames
    assert all(frame.concealed for frame in segment.frames)
    assert (stretch.start_seconds, stretch.reason) == (0, "concealed")
    assert stretch.end_seconds == pytest.approx(segment.duration_seconds)
    assert segment.max_gap_seconds == pytest.approx(segment.duration_seconds)


@pytest.mark.parametrize("lost", [{20}, {21}, {30, 31, 32}], ids=["one", "another", "three"])
@pytest.mark.parametrize("kind", ["b-frames", "zerolatency", "slices", "intra refresh", "hevc", "mpeg-2"])
def test_after_a_loss_correct_pictures_are_sampled_or_the_gap_is_reported(
    decoder: Decoder, kind: str, lost: set[int]
) -> None:
    """A broadcaster who omits a packet would have the rest of the GOP skipped, and counted as moderated."""
    data = remux(clip(kind), lambda index, pts: None if index in lost else pts)
    pictures = shown(data)
    origin = min(pictures)
    by_number = {round((stamp - origin) * RATE): luma for stamp, luma in pictures.items()}
    segment = decoder.sample(data, profile=VIGILANT, seed=b"joining")
    times = [frame.pts_seconds for frame in segment.frames if not frame.concealed]

    for frame in segment.frames:
        number = round(frame.pts_seconds * RATE)
        # The concealment of a lost picture depends on what else was decoded, so only correct pictures are compared.
        if distance(by_number[number], reference(kind)[number]) < SAME:
            assert distance(frame.picture.luma(), reference(kind)[number]) < SAME
    for before, after in pairwise([0.0, *times, segment.duration_seconds]):
        if after - before > VIGILANT.max_gap_seconds + FRAME_SECONDS * (1 + len(lost)) + TICKS_SECONDS:
            assert [told for told in segment.unmoderated if told.start_seconds < after and before < told.end_seconds]


@pytest.mark.parametrize("profile", [BALANCED, VIGILANT], ids=["balanced", "vigilant"])
@pytest.mark.parametrize("first", [10, 30, 51])
def test_intra_refresh_is_joined_however_distant_its_recovery_point_is(
    decoder: Decoder, first: int, profile: SamplingProfile
) -> None:
    """A segment cut right after a recovery point would count as undecodable, though most of it can be decoded."""
    recipe = x264(tune="zerolatency", preset="ultrafast", intra_refresh=1, keyint=50, scenecut=0)
    (part,) = cut(encode(recipe, steady(200)), [first, 199])
    segment = decoder.sample(part.data, profile=profile, seed=b"joining")
    clean = [frame for frame in segment.frames if not frame.concealed]

    assert clean[0].pts_seconds <= (50 + 192 // 16 + 1) * FRAME_SECONDS
    for frame in clean:
        assert number_in(frame.picture.luma()) == first + round(frame.pts_seconds * RATE)
    assert segment.max_gap_seconds <= (50 + 192 // 16 + 1) * FRAME_SECONDS
