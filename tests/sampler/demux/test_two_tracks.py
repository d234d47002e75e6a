"""Two video tracks of one input: both are sampled within one budget, and time counts only where both were seen."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hostile_media import TS_PACKET_BYTES, scrambled, ts_packets
from kinds import GOP, HEVC_OPEN_GOP, OPEN_GOP, x265
from media import (
    CLOCK,
    RATE,
    Recipe,
    cut,
    encode,
    keyframes,
    number_in,
    remux,
    side_by_side,
    steady,
    x264,
)
from ts_tables import checksum

from config.profiles import BALANCED, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.frames import SampledFrame, SampledSegment
from sampler.limits import Limits
from sampler.plan.budget import BURST_SECONDS, HANDED_OVER

SECOND = "second_video_stream"
CLIP = x264(bframes=0, keyint=100)
SMALL = replace(CLIP, width=160, height=96)
HEVC = replace(x265(keyint=100), width=176, height=112)
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
SECONDS = 4
PICTURES = SECONDS * RATE
PLAIN = encode(CLIP, steady(PICTURES))
RESTLESS = encode(x264(bframes=0, keyint=RATE), steady(PICTURES), lambda index: index // 5 % 7)
"""More cuts than there is a budget for."""


def sample(decoder: Decoder, data: bytes, *, profile: SamplingProfile = BALANCED) -> SampledSegment:
    return decoder.sample(data, profile=profile, seed=b"tracks")


def of_track(seen: SampledSegment, track: int) -> list[SampledFrame]:
    return [frame for frame in seen.frames if frame.track == track]


def inserted(index: int) -> int:
    """Another scene from 1.2 to 2 s."""
    return int(30 <= index < 50)


def stretches(seen: SampledSegment) -> list[tuple[float, float, str]]:
    return [(round(one.start_seconds, 3), round(one.end_seconds, 3), one.reason) for one in seen.unmoderated]


def later(seen: SampledSegment, seconds: float) -> list[object]:
    """The same stretches some time later."""
    return [
        (pytest.approx(start + seconds), pytest.approx(end + seconds), reason) for start, end, reason in stretches(seen)
    ]


@pytest.mark.parametrize("recipe", [CLIP, SMALL, HEVC], ids=["alike", "smaller", "HEVC"])
@pytest.mark.parametrize(
    ("container", "options"), [("mpegts", {}), ("mp4", FRAGMENTED), ("mp4", {})], ids=["ts", "fmp4", "mp4"]
)
@pytest.mark.parametrize("hiding", [0, 1])
def test_a_cut_in_either_track_is_seen(
    decoder: Decoder, recipe: Recipe, container: str, options: dict[str, str], hiding: int
) -> None:
    """Viewers would be shown the track that nobody looks at; or a stream with two would never count as moderated."""
    tracks = [PLAIN, encode(recipe, steady(PICTURES), inserted)]
    seen = sample(decoder, side_by_side(*tracks[:: 1 if hiding else -1], container=container, options=options))

    assert seen.notes == ()
    assert seen.unmoderated == ()
    assert seen.frames_total == 2 * PICTURES
    assert seen.duration_seconds == pytest.approx(SECONDS)
    for track in (0, 1):
        frames = of_track(seen, track)
        instants = [0.0, *(frame.pts_seconds for frame in frames), seen.duration_seconds]
        assert max(after - before for before, after in pairwise(instants)) <= BALANCED.max_gap_seconds
        assert all(number_in(frame.picture.luma()) == round(frame.pts_seconds * RATE) for frame in frames)
    assert any(inserted(round(frame.pts_seconds * RATE)) for frame in of_track(seen, hiding))


def test_pictures_come_track_after_track(decoder: Decoder) -> None:
    """The gate would compare a picture with one of another track as if it were shown after it."""
    came: list[SampledFrame] = []
    data = side_by_side(PLAIN, encode(SMALL, steady(PICTURES)))
    decoder.sample(data, profile=BALANCED, seed=b"tracks", consume=came.append)

    order = [(frame.track, frame.pts_seconds) for frame in came]
    assert order == sorted(order)


def test_both_tracks_share_one_budget_of_samples(decoder: Decoder) -> None:
    """A second track would double the price of a stream: for each picture its hash, its classifiers, its evidence."""
    alone, both = sample(decoder, RESTLESS), sample(decoder, side_by_side(RESTLESS, RESTLESS))

    most = BALANCED.samples_per_second * (SECONDS + BURST_SECONDS)
    assert most / 2 < len(alone.frames) <= most
    assert len(both.frames) <= most
    assert {frame.track for frame in both.frames} == {0, 1}
    assert {reason for _, _, reason in stretches(both)} == {"budget"}


@pytest.mark.parametrize("macroblocks", [12_000, 20_000])
def test_both_tracks_share_one_bound_of_decoding(decoder: Decoder, macroblocks: int) -> None:
    """A second track would double what decoding costs."""
    profile = BALANCED.model_copy(update={"macroblocks_per_second": macroblocks})
    alone = sample(decoder, RESTLESS, profile=profile)
    both = sample(decoder, side_by_side(RESTLESS, RESTLESS), profile=profile)

    costs = [seen.frames_decoded + HANDED_OVER * len(seen.frames) for seen in (alone, both)]
    assert costs[1] <= 1.1 * costs[0]
    assert {frame.track for frame in both.frames} == {0, 1}
    assert {reason for _, _, reason in stretches(both)} == {"budget"}
    assert all(before.end_seconds <= after.start_seconds for before, after in pairwise(both.unmoderated))


@pytest.mark.parametrize("broken", [0, 1])
def test_time_counts_only_where_both_tracks_were_seen(decoder: Decoder, broken: int) -> None:
    """What one track does not show would count as moderated by the other's pictures."""
    (headless,) = cut(encode(x264(bframes=0, keyint=75, scenecut=0), steady(PICTURES)), [1, PICTURES])
    alone = sample(decoder, headless.data)
    tracks = [headless.data, PLAIN]
    both = sample(decoder, side_by_side(*tracks[:: -1 if broken else 1]))

    assert stretches(alone)
    assert stretches(both) == stretches(alone)
    assert both.notes == alone.notes


@pytest.mark.parametrize("pictures", [2 * RATE, RATE], ids=["to the end", "and ends early"])
@pytest.mark.parametrize("late", [0, 1])
def test_a_track_that_begins_late_counts_at_its_own_time(decoder: Decoder, late: int, pictures: int) -> None:
    """The ledger would have what one track does not show at another time, and all after the late one's end as lost."""
    (headless,) = cut(encode(x264(bframes=0, keyint=25, scenecut=0), steady(pictures + 1)), [1, pictures + 1])
    alone = sample(decoder, headless.data)
    began = (2 * RATE + 1) / RATE
    tracks = [PLAIN, remux(headless.data, lambda _, pts: pts + 2 * CLOCK)]
    seen = sample(decoder, side_by_side(*tracks[:: 1 if late else -1]))

    ended = pictures / RATE + began
    rest = [(pytest.approx(ended), pytest.approx(SECONDS), "no_pictures")] if ended < SECONDS - 0.5 else []
    assert stretches(alone)
    assert stretches(seen) == [*later(alone, began), *rest]
    assert seen.notes == alone.notes
    assert seen.duration_seconds == pytest.approx(max(SECONDS, ended))
    frames = [frame for frame in of_track(seen, late) if not frame.concealed]
    assert frames
    for frame in frames:
        assert number_in(frame.picture.luma()) == round((frame.pts_seconds - 2) * RATE)
        assert frame.late_seconds == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("pictures", [1, 2 * RATE])
@pytest.mark.parametrize("shorter", [0, 1])
def test_a_track_that_ends_early_leaves_the_rest_unmoderated(decoder: Decoder, pictures: int, shorter: int) -> None:
    """A track that could not be read to its end would count as if it had been."""
    tracks = [encode(CLIP, steady(pictures)), PLAIN]
    seen = sample(decoder, side_by_side(*tracks[:: -1 if shorter else 1]))

    assert seen.duration_seconds == pytest.approx(SECONDS)
    assert stretches(seen) == [(pytest.approx(pictures / RATE), pytest.approx(SECONDS), "no_pictures")]
    assert seen.notes == ()


@pytest.mark.parametrize("empty", [0, 1])
def test_a_track_without_pictures_is_noted_and_the_other_sampled(decoder: Decoder, empty: int) -> None:
    """A declared track that we find no pictures in would make the other one invisible, or go unnoticed."""
    data = bytearray(side_by_side(PLAIN, PLAIN))
    for start in ts_packets(bytes(data), 0x100 + empty):
        data[start + 1 : start + 3] = b"\x1f\xff"  # the null packet's PID
    seen = sample(decoder, bytes(data))

    assert [frame.track for frame in seen.frames] == [1 - empty] * len(seen.frames)
    assert stretches(seen) == [(0, SECONDS, SECOND)]
    assert SECOND in seen.notes


def test_an_encrypted_track_is_noted_and_the_other_sampled(decoder: Decoder) -> None:
    """Viewers with the key would see what nobody else does."""
    seen = sample(decoder, scrambled(side_by_side(PLAIN, PLAIN), pid=0x101))

    assert {frame.track for frame in seen.frames} == {0}
    assert stretches(seen) == [(0, SECONDS, SECOND)]


def test_a_track_over_a_limit_is_noted_and_the_other_sampled() -> None:
    """A broadcaster could hide a track from us by adding one that is too large."""
    large = encode(replace(CLIP, width=320, height=192), steady(PICTURES))
    with Decoder(limits=Limits(picture_pixels=200 * 110)) as decoder:
        seen = sample(decoder, side_by_side(large, PLAIN))

    assert {frame.track for frame in seen.frames} == {1}
    assert stretches(seen) == [(0, SECONDS, SECOND)]


def test_tracks_share_one_bound_of_pictures() -> None:
    """Twice as many pictures would be read of each segment as its limit says."""
    with Decoder(limits=Limits(frames=2 * PICTURES)) as decoder:
        assert sample(decoder, side_by_side(PLAIN, PLAIN)).notes == ()
    with Decoder(limits=Limits(frames=2 * PICTURES - 1)) as decoder:
        assert SECOND in sample(decoder, side_by_side(PLAIN, PLAIN)).notes


def test_programmes_of_a_transport_stream_are_tracks(decoder: Decoder) -> None:
    """A player may choose another programme than we do, though each has but one video."""
    seen = sample(decoder, two_programmes(PLAIN, encode(SMALL, steady(PICTURES), inserted)))

    assert seen.notes == ()
    assert seen.unmoderated == ()
    assert any(inserted(round(frame.pts_seconds * RATE)) for frame in of_track(seen, 1))


@pytest.mark.parametrize("recipe", [OPEN_GOP, HEVC_OPEN_GOP], ids=["H.264", "HEVC"])
@pytest.mark.parametrize("track", [0, 1])
def test_leading_pictures_of_either_track_are_seen_with_the_segment_before(
    decoder: Decoder, recipe: Recipe, track: int
) -> None:
    """Who knows how segments are cut could hide pictures before the first keyframe of the second track."""
    data = encode(recipe, steady(2 * GOP))
    before, segment = cut(data, [0, keyframes(data)[1], 2 * GOP])
    other_before, other = cut(encode(x264(bframes=0, keyint=GOP), steady(2 * GOP)), [0, GOP, 2 * GOP])
    order = slice(None, None, -1 if track else 1)
    whole = side_by_side(*[segment.data, other.data][order])
    alone = sample(decoder, whole)
    assert {reason for _, _, reason in stretches(alone)} == {"leading"}
    leading = decoder.sample(
        whole,
        profile=BALANCED,
        seed=b"tracks",
        before=side_by_side(*[before.data, other_before.data][order]),
        first=alone,
    )
    seen = alone.with_leading(leading)

    assert {frame.track for frame in leading.frames} == {track}
    assert seen.unmoderated == ()
    assert seen.leading_seconds == 0
    first_number = segment.numbers[0]
    for frame in of_track(seen, track):
        assert number_in(frame.picture.luma()) == first_number + round(frame.pts_seconds * RATE)


@pytest.mark.parametrize("track", [0, 1])
def test_what_one_track_lacks_without_the_segment_before_stays_lost_beside_another(
    decoder: Decoder, track: int
) -> None:
    """The end of one track's first pictures would speak for the other's, which were not sampled up to there."""
    data = encode(x264(bframes=0, intra_refresh=1, keyint=GOP, scenecut=0), steady(2 * GOP))
    before, segment = cut(data, [0, GOP, 2 * GOP])
    other_before, other = cut(encode(x264(bframes=0, keyint=GOP), steady(2 * GOP), later_scenes), [0, GOP, 2 * GOP])
    order = slice(None, None, -1 if track else 1)
    frugal = BALANCED.model_copy(update={"macroblocks_per_second": 2_000})
    whole = side_by_side(*[segment.data, other.data][order])
    alone = sample(decoder, whole, profile=frugal)
    leading = decoder.sample(
        whole,
        profile=frugal,
        seed=b"tracks",
        before=side_by_side(*[before.data, other_before.data][order]),
        first=alone,
    )

    assert "concealed" in {reason for _, _, reason in stretches(alone)}
    assert stretches(alone.with_leading(leading)) == stretches(alone)


def later_scenes(index: int) -> int:
    """Cuts in the second of two segments."""
    return index // 3 if index > GOP + 3 else 0


def two_programmes(first: bytes, second: bytes) -> bytes:
    """An MPEG-TS with a programme of each (ITU-T H.222.0, 2.4.4), their packets in turn."""
    moved = bytearray(second)
    for was, now in ((0x1000, 0x1100), (0x100, 0x200)):
        for start in ts_packets(second, was):
            moved[start + 1] = moved[start + 1] & 0xE0 | now >> 8
            moved[start + 2] = now & 0xFF
    for start in ts_packets(second, 0x1000):
        at = start + 5
        length = int.from_bytes(moved[at + 1 : at + 3], "big") & 0xFFF
        section = moved[at : at + 3 + length - 4].replace(b"\xe1\x00", b"\xe2\x00")
        section[3:5] = (2).to_bytes(2, "big")
        moved[at : at + 3 + length] = section + checksum(section)
    table = bytes.fromhex("00b011 0001 c1 00 00 0001 f000 0002 f100")
    associations = b"\x47\x40\x00\x10\x00" + table + checksum(table)
    packets = [associations.ljust(TS_PACKET_BYTES, b"\xff")]
    sources = [
        [data[start : start + TS_PACKET_BYTES] for start in range(0, len(data), TS_PACKET_BYTES)]
        for data in (first, bytes(moved))
    ]
    for index in range(max(map(len, sources))):
        packets += [source[index] for source in sources if index < len(source) and source[index][1:3] != b"\x40\x00"]
    return b"".join(packet for packet in packets if packet[1:3] not in (b"\x40\x11", b"\x00\x11"))
