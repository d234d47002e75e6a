"""Clean apertures: a player may show a part of each picture, all stream long, and hashes see the whole one."""

import struct
from dataclasses import replace

import pytest
from hostile_media import boxes_grown
from media import RATE, encode, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

CLIP = replace(x264(bframes=0), container="mp4")
STSD = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
ENTRY_BYTES = 8
"""Version, flags and count in front of the sample entries."""


def sample(decoder: Decoder, data: bytes) -> SampledSegment:
    return decoder.sample(data, profile=BALANCED, seed=b"aperture")


def aperture(width: int, height: int, *, right: int = 0, parts: int = 1) -> bytes:
    fields = struct.pack(">4I", width * parts, parts, height * parts, parts) + struct.pack(">iIiI", right, 1, 0, 1)
    return struct.pack(">I4s", 8 + len(fields), b"clap") + fields


def within(data: bytes, box: bytes) -> bytes:
    """The MP4 with one more box in its sample entry."""

    def grown(stsd: bytes) -> bytes:
        head, entry = stsd[:ENTRY_BYTES], stsd[ENTRY_BYTES:]
        return head + struct.pack(">I", len(entry) + len(box)) + entry[4:] + box

    return boxes_grown(data, STSD, grown)


def clip() -> bytes:
    return encode(CLIP, steady(2 * RATE))


@pytest.mark.parametrize(
    "box",
    [
        aperture(96, 54),
        aperture(96, 54, parts=1001),
        aperture(192, 54),
        aperture(192, 108, right=20),
        aperture(96, 54) + aperture(192, 108),
    ],
    ids=["the middle", "by fractions", "a strip", "to the side", "two"],
)
def test_what_a_player_may_crop_is_unmoderated(decoder: Decoder, box: bytes) -> None:
    """Viewers would see a listed picture that lies in the middle of another one, which matches no list."""
    seen = sample(decoder, within(clip(), box))

    assert seen.notes == ("cropped",)
    assert [(one.start_seconds, one.end_seconds, one.reason) for one in seen.unmoderated] == [(0, 2, "cropped")]
    assert seen.frames


@pytest.mark.parametrize("place", [(b"moov",), STSD[:-1]], ids=["moov", "stbl"])
def test_an_aperture_in_another_place_counts(decoder: Decoder, place: tuple[bytes, ...]) -> None:
    """The ffmpeg program takes it from anywhere: it would be hidden outside of the sample entry."""
    data = boxes_grown(clip(), place, lambda content: content + aperture(96, 54))

    assert sample(decoder, data).notes == ("cropped",)


@pytest.mark.parametrize("split", [1, 2, 3])
def test_a_large_box_in_front_does_not_hide_it(decoder: Decoder, split: int) -> None:
    """Padding would put its name where one read ends and the next begins."""
    plain = within(clip(), aperture(96, 54))
    inside = plain.index(b"clap") - plain.index(b"moov") - 4
    padding = (1 << 20) - inside - split
    padded = boxes_grown(
        plain, (b"moov",), lambda content: struct.pack(">I4s", padding, b"free").ljust(padding, b"\0") + content
    )

    assert padded.index(b"clap") - padded.index(b"moov") - 4 == (1 << 20) - split
    assert sample(decoder, padded).notes == ("cropped",)


def test_boxes_that_hide_where_apertures_are_leave_it_unmoderated(decoder: Decoder) -> None:
    """A thousand empty boxes would put it out of our reach, and not out of a player's."""
    seen = sample(decoder, struct.pack(">I4s", 8, b"free") * 1024 + within(clip(), aperture(96, 54)))

    assert seen.notes == ("cropped",)


@pytest.mark.parametrize(
    "box",
    [
        aperture(192, 108),
        aperture(190, 108),
        aperture(400, 300),
        aperture(0, 54),
        aperture(96, 54).replace(b"clap", b"name"),
        struct.pack(">I4s", 60, b"name") + b"they clap, and clap, and clap again for all of it...",
    ],
    ids=["all", "a pixel a side", "more than all", "nothing", "another box", "a title"],
)
def test_an_aperture_that_leaves_out_next_to_nothing_is_none(decoder: Decoder, box: bytes) -> None:
    """Digitised television has one, and would be unmoderated for nothing."""
    seen = sample(decoder, within(clip(), box))

    assert seen.notes == ()
    assert seen.unmoderated == ()
