"""Streams that are valid and odd, and those that are neither: what they show is seen, or is reported with a reason.

Pairs of fields are in decode/test_fields.py, uneven frame rates in demux/test_times.py, encryption of a part in
demux/test_encrypted.py.
"""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from kinds import CLOSED, GOP, H264, HEVC, MPEG2, distance
from long_term import shown_at, with_long_reference
from media import (
    CLOCK,
    FRAME_SECONDS,
    FRAME_TICKS,
    RATE,
    Recipe,
    changed,
    cut,
    encode,
    fragments,
    in_mp4,
    level_error,
    number_in,
    remux,
    steady,
    x264,
)

from config.profiles import BALANCED, VIGILANT
from sampler.child.decoder import Decoder
from sampler.errors import InputError, NoVideoError, TooLargeError, UnsupportedCodecError
from sampler.frames import SampledSegment

PLAIN = x264(bframes=0, **CLOSED)
PICTURES = 2 * GOP
JUNK = 1 << 20


def look(decoder: Decoder, data: bytes, init: bytes = b"") -> SampledSegment:
    return decoder.sample(data, init=init, profile=VIGILANT, seed=b"odd")


def with_units(data: bytes, kinds: bytes, unit: bytes, count: int = 1) -> bytes:
    """The MPEG-TS of NAL units with some more of a kind after the delimiter of each picture."""
    more = (b"\0\0\0\1" + kinds + unit) * count
    delimiter = 6 if len(kinds) == 1 else 7
    return changed(data, lambda _, content: content[:delimiter] + more + content[delimiter:], lambda _, pts: pts)


def assert_seen(
    segment: SampledSegment, number: Callable[[float], int] = lambda seconds: round(seconds * RATE)
) -> None:
    """Each sample is the picture of its time, and nothing is left out."""
    assert segment.unmoderated == ()
    for frame in segment.frames:
        assert not frame.concealed
        assert number_in(frame.picture.luma()) == number(frame.pts_seconds)
        assert level_error(frame.picture.luma()) < 4


def test_doubled_time_stamps_hide_no_picture(decoder: Decoder) -> None:
    """Of two pictures with one time the second one would be passed over."""
    data = changed(
        encode(PLAIN, steady(PICTURES), lambda index: index // 25),
        lambda _, content: content,
        lambda index, pts: pts - index % 2 * FRAME_TICKS,
    )
    segment = look(decoder, data)

    assert segment.frames_total == PICTURES
    assert segment.unmoderated == ()
    for frame in segment.frames:
        assert abs(number_in(frame.picture.luma()) - round(frame.pts_seconds * RATE)) <= 1
    # A picture of each scene: cuts fall on first and on second ones.
    assert {number_in(frame.picture.luma()) // 25 for frame in segment.frames} == set(range(PICTURES // 25))


def test_one_time_for_all_pictures_is_refused(decoder: Decoder) -> None:
    """A segment whose pictures are all shown at once would be moderated by one of them."""
    data = changed(encode(PLAIN, steady(GOP)), lambda _, content: content, lambda _, _pts: 2 * CLOCK)
    with pytest.raises(InputError) as caught:
        look(decoder, data)
    assert caught.value.reason == "implausible_rate"


@pytest.mark.parametrize("seconds", [1, 3, 100])
def test_times_before_zero_are_times_like_others(decoder: Decoder, seconds: int) -> None:
    """A stream whose clock begins below zero would lose its first pictures, or all."""
    segment = look(decoder, remux(encode(PLAIN, steady(PICTURES)), lambda _, pts: pts - seconds * CLOCK))
    in_fragments = look(decoder, encode(in_mp4(H264), [tick - seconds * CLOCK for tick in steady(PICTURES)]))

    for seen in (segment, in_fragments):
        assert seen.frames_total == PICTURES
        assert_seen(seen)


@pytest.mark.parametrize("recipe", [H264, HEVC, MPEG2], ids=["h264", "hevc", "mpeg-2"])
def test_the_size_may_change_within_a_segment(decoder: Decoder, recipe: Recipe) -> None:
    """A broadcaster who changes the resolution in the middle of a segment would go on unseen."""
    first = encode(recipe, steady(GOP))
    second = encode(replace(recipe, width=320, height=180), steady(GOP))
    joined = first + remux(second, lambda _, pts: pts + GOP * FRAME_TICKS)
    segment = look(decoder, joined)
    sizes = [frame.picture.luma().shape for frame in segment.frames]
    edge = segment.duration_seconds / 2

    assert set(sizes) == {(108, 192), (180, 320)}
    assert sizes == sorted(sizes)
    assert segment.unmoderated == ()
    for frame in segment.frames:
        late = frame.picture.luma().shape == (180, 320)
        assert late == (frame.pts_seconds > edge - 4 * FRAME_SECONDS)
        assert level_error(frame.picture.luma()) < 4


def test_parameter_sets_may_change_within_a_segment(decoder: Decoder) -> None:
    """Pictures would be decoded by the parameters of others, and be garbage that counts as seen."""
    first = encode(PLAIN, steady(GOP))
    second = encode(x264(bframes=0, cabac=0, ref=4, **CLOSED), steady(GOP))
    segment = look(decoder, first + remux(second, lambda _, pts: pts + GOP * FRAME_TICKS))

    assert segment.frames_total == PICTURES
    assert_seen(segment, lambda seconds: round(seconds * RATE) % GOP)


LONG_AGO = {"long-term": (True, 0), "short-term": (False, 0), "in a long header": (True, 40)}


@pytest.mark.parametrize(("named", "forgotten"), LONG_AGO.values(), ids=LONG_AGO.keys())
def test_a_reference_of_long_ago_is_decoded(decoder: Decoder, named: bool, forgotten: int) -> None:
    """Pictures that repeat one of long ago would be taken for others."""
    segment = look(decoder, with_long_reference(100, second=50, named=named, forgotten=forgotten))

    assert segment.unmoderated == ()
    for frame in segment.frames:
        assert not frame.concealed
        assert distance(frame.picture.luma(), shown_at(round(frame.pts_seconds * RATE), 50)) < 1


@pytest.mark.parametrize(("named", "forgotten"), LONG_AGO.values(), ids=LONG_AGO.keys())
def test_a_reference_before_the_segment_is_reported(decoder: Decoder, named: bool, forgotten: int) -> None:
    """Viewers would see the picture of long ago, and we the one at which a false recovery point has us begin."""
    (part,) = cut(with_long_reference(100, second=50, named=named, forgotten=forgotten), [50, 100])
    segment = look(decoder, part.data)

    # The picture of the recovery point itself is whole, and shown.
    assert all(frame.concealed for frame in segment.frames if frame.pts_seconds > 0)
    (stretch,) = segment.unmoderated
    assert stretch.reason == "concealed"
    assert stretch.start_seconds == pytest.approx(1 / RATE)
    assert stretch.end_seconds == pytest.approx(segment.duration_seconds)


@pytest.mark.parametrize(
    ("container", "error"), [("mp4", UnsupportedCodecError), ("mpegts", NoVideoError)], ids=["mp4", "mpeg-ts"]
)
def test_motion_jpeg_is_refused_with_a_reason(decoder: Decoder, container: str, error: type[InputError]) -> None:
    """A stream that we do not decode would count as moderated."""
    recipe = Recipe(codec="mjpeg", container=container, pixel_format="yuvj420p")
    with pytest.raises(error):
        look(decoder, encode(recipe, steady(GOP)))


@pytest.mark.parametrize(
    ("recipe", "kinds"),
    [(PLAIN, b"\x67"), (PLAIN, b"\x68"), (HEVC, b"\x42\x01"), (HEVC, b"\x44\x01")],
    ids=["h264 sps", "h264 pps", "hevc sps", "hevc pps"],
)
def test_huge_parameter_sets_hide_nothing(decoder: Decoder, recipe: Recipe, kinds: bytes) -> None:
    """A megabyte of nonsense in a parameter set would have the pictures after it dropped."""
    data = encode(recipe, steady(20))
    segment = look(decoder, with_units(data, kinds, b"\x42" * JUNK))

    assert segment.frames_total == 20
    assert_seen(segment)


@pytest.mark.parametrize("recipe", [PLAIN, HEVC], ids=["h264", "hevc"])
def test_a_flood_of_parameter_sets_is_refused(decoder: Decoder, recipe: Recipe) -> None:
    """Six seconds of video would take nine of a worker."""
    kinds, unit = (b"\x68", b"\xc2\x01\x01") if recipe is PLAIN else (b"\x44\x01", b"\xc2\x01\x01")
    data = with_units(encode(recipe, steady(PICTURES)), kinds, unit, 2000)
    with pytest.raises(TooLargeError, match="parameter sets"):
        look(decoder, data)


def test_an_init_section_of_megabytes_is_refused_with_a_reason(decoder: Decoder) -> None:
    """A decoder that gives up on its parameters would leave no trace."""
    init, parts = fragments(encode(in_mp4(PLAIN), steady(PICTURES)))
    at = init.index(b"avcC") - 4
    (size,) = struct.unpack_from(">I", init, at)
    more = b"".join(struct.pack(">H", 60_001) + b"\x68" + b"\x42" * 60_000 for _ in range(200))
    grown = bytearray(init)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1", b"avcC"):
        place = init.index(kind) - 4
        (length,) = struct.unpack_from(">I", init, place)
        struct.pack_into(">I", grown, place, length + len(more))
    whole = bytes(grown[: at + size]) + more + bytes(grown[at + size :])
    segment = decoder.sample(parts[0], init=whole, profile=BALANCED, seed=b"odd")

    assert segment.frames_total == GOP
    assert_seen(segment)
