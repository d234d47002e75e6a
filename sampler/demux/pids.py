"""PIDs of an MPEG-TS that carry elementary streams, whoever knows of them. Runs in the decoder child.

PyAV gives no packet of a stream that comes up after an input was opened, and does not list it: a programme map in the
middle of a segment could bring another video.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from sampler.demux.boxes import Read
from sampler.demux.encryption import FIRST_SCRAMBLED, TS_PACKET_BYTES, TS_SYNC

CHUNK_BYTES = 4096 * TS_PACKET_BYTES
"""As much is read at once: 23 MB take 5 ms."""
MOST_LOSSES = 64
"""Times that packets may be out of step with those before (<=): in a segment that came whole they never are."""
PES_START = b"\x00\x00\x01"

Rows = NDArray[np.uint8]
"""uint8, (packets, TS_PACKET_BYTES)."""


def has_late_stream(read: Read, known: Collection[int]) -> bool:
    """True if an MPEG-TS has a stream that was not known when it was opened. Of any kind: a stream's word on what it is
    counts for nothing.

    Args:
        read: reads the input.
        known: PIDs of the streams that were.
    """
    pids = stream_pids(read)
    return pids is None or not pids <= set(known)


def stream_pids(read: Read) -> set[int] | None:
    """PIDs on which a packet of an elementary stream begins (ITU-T H.222.0, 2.4.3.6), or what is scrambled.

    Args:
        read: reads the input.

    Returns:
        None: it is out of step so often that they cannot be known.
    """
    found: set[int] = set()
    position = losses = 0
    while len(data := read(position, CHUNK_BYTES)) >= TS_PACKET_BYTES:
        rows: Rows = np.frombuffer(data, np.uint8, len(data) // TS_PACKET_BYTES * TS_PACKET_BYTES)
        rows = rows.reshape(-1, TS_PACKET_BYTES)
        bad = np.flatnonzero(rows[:, 0] != TS_SYNC)
        # A sync byte alone may be damaged.
        out_of_step = bad[:-1][np.diff(bad) == 1]
        stop = int(out_of_step[0]) if out_of_step.size else len(rows)
        found.update(_beginnings(rows[:stop]))
        position += stop * TS_PACKET_BYTES
        if stop < len(rows):
            losses += 1
            if losses > MOST_LOSSES:
                return None
            position += _step(data[stop * TS_PACKET_BYTES :])
    return found


def _beginnings(rows: Rows) -> set[int]:
    """PIDs of the packets that begin one of a stream."""
    rows = rows[(rows[:, 1] & 0x40 > 0) & (rows[:, 3] & 0x10 > 0)]
    payload = 4 + (rows[:, 3] & 0x20 > 0) * (1 + rows[:, 4].astype(np.intp))
    scrambled = rows[:, 3] >= FIRST_SCRAMBLED
    begins = payload < TS_PACKET_BYTES
    for place, octet in enumerate(PES_START):
        # The rest of it may be in the next packet.
        at = np.minimum(payload + place, TS_PACKET_BYTES - 1)
        begins &= (payload + place >= TS_PACKET_BYTES) | (rows[np.arange(len(rows)), at] == octet)
    found = rows[scrambled | begins]
    return set(((found[:, 1] & 0x1F).astype(int) << 8 | found[:, 2]).tolist())


def _step(data: bytes) -> int:
    """Bytes up to where packets are in step again."""
    octets = np.frombuffer(data, np.uint8)
    syncs = np.flatnonzero((octets[1:-TS_PACKET_BYTES] == TS_SYNC) & (octets[1 + TS_PACKET_BYTES :] == TS_SYNC))
    return int(syncs[0]) + 1 if syncs.size else max(len(data) - TS_PACKET_BYTES, TS_PACKET_BYTES)
