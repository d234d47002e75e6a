"""Videos that are not sampled: noted whatever the container calls them, but for a cover picture."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from hostile_media import segment, ts_packets
from media import RATE, encode, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

SECOND = "second_video_stream"
CLIP = x264(bframes=0)


def sample(decoder: Decoder, data: bytes) -> SampledSegment:
    return decoder.sample(data, profile=BALANCED, seed=b"streams")


def with_picture(codec: str, pixel_format: str, *, pictures: int = 1, track: bool = False) -> bytes:
    """An MP4 with two seconds of H.264, and pictures: a cover in its metadata, or a track."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        video = output.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "bf": "0"})
        cover = output.add_stream(codec, rate=RATE)
        for stream, width, height, kind in ((video, 192, 108, "yuv420p"), (cover, 320, 180, pixel_format)):
            stream.width, stream.height, stream.pix_fmt = width, height, kind
        if not track:
            cover.disposition = av.stream.Disposition.attached_pic
        for stream, count in ((video, 2 * RATE), (cover, pictures)):
            for number in range(count):
                rgb = np.full((stream.height, stream.width, 3), 4 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(rgb).reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                output.mux(stream.encode(frame))
        output.mux(video.encode(None))
    return file.getvalue()


def with_chapters(data: bytes) -> bytes:
    """The fragmented MP4 with two tracks, of which the second names the first as its chapters' track (`tref`)."""
    moov = data.index(b"moov") - 4
    first = data.index(b"trak", moov)
    second = data.index(b"trak", first + 4) - 4
    reference = struct.pack(">I4sI4sI", 20, b"tref", 12, b"chap", 1)
    grown = bytearray(data)
    for start in (moov, second):
        (size,) = struct.unpack_from(">I", grown, start)
        struct.pack_into(">I", grown, start, size + len(reference))
    return bytes(grown[: second + 8] + reference + grown[second + 8 :])


@pytest.mark.parametrize(("codec", "pixel_format"), [("mjpeg", "yuvj420p"), ("png", "rgb24")])
def test_a_cover_picture_is_noted_and_the_video_sampled(decoder: Decoder, codec: str, pixel_format: str) -> None:
    """Every file that a phone or a music shop has given a cover would count as unmoderated."""
    segment = sample(decoder, with_picture(codec, pixel_format))

    assert segment.notes == ("cover_picture",)
    assert segment.frames_total == 2 * RATE
    assert segment.unmoderated == ()


@pytest.mark.parametrize("pictures", [1, RATE])
def test_a_track_of_pictures_is_a_second_video(decoder: Decoder, pictures: int) -> None:
    """What a player shows would be in the track that nobody looks at."""
    segment = sample(decoder, with_picture("mjpeg", "yuvj420p", pictures=pictures, track=True))

    assert segment.notes == (SECOND,)
    assert [stretch.reason for stretch in segment.unmoderated] == [SECOND]


def test_a_track_that_is_called_chapters_is_sampled(decoder: Decoder) -> None:
    """FFmpeg calls such a track an attached picture. Viewers would see it, and we the other one."""
    data = with_chapters(segment("mp4", video_streams=2))
    with av.open(io.BytesIO(data)) as opened:
        assert opened.streams.video[0].disposition & av.stream.Disposition.attached_pic
    seen = sample(decoder, data)

    assert {frame.track for frame in seen.frames} == {0, 1}
    assert seen.notes == ()
    assert seen.unmoderated == ()


def test_a_video_that_comes_up_later_leaves_what_was_before_unmoderated(decoder: Decoder) -> None:
    """A new programme map towards the end of a segment would bring the picture that viewers see."""
    first = encode(CLIP, steady(10 * RATE))
    seen = sample(decoder, first + segment("mpegts", video_streams=2))

    assert len(first) > 64 << 10
    assert {frame.track for frame in seen.frames} == {0, 1}
    assert sum(stretch.seconds for stretch in seen.unmoderated) == pytest.approx(10)
    assert {stretch.reason for stretch in seen.unmoderated} == {"no_pictures"}


@pytest.mark.parametrize("garbage", [b"", b"\x47" * 100], ids=["in step", "out of step"])
@pytest.mark.parametrize("change", ["declared", "split header", "scrambled"])
def test_a_video_in_the_middle_alone_is_noted(decoder: Decoder, change: str, garbage: bytes) -> None:
    """FFmpeg reads the beginning and the end of a segment to find its streams. What a programme map brings between
    them would go unseen."""
    long = encode(CLIP, steady(40 * RATE))
    assert len(long) > 300_000
    middle = bytearray(segment("mpegts", video_streams=2))
    for start in ts_packets(bytes(middle), 0x101):
        if change == "scrambled":
            middle[start + 3] |= 0x80
        elif change == "split header" and middle[start + 1] & 0x40:
            # Two bytes of the payload are left, the rest is stuffing.
            middle[start + 3] |= 0x20
            middle[start + 4 : start + 188] = b"\xb5\x00".ljust(182, b"\xff") + b"\x00\x00"
    seen = sample(decoder, long + garbage + bytes(middle) + long)

    assert SECOND in seen.notes
    assert [stretch.reason for stretch in seen.unmoderated] == [SECOND]
