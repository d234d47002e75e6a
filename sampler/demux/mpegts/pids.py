"""Packets of an MPEG-TS that FFmpeg gives nothing of, and that players may show. Runs in the decoder child.

PyAV gives no packet of a stream that comes up after an input was opened, and does not list it: a programme map in the
middle of a segment could bring another video. And hls.js, which most browsers play MPEG-TS by, is less strict than
FFmpeg: it reads payloads where headers say that there are none, all kinds of PES packets, and each packet where the
one before it ends.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from sampler.demux.mpegts.headers import (
    ADAPTATION,
    FIRST_SCRAMBLED,
    NULL_PID,
    PAYLOAD,
    PES_HEAD_BYTES,
    PES_ID,
    PES_SIZE,
    PES_START,
    STUFFING,
    TS_PACKET_BYTES,
    TS_SYNC,
    UNIT_START,
    WITHOUT_HEADER,
    Numbers,
    Rows,
    among,
    payload_of,
    payload_places,
    pids_of,
    rows_of,
)
from sampler.demux.mpegts.programmes import ProgrammeMaps
from sampler.demux.source import Read

CHUNK_BYTES = 4096 * TS_PACKET_BYTES
"""As much is read at once: 23 MB take 5 ms."""
WHOLE_ADAPTATION = 183
"""adaptation_field_length of a packet without payload (2.4.3.5)."""
CLOCK_END = 12
"""Byte behind the clock reference of a packet's adaptation field, if there is one (2.4.3.4)."""


def has_stray_packets(read: Read, *, known: Collection[int], videos: Collection[int], init_bytes: int = 0) -> bool:
    """True if an MPEG-TS has a stream that was not known when it was opened, of any kind, for a stream's word on what
    it is counts for nothing; or if players may read it otherwise than FFmpeg does.

    Args:
        read: reads the input.
        known: PIDs of the streams that were.
        videos: those of them that are sampled.
        init_bytes: of the init section, which no player makes pictures of.
    """
    maps = ProgrammeMaps(known=known, videos=videos)
    last: dict[int, bytes] = {}
    position = 0
    while len(data := read(position, CHUNK_BYTES)) >= TS_PACKET_BYTES:
        rows = rows_of(data)
        pids = pids_of(rows)
        # FFmpeg looks for the next packet wherever it may begin, and others go on where it should.
        if (rows[:, 0] != TS_SYNC).any() or _has_content_without_payload(rows[pids != NULL_PID]):
            return True
        starts = np.flatnonzero((rows[:, 1] & UNIT_START > 0) & (rows[:, 3] & PAYLOAD > 0))
        payloads = payload_places(rows[starts])
        begins = _are_pes(rows[starts], payloads)
        found = pids[rows[:, 3] >= FIRST_SCRAMBLED].tolist() + pids[starts[begins]].tolist()
        begins &= among(pids[starts], videos)
        if not set(found) <= set(known) or _are_read_in_two_ways(rows[starts[begins]], payloads[begins]):
            return True
        if (position + starts[begins] * TS_PACKET_BYTES < init_bytes).any():
            return True
        if _are_repeated(rows, pids, videos, last):
            return True
        _read_tables(rows, pids, known, maps)
        position += rows.size
    maps.close()
    return maps.differ


def _are_repeated(rows: Rows, pids: Numbers, videos: Collection[int], last: dict[int, bytes]) -> bool:
    """True if a packet of a video is sent twice, which FFmpeg and hls.js read twice and others once (2.4.3.3).

    `last`: by PID the last packet before these, and then of these.
    """
    for pid in videos:
        own = np.flatnonzero((pids == pid) & (rows[:, 3] & PAYLOAD > 0))
        if not len(own):
            continue
        # Each has the number of the one before, which few have.
        again = np.flatnonzero(rows[own[1:], 3] == rows[own[:-1], 3])
        if (_content(rows[own[again]]) == _content(rows[own[again + 1]])).all(1).any():
            return True
        if last.get(pid) == (content := _content(rows[own[[0, -1]]]))[0].tobytes():
            return True
        last[pid] = content[1].tobytes()
    return False


def _content(rows: Rows) -> Rows:
    """Packets without what may differ where one is sent twice: the clock reference in front."""
    return rows[:, [3, *range(CLOCK_END, TS_PACKET_BYTES)]]


def _read_tables(rows: Rows, pids: Numbers, known: Collection[int], maps: ProgrammeMaps) -> None:
    """Reads the packets that belong to no stream that FFmpeg knows."""
    is_table = ~among(pids, [*known, NULL_PID]) & (rows[:, 3] & PAYLOAD > 0)
    for row, pid in zip(rows[is_table], pids[is_table].tolist(), strict=True):
        maps.read(pid, payload_of(row.tobytes()), starts=bool(row[1] & UNIT_START))


def _has_content_without_payload(rows: Rows) -> bool:
    """True if a packet that says it has no payload has anything else than stuffing where it would be."""
    control = rows[:, 3] & (PAYLOAD | ADAPTATION)
    alone = rows[(control == ADAPTATION) & (rows[:, 4] < WHOLE_ADAPTATION)]
    behind = np.arange(TS_PACKET_BYTES) >= 5 + alone[:, 4:5].astype(np.intp)
    return bool((control == 0).any() or (behind & (alone != STUFFING)).any())


def _are_pes(rows: Rows, payloads: Numbers) -> NDArray[np.bool_]:
    """True where a PES packet begins, as far as the TS packet has it (ITU-T H.222.0, 2.4.3.6)."""
    begins = payloads < TS_PACKET_BYTES
    for place, octet in enumerate(PES_START):
        # The rest of it may be in the next packet.
        begins &= (payloads + place >= TS_PACKET_BYTES) | (_octets(rows, payloads + place) == octet)
    return begins


def _are_read_in_two_ways(rows: Rows, payloads: Numbers) -> bool:
    """True if FFmpeg passes over some of the PES packets of videos that begin there, or over what is behind the end of
    one that ends there."""
    if (payloads + PES_HEAD_BYTES > TS_PACKET_BYTES).any() or among(
        _octets(rows, payloads + PES_ID), WITHOUT_HEADER
    ).any():
        return True
    sizes = _octets(rows, payloads + PES_SIZE).astype(np.intp) << 8 | _octets(rows, payloads + PES_SIZE + 1)
    ends = np.where(sizes > 0, payloads + PES_HEAD_BYTES + sizes, TS_PACKET_BYTES)
    behind = np.arange(TS_PACKET_BYTES) >= ends[:, np.newaxis]
    return bool((behind & (rows != STUFFING)).any())


def _octets(rows: Rows, places: Numbers) -> NDArray[np.uint8]:
    """One of each row; the last one where it has no such place."""
    found: NDArray[np.uint8] = rows[np.arange(len(rows)), np.minimum(places, TS_PACKET_BYTES - 1)]
    return found
