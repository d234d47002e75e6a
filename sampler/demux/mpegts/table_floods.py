"""Floods of programmes in an MPEG-TS, found before FFmpeg reads them. Runs in the decoder child.

FFmpeg keeps each programme that was ever listed or named, and goes through all of them for each that a new list has or
lacks: lists of 56 kB took 18 s.
"""

from typing import Final

import numpy as np

from sampler.demux.mpegts.headers import PAYLOAD, STUFFING, UNIT_START, among, payload_of, pids_of, rows_of
from sampler.errors import TooLargeError

LIST_PID, NAMES_PID = 0x00, 0x11
"""PIDs of the lists of programmes (PAT, H.222.0, 2.4.4.3) and of their names (SDT, ETSI EN 300 468, 5.1.3)."""
MOST_CHANGES: Final = {LIST_PID: 32, NAMES_PID: 128}
"""Packets (<=) of a segment that do not repeat the one before on their PID. Encoders write one list all along, and it
has room for 42 programmes. All of these take FFmpeg 0.1 s (7.1, 2026-12-02)."""
HEAD_BYTES = 3
"""Bytes of a table up to its length (2.4.4.11)."""


class TableChanges:
    """Holds the lists of programmes of an MPEG-TS, and their names, to changes that are needed."""

    def __init__(self, share: float) -> None:
        """`share`: so many times as often as in a segment may they change."""
        self._left = {pid: share * most for pid, most in MOST_CHANGES.items()}
        self._latest = dict.fromkeys(MOST_CHANGES, b"")

    def read(self, data: bytes) -> None:
        """Reads the next packets.

        Raises:
            TooLargeError: they change too often.
        """
        rows = rows_of(data)
        pids = pids_of(rows)
        own = np.flatnonzero(among(pids, MOST_CHANGES) & (rows[:, 3] & PAYLOAD > 0))
        for pid, row in zip(pids[own].tolist(), rows[own], strict=True):
            payload = payload_of(row.tobytes())
            if payload == self._latest[pid] and row[1] & UNIT_START and has_one(payload):
                continue
            self._latest[pid] = payload
            self._left[pid] -= 1
            if self._left[pid] < 0:
                raise TooLargeError("the lists of programmes change more often than a segment needs")


def has_one(payload: bytes) -> bool:
    """True if one table is in it, and nothing else: FFmpeg passes over what is the same as the one before,
    and over zeros."""
    end = 1 + HEAD_BYTES + ((payload[2] & 0xF) << 8 | payload[3]) if len(payload) > HEAD_BYTES else len(payload) + 1
    is_alone = payload[end : end + 1] == bytes([STUFFING]) or not any(payload[end:])
    return payload[:1] == b"\0" and end <= len(payload) and is_alone
