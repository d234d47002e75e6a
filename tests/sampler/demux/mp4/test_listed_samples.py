"""Samples that an MP4 lists in a few bytes, and that FFmpeg passes over one by one."""

import struct
import zlib

import pytest
from media import encode_pictures, in_mp4, photograph, steady, x264
from sounding import box, boxes, sound_track

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.errors import TooLargeError, UnsupportedContainerError
from sampler.limits import Limits

PICTURES = 50
WHOLE = encode_pictures(in_mp4(x264(), whole=True), steady(PICTURES), lambda _: photograph("astronaut", 192, 108))
FRAGMENTED = encode_pictures(in_mp4(x264()), steady(PICTURES), lambda _: photograph("astronaut", 192, 108))


def with_tracks(*tracks: bytes) -> bytes:
    """The clip with more tracks in its header, which is behind its pictures."""
    begin, moov = next((begin, content) for begin, kind, content in boxes(WHOLE) if kind == b"moov")
    return WHOLE[:begin] + box(b"moov", moov, *tracks)


def with_fragment(count: int) -> bytes:
    """The clip with one more fragment, of so many samples of its track, of a byte each at one place."""
    head = box(b"tfhd", struct.pack(">IIII", 0x20018, 1, 1, 1))
    run = box(b"trun", struct.pack(">IIi", 1, count, 0))
    return FRAGMENTED + box(b"moof", box(b"traf", head, box(b"tfdt", bytes(8)), run))


@pytest.mark.parametrize(
    "flood",
    [
        with_tracks(sound_track([0], rate=20_000_000, chunk_samples=40_000_000, sample_ticks=2)),
        with_tracks(*[sound_track([0], rate=160_000, chunk_samples=160_000, sample_ticks=2)] * 62),
        with_tracks(sound_track([0], rate=10_000, chunk_samples=10_000, sample_ticks=2, edits=[(180_000, 0)] * 1_000)),
        with_fragment(10_000_000),
    ],
    ids=["one track", "many tracks", "edits", "a fragment"],
)
def test_more_samples_than_a_segment_can_have_are_refused(decoder: Decoder, flood: bytes) -> None:
    """Segments of 40 kB would take seconds of CPU each, whenever they are read."""
    with pytest.raises(TooLargeError, match="samples"):
        decoder.sample(flood, profile=BALANCED, seed=b"samples")


def test_samples_that_ffmpeg_joins_count_as_packets(decoder: Decoder) -> None:
    """Camcorders' sound has 48,000 samples a second: a minute of it would be over the limit."""
    seen = decoder.sample(
        with_tracks(sound_track([0], rate=48_000, chunk_samples=60 * 48_000)), profile=BALANCED, seed=b"samples"
    )
    assert seen.frames
    assert seen.unmoderated == ()


def test_a_track_of_few_bytes_may_not_have_many_packets() -> None:
    """What a header may list for sound of PCM is too much for what FFmpeg passes over one by one."""
    limits = Limits(frames=2_000)
    with Decoder(limits=limits) as decoder, pytest.raises(TooLargeError, match="samples"):
        decoder.sample(
            with_tracks(sound_track([0], rate=15_000, chunk_samples=30_000, sample_ticks=2)),
            profile=BALANCED,
            seed=b"samples",
        )


def test_a_compressed_header_is_refused(decoder: Decoder) -> None:
    """It would hide any number of boxes, and of samples, from the limits on them."""
    begin, moov = next((begin, content) for begin, kind, content in boxes(WHOLE) if kind == b"moov")
    inner = box(b"moov", moov)
    content = box(b"cmvd", struct.pack(">I", len(inner)), zlib.compress(inner))
    compressed = WHOLE[:begin] + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), content))
    with pytest.raises(UnsupportedContainerError, match="compressed"):
        decoder.sample(compressed, profile=BALANCED, seed=b"samples")
