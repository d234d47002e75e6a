"""Places where decoding may begin, by the pictures' own coding, whatever a container says."""

import io
from collections.abc import Callable

import av
import numpy as np
import pytest
from kinds import AV1, H264, MPEG2, OPEN_GOP, PICTURES, REFRESH, VP9, x265
from media import RATE, Recipe, encode, in_mp4, level_error, painted, steady, x264
from mp4_packets import Coded, coded_in, mp4_of, repacked

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.codecs.av1 import is_keyframe as is_av1_keyframe
from sampler.demux.codecs.other_heads import read_head
from sampler.demux.codecs.recovery import recovery_frames


def encoded(recipe: Recipe) -> bytes:
    return encode(recipe, steady(PICTURES))


def mpeg4() -> bytes:
    """A clip of MPEG-4 Visual, whose encoder knows no fine clocks."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=RATE, options={"g": "75", "bf": "2"})
        stream.width, stream.height = 192, 108
        for index in range(PICTURES):
            luma = painted(H264, index, 0).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")))
        output.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize(
    ("codec", "make"),
    [
        ("libdav1d", lambda: encoded(AV1)),
        ("vp9", lambda: encoded(VP9)),
        ("mpeg2video", lambda: encoded(MPEG2)),
        ("mpeg2video", lambda: encoded(in_mp4(MPEG2))),
        ("mpeg4", mpeg4),
    ],
    ids=["av1", "vp9", "mpeg-2", "mpeg-2 in mp4", "mpeg-4"],
)
def test_those_of_an_encoder_are_found(decoder: Decoder, codec: str, make: Callable[[], bytes]) -> None:
    """A GOP would be decoded from the one before, or pictures from nothing."""
    packets = coded_in(data := make())

    # FFmpeg's parser reads the pictures, too.
    assert [read_head(codec, packet.data).begins for packet in packets] == [packet.keyframe for packet in packets]
    assert sum(packet.keyframe for packet in packets) >= 2
    assert len(decoder.sample(data, profile=BALANCED, seed=b"keyframes").frames) >= 3


@pytest.mark.parametrize("flagged", [True, False], ids=["all", "none"])
@pytest.mark.parametrize(
    "recipe",
    [AV1, VP9, H264, OPEN_GOP, REFRESH, x265(open_gop=0)],
    ids=["av1", "vp9", "h264", "open", "refresh", "hevc"],
)
def test_the_container_is_not_asked(decoder: Decoder, recipe: Recipe, flagged: bool) -> None:
    """If a broadcaster flags every picture of an MP4 as a keyframe, all samples would be smeared; if none, nothing
    would be moderated."""
    data = encode(in_mp4(recipe), steady(PICTURES))
    lying = mp4_of([Coded(packet.data, flagged) for packet in coded_in(data)], data)
    honest = mp4_of(coded_in(data), data)
    seen, truth = (decoder.sample(one, profile=BALANCED, seed=b"flags") for one in (lying, honest))

    assert [frame.pts_seconds for frame in seen.frames] == [frame.pts_seconds for frame in truth.frames]
    assert [frame.concealed for frame in seen.frames] == [frame.concealed for frame in truth.frames]
    assert seen.unmoderated == truth.unmoderated
    assert len(seen.frames) >= 3


def obu(kind: int, payload: bytes, spatial_id: int | None = None) -> bytes:
    """An OBU with its size (AV1 bitstream specification, 5.3)."""
    extension = b"" if spatial_id is None else bytes([spatial_id << 3])
    return bytes([kind << 3 | (4 if extension else 0) | 2]) + extension + bytes([len(payload)]) + payload


KEY, INTER, HIDDEN_KEY, REPEAT = b"\x10\x00", b"\x30\x00", b"\x00\x00", b"\x80"


@pytest.mark.parametrize(
    ("packet", "begins"),
    [
        (obu(6, KEY), True),
        (obu(6, INTER), False),
        (obu(6, HIDDEN_KEY), False),
        (obu(6, HIDDEN_KEY) + obu(6, INTER), False),
        (obu(6, HIDDEN_KEY) + obu(3, REPEAT), False),
        (obu(6, KEY, 0) + obu(6, INTER, 1), True),
        (obu(6, INTER, 0) + obu(6, KEY, 1), False),
        (obu(7, KEY) + obu(4, b""), True),
        (obu(6, KEY) + obu(7, INTER) + obu(4, b""), False),
        (obu(3, KEY) + obu(7, INTER) + obu(4, b""), True),
        (obu(1, b"\x18\x00") + obu(6, INTER), True),
        (obu(6, b""), False),
        (b"\x36", False),
        (b"", False),
    ],
    ids=[
        "key frame",
        "predicted",
        "hidden",
        "hidden, and a predicted one",
        "hidden, and shown again",
        "with a layer on it",
        "in a layer",
        "in a redundant header that repeats none",
        "and a predicted one in a redundant header",
        "and a redundant header that decoders pass over",
        "a sequence of stills",
        "cut off",
        "cut off in its head",
        "empty",
    ],
)
def test_a_key_frame_of_av1_is_one_that_is_shown(packet: bytes, begins: bool) -> None:
    """Decoding would begin where what is shown leans on pictures before."""
    assert is_av1_keyframe(packet) == begins


@pytest.mark.parametrize("before", [b"", b"\x05\x10" + bytes([7] * 16), b"\x05\xff\xff\x05" + bytes([7] * 515)])
def test_a_recovery_point_behind_other_messages_is_found(before: bytes) -> None:
    """Encoders put their names into messages of any length."""
    assert recovery_frames(before + b"\x06\x01\x15\x80", None) == 9


def test_a_recovery_point_behind_escaped_bytes_is_found() -> None:
    """The size of a message is that without them (H.264, 7.4.1)."""
    assert recovery_frames(b"\x05\x04\x00\x00\x03\x01\x02\x06\x01\x15\x80", None) == 9


@pytest.mark.parametrize("count", [b"\0\0\0\1", b"\0\1", b"\0\0\x80\0\x80", b""])
def test_a_count_that_makes_no_sense_is_no_recovery_point(count: bytes) -> None:
    """Decoders pass over it, and show nothing where decoding would begin."""
    assert recovery_frames(bytes([6, len(count)]) + count + b"\x80", None) is None
    assert recovery_frames(bytes([6, len(count)]) + count + b"\x80", 3) == 3


@pytest.mark.parametrize("slices", [1, 4])
def test_a_recovery_point_behind_a_picture_is_none_of_its_own(decoder: Decoder, slices: int) -> None:
    """Decoding would begin at predicted pictures, of which nothing comes."""
    recipe = in_mp4(x264(slices=slices, keyint=PICTURES // 2, bframes=0, scenecut=0))
    data = encode(recipe, steady(PICTURES))
    point = b"\x06\x06\x01\xc0\x80"
    behind = repacked(data, lambda index, units: [*units, point] if index % 10 == 5 else units)
    seen, truth = (decoder.sample(one, profile=BALANCED, seed=b"behind") for one in (behind, data))

    assert seen.unmoderated == ()
    assert [frame.pts_seconds for frame in seen.frames] == [frame.pts_seconds for frame in truth.frames]
    assert len(seen.frames) >= 3


def test_a_picture_of_mpeg4_behind_another_is_not_called_seen(decoder: Decoder) -> None:
    """Its decoder makes the first of a sample alone; players that part samples by pictures show both."""
    packets = coded_in(data := mpeg4())
    pairs = [one._replace(data=one.data + other.data) for one, other in zip(packets[::2], packets[1::2], strict=True)]
    segment = decoder.sample(mp4_of(pairs, data), profile=BALANCED, seed=b"several")

    assert [stretch.reason for stretch in segment.unmoderated] == ["second_video_stream"]
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(segment.duration_seconds)
    assert decoder.sample(data, profile=BALANCED, seed=b"several").notes == ()


FIRST, SECOND, WHOLE = (b"\0\0\1\0\0\x0f\0\0\0\0\1\xb5\x8f\xff" + bytes([0xF0 | kind]) for kind in (1, 2, 3))
"""Heads of pictures of MPEG-2, of a field each or whole."""


@pytest.mark.parametrize(
    ("packet", "pictures"), [(WHOLE, 1), (FIRST + SECOND, 1), (SECOND + FIRST, 1), (WHOLE * 2, 2), (FIRST * 2, 2)]
)
def test_two_fields_of_mpeg2_are_one_picture(packet: bytes, pictures: int) -> None:
    """All of a broadcast of interlaced video would be called ambiguous, or nothing of it begin anywhere."""
    head = read_head("mpeg2video", packet)
    assert head.pictures == pictures
    assert head.begins == (pictures == 1)


NOT_CODED = b"\0\0\1\xb6\x12\xcf"
"""The head of an intra picture of MPEG-4 that says it has no content (vop_coded, ISO/IEC 14496-2, 6.2.5)."""
RIGHT = 12.0
"""Levels, of 256, by which the strip of a right picture may be off (<=)."""


@pytest.mark.parametrize("head", [NOT_CODED, b"\0\0\1\xb6", b"\0\0\1\xb2\0\0\1\xb6\x10"])
@pytest.mark.parametrize("alone", [True, False])
def test_pictures_of_mpeg4_behind_a_keyframe_of_nothing_are_concealed(
    decoder: Decoder, head: bytes, alone: bool
) -> None:
    """Its decoder makes up what they lean on and calls them right: all samples would be smeared."""
    data = mpeg4()
    packets = [
        packet._replace(data=head + (b"" if alone else packet.data)) if index % 10 == 5 else packet
        for index, packet in enumerate(coded_in(data))
    ]
    seen = decoder.sample(mp4_of(packets, data), profile=BALANCED, seed=b"nothing")

    assert [frame for frame in seen.frames if not frame.concealed and level_error(frame.picture.luma()) > RIGHT] == []
    assert {stretch.reason for stretch in seen.unmoderated} & {"concealed", "second_video_stream"}


@pytest.mark.parametrize("payload", [b"", b"\xff" * 5000, b"\x06", b"\x06\x01", b"\x05\xff", b"\x05\x00" * 2500])
def test_messages_that_end_early_have_none(payload: bytes) -> None:
    """One bad message would end the segment."""
    assert recovery_frames(payload, None) is None
