"""Signs in the boxes of an MP4 that pictures are encrypted. Runs in the decoder child.

FFmpeg decodes what it has no key for as if it were in the clear. An encrypted stream would be reported as damaged.
"""

import struct
from collections.abc import Iterator

from sampler.demux.mp4.boxes import TopBox, top_boxes
from sampler.demux.source import Read

ENCRYPTED_ENTRY = b"encv"
"""Sample entry of encrypted video (ISO/IEC 14496-12, 8.12.2)."""
SAMPLE_TABLE = (b"mdia", b"minf", b"stbl", b"stsd")
"""Boxes from the track down to its sample entries."""
STSD_HEAD_BYTES = 8
"""Version, flags and count (ISO/IEC 14496-12, 8.5.2)."""
PIFF_SAMPLES = bytes.fromhex("a2394f525a9b4f14a2446c427c648df4")
"""The `uuid` box that was `senc` before ISO/IEC 23001-7."""
TOP_BOX_BYTES = 1 << 20
"""As much of one is read: sample entries lie in the first kilobytes of a track."""

Box = tuple[bytes, bytes]


def is_encrypted_mp4(read: Read, track: int | None, *, known: bool) -> bool:
    """True if an MP4 marks its video as encrypted and FFmpeg does not.

    Args:
        read: reads the input, its init section in front.
        track: number of the video's track, if FFmpeg has found it.
        known: FFmpeg found the codec behind an encrypted sample entry. Then it reports encryption itself,
            packet for packet, if the entry has the parameters (`tenc`).
    """
    for box in top_boxes(read):
        if box.kind == b"moov":
            for entry, inside in _sample_entries(_content(read, box)):
                if entry == ENCRYPTED_ENTRY and not (known and b"tenc" in inside):
                    return True
        elif box.kind == b"moof" and _is_encrypted_fragment(_content(read, box), track):
            return True
    return False


def _content(read: Read, box: TopBox) -> bytes:
    return read(box.offset, min(box.size_bytes, TOP_BOX_BYTES))


def _boxes(content: bytes) -> Iterator[Box]:
    """The boxes that `content` consists of."""
    position = 0
    while position + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        if size < 8:
            return
        yield kind, content[position + 8 : position + size]
        position += size


def _inside(content: bytes, path: tuple[bytes, ...]) -> Iterator[bytes]:
    """Contents of all boxes at `path`."""
    for kind, inside in _boxes(content):
        if kind == path[0]:
            if path[1:]:
                yield from _inside(inside, path[1:])
            else:
                yield inside


def _sample_entries(moov: bytes) -> Iterator[Box]:
    """Sample entries of all tracks: `encv` is video by definition."""
    for table in _inside(moov, (b"trak", *SAMPLE_TABLE)):
        yield from _boxes(table[STSD_HEAD_BYTES:])


def _is_encrypted_fragment(moof: bytes, track: int | None) -> bool:
    """True if the track's part of a fragment has the samples' initialisation vectors."""
    if track is None:
        return False
    number = (track & 0xFFFFFFFF).to_bytes(4, "big")
    for traf in _inside(moof, (b"traf",)):
        boxes = list(_boxes(traf))
        named = any(kind == b"tfhd" and content[4:8] == number for kind, content in boxes)
        if named and any(kind == b"senc" or content[:16] == PIFF_SAMPLES for kind, content in boxes):
            return True
    return False
