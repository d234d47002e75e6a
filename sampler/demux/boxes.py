"""Boxes of an MP4, wherever they begin (ISO/IEC 14496-12, 4.2). Runs in the decoder child."""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

TOP_BOXES = 1024
"""Boxes that are read for `moov` and `moof`: a segment of 10 s has 300 if each picture is a fragment, in a few ms."""
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
