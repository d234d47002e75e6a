"""Files whose samples are of several codecs: FFmpeg leaves out all but those of the first, and some players none."""

import io
import struct
from fractions import Fraction

import av
import pytest
from hidden_behind import SECOND
from hostile_media import boxes_grown
from kinds import x265
from media import CLOCK, FRAME_TICKS, RATE, Recipe, encode, in_mp4, number_in, steady, x264
from mp4_packets import coded_in

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

TABLE = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
CLOSED = {"keyint": RATE, "min_keyint": RATE, "bframes": 0}
FIRST = in_mp4(x264(**CLOSED, scenecut=0), whole=True)
OTHERS = {
    "hevc": in_mp4(x265(**CLOSED, open_gop=0), whole=True),
    "mpeg-4": in_mp4(Recipe(codec="mpeg4", options={"g": str(RATE)}), whole=True),
}
PICTURES = 2 * RATE


def entry_of(data: bytes) -> bytes:
    """The sample entry of a file."""
    at = data.index(b"stsd") + 12
    return data[at : at + int.from_bytes(data[at : at + 4])]


def in_turn(first: bytes, second: bytes) -> bytes:
    """A file of the pictures of both, each with the sample entry that it had."""
    one, other = coded_in(first), coded_in(second)
    file = io.BytesIO()
    with av.open(io.BytesIO(first)) as source, av.open(file, "w", format="mp4") as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, coded in enumerate([*one, *other]):
            packet = av.Packet(coded.data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, CLOCK), coded.keyframe
            packet.pts = packet.dts = number * FRAME_TICKS
            packet.duration = FRAME_TICKS
            output.mux(packet)
    data = boxes_grown(
        file.getvalue(),
        (*TABLE, b"stsd"),
        lambda content: struct.pack(">II", 0, 2) + content[8:] + entry_of(second),
    )
    runs = struct.pack(">II6I", 0, 2, 1, len(one), 1, 2, len(other), 2)
    begin = data.index(one[0].data)
    chunks = struct.pack(">II2I", 0, 2, begin, begin + sum(len(coded.data) for coded in one))
    return boxes_grown(boxes_grown(data, (*TABLE, b"stsc"), lambda _: runs), (*TABLE, b"stco"), lambda _: chunks)


@pytest.mark.parametrize("recipe", OTHERS.values(), ids=OTHERS.keys())
def test_pictures_of_another_codec_are_not_called_seen(decoder: Decoder, recipe: Recipe) -> None:
    """Half of a file would be shown by a player that has both, and nothing say so here."""
    data = in_turn(encode(FIRST, steady(PICTURES)), encode(recipe, steady(PICTURES)))
    segment = decoder.sample(data, profile=BALANCED, seed=b"entries")

    assert segment.notes == (SECOND,)
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(segment.duration_seconds)


def test_parameters_that_change_within_a_codec_are_followed(decoder: Decoder) -> None:
    """What was edited together from two cameras would never be moderated."""
    others = in_mp4(x264(**CLOSED, scenecut=0, cabac=0, ref=3, weightp=0), whole=True)
    data = in_turn(encode(FIRST, steady(PICTURES)), encode(others, steady(PICTURES)))
    segment = decoder.sample(data, profile=BALANCED, seed=b"entries")

    assert (segment.notes, segment.unmoderated) == ((), ())
    assert segment.frames_total == 2 * PICTURES
    for frame in segment.frames:
        assert number_in(frame.picture.luma()) == round(frame.pts_seconds * RATE) % PICTURES


def test_an_entry_that_no_sample_has_is_nothing(decoder: Decoder) -> None:
    """Packagers that may encrypt what comes later name its entry from the first."""
    data = boxes_grown(
        encode(FIRST, steady(PICTURES)),
        (*TABLE, b"stsd"),
        lambda content: struct.pack(">II", 0, 2) + content[8:] + content[8:].replace(b"avc1", b"hvc1"),
    )

    assert decoder.sample(data, profile=BALANCED, seed=b"entries").unmoderated == ()
