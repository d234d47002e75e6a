"""Boxes of an MP4, wherever they begin (ISO/IEC 14496-12, 4.2). Runs in the decoder child."""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sampler.errors import TooLargeError

TOP_BOXES = 1024
"""Boxes that are read for `moov` and `moof`: a segment of 10 s has 300 if each picture is a fragment, in a few ms."""
BOXES_A_PICTURE = 7
"""A limit on pictures is one on so many times as many boxes, at any depth: each picture may be a fragment, of seven.
FFmpeg takes 1 µs for each, so 30 MB of empty ones took 4 s."""
CONTAINERS = frozenset(
    b"moov trak mdia minf stbl dinf edts mvex moof traf mfra udta ilst sinf schi wave tref ipro cmov".split()
)
"""Boxes in which FFmpeg looks for others."""
TO_THE_END = 1 << 62
"""Bytes of a box that lasts until the input ends."""

Read = Callable[[int, int], bytes]
"""(offset, count) to bytes of the input, fewer at its end."""


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


def hold_boxes(read: Read, most: int) -> None:
    """Raises TooLargeError, unless an MP4 has at most so many boxes."""
    position, ends = 0, [TO_THE_END]
    for _ in range(most + 1):
        while len(ends) > 1 and position + 8 > ends[-1]:
            position = ends.pop()
        head = read(position, 16)
        if len(head) < 8:
            return
        size, kind, long_size = struct.unpack(">I4sQ", head.ljust(16, b"\0"))
        size, head_bytes = (long_size, 16) if size == 1 else (size or TO_THE_END, 8)
        end = min(position + size, ends[-1])
        if size < head_bytes:
            position = ends[-1]
        elif kind in CONTAINERS:
            position += head_bytes
            ends.append(end)
        else:
            position = end
    raise TooLargeError(f"the MP4 has over {most} boxes: expected fewer")


def read_within(read: Read, box: TopBox, offset: int, count: int) -> bytes:
    """Up to `count` bytes from `offset` of a box's content on."""
    return read(box.offset + offset, max(min(count, box.size_bytes - offset), 0))
