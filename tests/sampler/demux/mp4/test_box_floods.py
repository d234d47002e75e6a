"""Boxes of an MP4 that FFmpeg goes through again and again, by the ten thousand."""

import struct
from collections.abc import Callable

import pytest
from media import encode, in_mp4, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.errors import TooLargeError

MANY = 60_000
USUAL = 30
"""Entries of the metadata that a phone writes."""


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with a version (ISO/IEC 14496-12, 4.2)."""
    return box(kind, struct.pack(">I", version << 24 | flags) + content)


def handler(kind: bytes) -> bytes:
    return full_box(b"hdlr", bytes(4) + kind + bytes(13))


def protection(count: int) -> bytes:
    """Keys of so many systems (ISO/IEC 23001-7, 8.1)."""
    return b"".join(full_box(b"pssh", number.to_bytes(16) + bytes(4)) for number in range(count))


def named_metadata(count: int, before: bytes = b"") -> bytes:
    """Entries with names of their own, as phones write them (QuickTime File Format, "Metadata")."""
    names = b"".join(box(b"mdta", b"name %d" % number) for number in range(count))
    values = b"".join(
        box(struct.pack(">I", 1 + number), full_box(b"data", bytes(4) + b"value", flags=1)) for number in range(count)
    )
    keys = full_box(b"keys", struct.pack(">I", count) + names)
    return box(b"meta", before + handler(b"mdta") + keys + box(b"ilst", values))


def late_metadata(count: int) -> bytes:
    """The same, behind bytes that FFmpeg searches for the first box."""
    return named_metadata(count, b"\0hdlr" + bytes((2 << 20) - 5))


def freeform_metadata(count: int) -> bytes:
    """The same, as iTunes writes them."""
    entries = b"".join(
        box(
            b"----",
            full_box(b"mean", b"com.apple.iTunes")
            + full_box(b"name", b"name %d" % number)
            + full_box(b"data", bytes(4) + b"value", flags=1),
        )
        for number in range(count)
    )
    return box(b"udta", full_box(b"meta", handler(b"mdir") + box(b"ilst", entries)))


def copyrights(count: int) -> bytes:
    return box(b"udta", box(b"cprt", bytes(12)) * count)


def items(count: int) -> bytes:
    """Places of still pictures (ISO/IEC 14496-12, 8.11.3)."""
    places = b"".join(struct.pack(">HHHII", number, 0, 1, 0, 1) for number in range(count))
    return full_box(b"meta", handler(b"pict") + full_box(b"iloc", b"\x44\0" + struct.pack(">H", count) + places))


def numbered_items(count: int) -> bytes:
    """The same in version 2, which has longer numbers."""
    places = b"".join(struct.pack(">IHHHII", number, 0, 0, 1, 0, 1) for number in range(count))
    return full_box(b"meta", handler(b"pict") + full_box(b"iloc", b"\x44\0" + struct.pack(">I", count) + places, 2))


def track_defaults(count: int) -> bytes:
    """Defaults of tracks that there are not (ISO/IEC 14496-12, 8.8.3)."""
    return box(
        b"mvex", b"".join(full_box(b"trex", struct.pack(">5I", 1_000 + one, 1, 0, 0, 0)) for one in range(count))
    )


FLOODS = [
    protection,
    named_metadata,
    late_metadata,
    freeform_metadata,
    copyrights,
    items,
    numbered_items,
    track_defaults,
]


def in_header(boxes: bytes) -> bytes:
    """A fragmented MP4 with more boxes in its header."""
    data = encode(in_mp4(x264(bframes=0)), steady(50))
    at = data.index(b"moov") - 4
    size = int.from_bytes(data[at : at + 4])
    end = at + size
    return data[:at] + (size + len(boxes)).to_bytes(4) + data[at + 4 : end] + boxes + data[end:]


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_boxes_that_are_searched_is_refused(decoder: Decoder, flood: Callable[[int], bytes]) -> None:
    """FFmpeg goes through all of them for each: 4 MB would take all the time that a decoder has, three times over."""
    with pytest.raises(TooLargeError, match="metadata"):
        decoder.sample(in_header(flood(MANY)), profile=BALANCED, seed=b"boxes")


@pytest.mark.parametrize("some", FLOODS)
def test_a_usual_number_of_them_is_read(decoder: Decoder, some: Callable[[int], bytes]) -> None:
    """Films of phones and of programs that cut would not be moderated."""
    seen = decoder.sample(in_header(some(USUAL)), profile=BALANCED, seed=b"boxes")
    assert seen.frames
    assert seen.frames_total == 50
    assert seen.unmoderated == ()
