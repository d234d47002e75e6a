"""Units within a unit of an MP4: FFmpeg and browsers find them by start codes, others go by lengths alone."""

import io
from collections.abc import Callable

import av
import pytest
from kinds import x265
from media import Recipe, encode_pictures, in_mp4, painted, steady, x264
from mp4_packets import repacked

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.codecs.nal import NalCodec, NalReader

START_CODE = b"\0\0\1"
PICTURES = 50
WHOLE = {"keyint": PICTURES, "min_keyint": PICTURES, "scenecut": 0, "bframes": 0}
KINDS = {
    "h264": (NalCodec.H264, in_mp4(x264(**WHOLE)), b"\x01\x55"),
    "hevc": (NalCodec.HEVC, in_mp4(x265(**WHOLE, open_gop=0)), b"\x00\x01\x2a"),
}
"""Codec, recipe, and the beginning of a slice that says no other picture leans on its own."""


def clip(recipe: Recipe) -> bytes:
    return encode_pictures(recipe, steady(PICTURES), lambda index: painted(recipe, index, 0))


def within(outer: bytes) -> Callable[[int, list[bytes]], list[bytes]]:
    """Puts all units of each picture but the first into one, behind another beginning."""
    return lambda index, units: [b"".join([outer, *(START_CODE + one for one in units)])] if index else units


@pytest.mark.parametrize(("codec", "recipe", "outer"), KINDS.values(), ids=KINDS.keys())
def test_units_within_a_unit_leave_all_unmoderated(
    decoder: Decoder, codec: NalCodec, recipe: Recipe, outer: bytes
) -> None:
    """Pictures would be left out of decoding that others lean on, and samples show what no browser does."""
    data = repacked(clip(recipe), within(outer))
    segment = decoder.sample(data, profile=BALANCED, seed=b"nested")

    assert "second_video_stream" in segment.notes
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(segment.duration_seconds)
    with av.open(io.BytesIO(data)) as source:
        reader = NalReader(codec, source.streams.video[0].codec_context.extradata or b"")
        heads = [reader.read(bytes(one)) for one in source.demux(video=0) if one.size]
    assert all(head.reference for head in heads)


@pytest.mark.parametrize(("recipe", "message"), [(KINDS["h264"][1], b"\x06"), (KINDS["hevc"][1], b"\x4e\x01")])
def test_a_message_that_is_not_escaped_is_nothing(decoder: Decoder, recipe: Recipe, message: bytes) -> None:
    """Cameras write such messages: their streams would never be moderated."""
    user_data = message + b"\x05\x14" + bytes(range(16)) + START_CODE + b"\xff\xff\x80"
    data = repacked(clip(recipe), lambda _, units: [user_data, *units])

    assert decoder.sample(data, profile=BALANCED, seed=b"nested").unmoderated == ()
