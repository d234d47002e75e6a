"""Order of the PES packets of an MPEG-TS, for those who count what FFmpeg reads of it. Runs in the decoder child.

FFmpeg gives its parsers nothing of what is in no PES packet, behind the end of one, scrambled, or padding. Units of
another kind in there would seem to part pictures, or to end the search for parameter sets.
"""

import math

import numpy as np

from sampler.demux.mpegts.headers import (
    FIRST_SCRAMBLED,
    PES_FIXED_BYTES,
    PES_HEAD_BYTES,
    PES_ID,
    PES_OPTIONAL,
    PES_SIZE,
    PES_START,
    UNIT_START,
    WITHOUT_HEADER,
    payload_of,
    rows_of,
)
from sampler.demux.mpegts.payloads import Pieces


class PacketOrder:
    """Follows the PES packets of an input, which is given to it piece by piece."""

    def __init__(self) -> None:
        self.unclear: set[int] = set()
        """PIDs with such payload."""
        self._left: dict[int, float] = {}
        """Bytes that the PES packet still has, by PID; infinite: it does not tell."""

    def read(self, data: bytes, pieces: Pieces) -> None:
        """Reads bytes that are TS packets, and the places of their payloads."""
        if not len(pieces.pids):
            return
        rows = rows_of(data)[pieces.packets]
        starts = rows[:, 1] & UNIT_START > 0
        self.unclear.update(pieces.pids[rows[:, 3] >= FIRST_SCRAMBLED].tolist(), pieces.torn.tolist())
        is_next = np.append(True, pieces.pids[1:] != pieces.pids[:-1])
        begins = np.flatnonzero(starts | is_next)
        sizes = np.add.reduceat(np.maximum(pieces.ends - pieces.begins, 0), begins)
        for place, size in zip(begins.tolist(), sizes.tolist(), strict=True):
            pid = int(pieces.pids[place])
            left = _content_bytes(rows[place].tobytes()) if starts[place] else self._left.get(pid, 0)
            if size > left:
                self.unclear.add(pid)
            self._left[pid] = left - size


def _content_bytes(packet: bytes) -> float:
    """Bytes of the PES packet that begins in a TS packet, behind its head (H.222.0, 2.4.3.6)."""
    head = payload_of(packet)
    if len(head) < PES_FIXED_BYTES or head[: len(PES_START)] != PES_START or head[PES_ID] in WITHOUT_HEADER:
        return 0
    size = head[PES_SIZE] << 8 | head[PES_SIZE + 1]
    return PES_HEAD_BYTES + size - PES_FIXED_BYTES - head[PES_OPTIONAL] if size else math.inf
