"""Payloads of the packets of an MPEG-TS: the bytes that FFmpeg gives to its parsers. Runs in the decoder child."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sampler.demux.codecs.parameter_sets import START_CODE
from sampler.demux.mpegts.headers import (
    NULL_PID,
    PAYLOAD,
    PES_FIXED_BYTES,
    PES_HEAD_BYTES,
    PES_ID,
    PES_OPTIONAL,
    PES_SIZE,
    PES_START,
    TS_PACKET_BYTES,
    UNIT_START,
    WITHOUT_HEADER,
    Numbers,
    among,
    payload_places,
    pids_of,
    rows_of,
)


class Pieces(NamedTuple):
    """Places of payloads in bytes that are TS packets, PID after PID, each in order."""

    pids: Numbers
    begins: Numbers
    """Behind the heads of PES packets."""
    ends: Numbers
    packets: Numbers
    """Numbers of the TS packets that they are in."""
    torn: Numbers
    """PIDs of TS packets from which the head of a PES packet may go on in the next one."""


def codes_at_edges(data: bytes) -> int:
    """Start codes (at most) that are in several TS packets."""
    pieces, octets = pieces_of(data), np.frombuffer(data, np.uint8)
    around = [octets[pieces.ends[:-1] - place] for place in (3, 2, 1)]
    around += [octets[np.minimum(pieces.begins[1:] + place, len(data) - 1)] for place in (0, 1)]
    is_code: NDArray[np.bool_] = np.zeros(len(around[0]), np.bool_)
    for place in range(3):
        is_code |= (around[place] == 0) & (around[place + 1] == 0) & (around[place + 2] == 1)
    # All of a code that is in three packets or more but its first and last byte.
    is_short = pieces.ends - pieces.begins <= len(START_CODE) - 2
    return int(np.count_nonzero(is_code)) + int(np.count_nonzero(is_short)) + len(pieces.torn)


def payloads(data: bytes, pieces: Pieces) -> dict[int, bytes]:
    """The bytes that FFmpeg gives to parsers, by PID."""
    found: dict[int, list[bytes]] = {}
    for pid, begin, end in zip(pieces.pids.tolist(), pieces.begins.tolist(), pieces.ends.tolist(), strict=True):
        found.setdefault(pid, []).append(data[begin:end])
    return {pid: b"".join(several) for pid, several in found.items()}


def pieces_of(data: bytes) -> Pieces:
    """The payloads of bytes that are TS packets."""
    octets, rows = np.frombuffer(data, np.uint8), rows_of(data)
    marks, control, pids = rows[:, 1].copy(), rows[:, 3].copy(), pids_of(rows)
    own = np.flatnonzero((control & PAYLOAD > 0) & (pids != NULL_PID))
    own = own[np.argsort(pids[own], kind="stable")]
    pids, lasts = pids[own], (own + 1) * TS_PACKET_BYTES
    begins = own * TS_PACKET_BYTES + payload_places(rows[own])
    ends = lasts.copy()
    starts = np.flatnonzero(marks[own] & UNIT_START)
    begins[starts], ends[starts], torn = _behind_heads(octets, begins[starts], lasts[starts])
    return Pieces(pids, np.minimum(begins, lasts), np.minimum(ends, lasts), own, pids[starts[torn]])


def _behind_heads(octets: NDArray[np.uint8], begins: Numbers, lasts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Beginnings and ends of the payloads of PES packets that begin there; and which of them may begin later, in the
    next TS packet."""

    def octet(place: int) -> Numbers:
        found: Numbers = octets[np.minimum(begins + place, lasts - 1)].astype(np.intp)
        return found

    sizes = octet(PES_SIZE) << 8 | octet(PES_SIZE + 1)
    heads = np.where(among(octet(PES_ID), WITHOUT_HEADER), PES_HEAD_BYTES, PES_FIXED_BYTES + octet(PES_OPTIONAL))
    is_pes = (octet(0) == 0) & (octet(1) == 0) & (octet(2) == 1)
    torn = begins + np.where(is_pes, heads, len(PES_START)) > lasts
    ends = np.where(is_pes & (sizes > 0), begins + PES_HEAD_BYTES + sizes, lasts)
    return begins + is_pes * heads, ends, np.flatnonzero(torn)
