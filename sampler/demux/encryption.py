"""Signs in packets and boxes that pictures are encrypted. Runs in the decoder child.

FFmpeg decodes what it has no key for as if it were in the clear. An encrypted stream would be reported as damaged.
"""

import struct
from collections import Counter
from collections.abc import Iterator

from sampler.demux.boxes import Read, TopBox, top_boxes
from sampler.demux.ts_headers import FIRST_SCRAMBLED, TS_PACKET_BYTES, TS_SYNC

SAMPLE_AES = 0xDB
"""Stream type of sample-encrypted H.264 in MPEG-TS (Apple, "MPEG-2 Stream Encryption Format for HTTP Live Streaming",
2.3), which FFmpeg gives as the codec tag."""
ENCRYPTED_ENTRY = b"encv"
"""Sample entry of encrypted video (ISO/IEC 14496-12, 8.12.2)."""
SAMPLE_TABLE = (b"mdia", b"minf", b"stbl", b"stsd")
"""Boxes from the track down to its sample entries."""
STSD_HEAD_BYTES = 8
"""Version, flags and count (ISO/IEC 14496-12, 8.5.2)."""
PIFF_SAMPLES = bytes.fromhex("a2394f525a9b4f14a2446c427c648df4")
"""The `uuid` box that was `senc` before ISO/IEC 23001-7."""
SCRAMBLED_PACKETS = 3
"""So many scrambled packets of its PID make a video encrypted, wherever they are. Damage leaves the PID by chance once
in 8,192 packets."""
TOP_BOX_BYTES = 1 << 20
"""As much of one is read: sample entries lie in the first kilobytes of a track."""

Box = tuple[bytes, bytes]


def is_scrambled(packets: bytes, pid: int) -> bool:
    """True if most MPEG-TS packets of `pid` are marked (transport_scrambling_control, ISO/IEC 13818-1, 2.4.3.2)."""
    if max(packets[3::TS_PACKET_BYTES], default=0) < FIRST_SCRAMBLED:
        return False
    high, low, control = (packets[column::TS_PACKET_BYTES] for column in (1, 2, 3))
    named = zip(high, low, control, strict=False)
    controls = [bits for upper, lower, bits in named if (upper & 0x1F) << 8 | lower == pid]
    return sum(bits >= FIRST_SCRAMBLED for bits in controls) * 2 > len(controls)


class ScrambledPackets:
    """Counts the scrambled packets of an MPEG-TS by their PID, as it is read: FFmpeg drops them in silence."""

    def __init__(self) -> None:
        self.by_pid: Counter[int] = Counter()
        self._counted_bytes = 0

    def count(self, offset: int, data: bytes) -> None:
        """Counts those whose headers are in the bytes from `offset` of the input on."""
        # FFmpeg reads some of it again where it looks for the next packet.
        start = max(offset, self._counted_bytes)
        self._counted_bytes = max(self._counted_bytes, offset + len(data))
        data = data[start + -start % TS_PACKET_BYTES - offset :]
        if max(data[3::TS_PACKET_BYTES], default=0) < FIRST_SCRAMBLED:
            return
        for start in range(0, len(data) - 3, TS_PACKET_BYTES):
            if data[start] == TS_SYNC and data[start + 3] >= FIRST_SCRAMBLED:
                self.by_pid[(data[start + 1] & 0x1F) << 8 | data[start + 2]] += 1


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
