"""Boxes of an MP4, wherever they begin (ISO/IEC 14496-12, 4.2). Runs in the decoder child."""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from sampler.demux.source import Read
from sampler.errors import TooLargeError, UnsupportedContainerError

TOP_BOXES = 1024
"""Boxes that are read for `moov` and `moof`: a segment of 10 s has 300 if each picture is a fragment, in a few ms."""
BOXES_A_PICTURE = 7
"""A limit on pictures is one on so many times as many boxes, at any depth: each picture may be a fragment, of seven.
FFmpeg takes 1 µs for each, so 30 MB of empty ones took 4 s."""
CONTAINERS = frozenset(
    b"moov trak mdia minf stbl dinf edts mvex moof traf mfra udta ilst sinf schi wave tref ipro".split()
)
"""Boxes in which FFmpeg looks for others."""
COMPRESSED = b"cmov"
"""Box of a header that is compressed, as QuickTime did: 48 kB held three million boxes. Browsers do not read it."""
SAMPLES_A_PICTURE = 10
"""A limit on pictures is one on so many times as many samples of all tracks together: sound has 50 a second. A few
bytes may list millions, and FFmpeg takes 10 to 600 ns for each, also for those that it passes over: 38 kB took 6 s."""
LISTED_A_PICTURE = 50 * SAMPLES_A_PICTURE
"""The same for those that a header lists, which take 25 ns each: PCM has 48,000 a second, of which FFmpeg makes
packets."""
REFERENCES_AT = (22, 30)
"""Places of the number of an index's references, in versions 0 and 1 (`sidx`, 8.16.3). A limit on pictures is one on as
many: FFmpeg moves all that it knows of for each that is out of order, so 8 MB took over 30 s."""
SEARCHED = frozenset([b"pssh", b"trex"])
"""Boxes of which FFmpeg goes through all, for each that is new or is named: 130,000 in 4 MB took it over 30 s."""
METADATA = frozenset([b"ilst", b"udta"])
"""Those in which each box is an entry of the metadata, all of which it goes through for each that is new: 60,000 took
17 s."""
ITEMS_AT = {b"iloc": (6, 2), b"iinf": (4, 1)}
"""Places of the number of items (ISO/IEC 14496-12, 8.11.3, 8.11.6), all of which it goes through for each; and versions
from which on the number has four bytes, not two."""
SEARCHED_A_PICTURE = 1 / 20
"""A limit on pictures is one on so many times as many of each of these, 1,000 in a segment: phones write 30 entries."""
ITEMS_A_PICTURE = 1 / 200
"""The same of items, of which a video has none: each may be named a million times, and is searched each time."""
META, META_KIND, META_CHUNK_BYTES = b"meta", b"hdlr", 1 << 20
"""A box of metadata, the box in it with which others begin, and bytes in which that is searched at once."""
COUNT_AT = {b"stsz": 8, b"stz2": 8, b"trun": 4, b"elst": 4}
"""Places of the number of samples, or of edits (8.7.3, 8.8.8, 8.6.6). Each edit may repeat all samples of a track; the
first of a track that begins later is empty."""
TO_THE_END = 1 << 62
"""Bytes of a box that lasts until the input ends."""


class TopBox(NamedTuple):
    """A box that is in no other."""

    kind: bytes
    offset: int
    """Beginning of its content."""
    size_bytes: int
    """That of the content: `TO_THE_END`, or as the box says."""


def top_boxes(read: Read, *, most: int = TOP_BOXES) -> Iterator[TopBox]:
    """The first boxes of an input, `most` of them, up to where they make no sense."""
    position = 0
    for _ in range(most):
        head = read(position, 16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        head_bytes = 8
        if size == 1 and len(head) == 16:
            (size,), head_bytes = struct.unpack_from(">Q", head, 8), 16
        if not size:
            yield TopBox(kind, position + head_bytes, TO_THE_END)
        if size < head_bytes:
            return
        yield TopBox(kind, position + head_bytes, size - head_bytes)
        position += size


def hold_boxes(read: Read, pictures: int) -> None:
    """Holds an MP4 to the boxes, samples and references that so many pictures may have.

    Raises:
        TooLargeError: it has more.
        UnsupportedContainerError: its header is compressed.
    """
    counts: Counter[bytes] = Counter()
    for kind, offset, within in _boxes_at_any_depth(read, BOXES_A_PICTURE * pictures):
        _hold_searched(read, counts, pictures, (kind, offset, within))
        if kind == COMPRESSED:
            raise UnsupportedContainerError("the MP4's header is compressed")
        if kind == b"sidx":
            place = REFERENCES_AT[read(offset, 1) > b"\0"]
            counts[kind] += int.from_bytes(read(offset + place, 2))
            if counts[kind] > pictures:
                raise TooLargeError("the MP4 has more references to its fragments than a segment can have")
        if kind not in COUNT_AT:
            continue
        count = int.from_bytes(read(offset + COUNT_AT[kind], 4))
        counts[kind] = max(counts[kind], count) if kind == b"elst" else counts[kind] + count
        listed = (counts[b"stsz"] + counts[b"stz2"]) * max(counts[b"elst"] - 1, 1)
        if listed > LISTED_A_PICTURE * pictures or counts[b"trun"] > SAMPLES_A_PICTURE * pictures:
            raise TooLargeError("the MP4 lists more samples than a segment can have")


def _hold_searched(read: Read, counts: Counter[bytes], pictures: int, box: tuple[bytes, int, bytes]) -> None:
    """Counts a box, if it is one of those that FFmpeg goes through again and again."""
    kind, offset, within = box
    if within in METADATA:
        counts[within] += 1
    if kind in SEARCHED:
        counts[kind] += 1
    if kind in ITEMS_AT:
        place, long_version = ITEMS_AT[kind]
        counts[kind] += int.from_bytes(read(offset + place, 4 if read(offset, 1) >= bytes([long_version]) else 2))
    searched = max(counts[within] * (within in METADATA), counts[kind] * (kind in SEARCHED))
    if searched > SEARCHED_A_PICTURE * pictures or max(counts[one] for one in ITEMS_AT) > ITEMS_A_PICTURE * pictures:
        raise TooLargeError("the MP4 has more metadata, items, keys or defaults than a segment needs")


def _meta_head_bytes(read: Read, begin: int, end: int) -> int:
    """Bytes of a box of metadata before the boxes in it: FFmpeg looks for the first by its kind, four bytes by four."""
    for place in range(begin, end, META_CHUNK_BYTES):
        data = read(place, min(META_CHUNK_BYTES, end - place))
        at = data.find(META_KIND)
        while at % len(META_KIND) and at >= 0:
            at = data.find(META_KIND, at + 1)
        if at >= 0:
            return place + at - 4 - begin
        if len(data) < META_CHUNK_BYTES:
            break
    return end - begin


def _boxes_at_any_depth(read: Read, most: int) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind of each box, beginning of its content, and kind of the one that it is in; raises TooLargeError if there are
    over `most`."""
    position, ends, kinds = 0, [TO_THE_END], [b""]
    for _ in range(most + 1):
        while len(ends) > 1 and position + 8 > ends[-1]:
            position = ends.pop()
            kinds.pop()
        head = read(position, 16)
        if len(head) < 8:
            return
        size, kind, long_size = struct.unpack(">I4sQ", head.ljust(16, b"\0"))
        size, head_bytes = (long_size, 16) if size == 1 else (size or TO_THE_END, 8)
        end = min(position + size, ends[-1])
        if size < head_bytes:
            position = ends[-1]
            continue
        yield kind, position + head_bytes, kinds[-1]
        if kind in CONTAINERS or kind == META:
            position += head_bytes + (_meta_head_bytes(read, position + head_bytes, end) if kind == META else 0)
            ends.append(end)
            kinds.append(kind)
        else:
            position = end
    raise TooLargeError(f"the MP4 has over {most} boxes: expected fewer")


def read_within(read: Read, box: TopBox, offset: int, count: int) -> bytes:
    """Up to `count` bytes from `offset` of a box's content on."""
    return read(box.offset + offset, max(min(count, box.size_bytes - offset), 0))
