"""Floods of parameter sets in an MPEG-TS, found before FFmpeg parts its pictures. Runs in the decoder child.

FFmpeg reads them all before it gives the packet that they are in, be it the only one of the input.
"""

import re
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sampler.demux.encryption import TS_PACKET_BYTES
from sampler.demux.parameter_sets import START_CODE
from sampler.demux.pids import (
    ADAPTATION,
    NULL_PID,
    PAYLOAD,
    PES_HEAD_BYTES,
    PES_START,
    UNIT_START,
    WITHOUT_HEADER,
    Numbers,
    among,
)
from sampler.demux.set_cost import PARSED_SETS, SetCost, SetUnits, set_share
from sampler.demux.source import InputFile
from sampler.demux.ts_packets import aligned
from sampler.limits import Limits

FEW: Final = 12
"""So many (<=) are not read one by one: of the largest pictures that FFmpeg accepts they take 0.1 s. Encoders repeat
two or three with keyframes."""
UNIT_BYTES: Final = 4096
"""As much of one is read, with its start code; encoders make none that is longer."""
PES_ID, PES_SIZE, PES_OPTIONAL, PES_FIXED_BYTES = 3, 4, 8, 9
"""Bytes of a PES packet's head with its stream_id, its size and the size of the optional fields; and bytes before those
(H.222.0, 2.4.3.7)."""
ANY: Final = re.compile(
    START_CODE + b"(?:%b)" % b"|".join(sets.pattern.pattern[len(START_CODE) :] for sets in PARSED_SETS.values()),
    re.DOTALL,
)


def hold_sets(source: InputFile, limits: Limits) -> None:
    """Reads a whole MPEG-TS for parameter sets.

    Args:
        source: its bytes.
        limits: an input that may have more pictures than a segment may have more of them.

    Raises:
        TooLargeError: they would cost too much.
        UndecodableError: it is no row of packets.
    """
    share = set_share(limits)
    if _are_few(source, share * FEW):
        return
    readers: dict[int, list[_SetReader]] = {}
    for data in aligned(source):
        pieces = _pieces(data)
        for pid, payload in _payloads(data, pieces).items():
            if pid not in readers:
                readers[pid] = [_SetReader(sets, SetCost(codec, share)) for codec, sets in PARSED_SETS.items()]
            torn = int(np.count_nonzero(pieces.torn == pid))
            for reader in readers[pid]:
                reader.read(payload, torn=torn)
    for several in readers.values():
        for reader in several:
            reader.close()


class _SetReader:
    """Reads the parameter sets of one stream, as those of one codec, piece by piece."""

    def __init__(self, sets: SetUnits, cost: SetCost) -> None:
        self._sets, self._cost = sets.pattern, cost
        self._held = b""

    def read(self, payload: bytes, *, torn: int) -> None:
        """Reads those that are whole; as many as heads of PES packets are `torn` may lie around these."""
        self._cost.add_unread(torn)
        data = self._held + payload
        self._held = data[self._add(data, len(data) - UNIT_BYTES) :]

    def close(self) -> None:
        """Reads the rest."""
        self._add(self._held, len(self._held))

    def _add(self, data: bytes, until: int) -> int:
        """Counts those that begin before (<) a place, and gives the place up to which all is read."""
        for found in self._sets.finditer(data):
            if found.start() >= until:
                break
            begin = found.start() + len(START_CODE)
            following = data.find(START_CODE, begin, begin + UNIT_BYTES)
            self._cost.add(data[begin : following if following >= 0 else begin + UNIT_BYTES])
        return max(until, 0)


class _Pieces(NamedTuple):
    """Places of payloads in bytes that are TS packets, PID after PID, each in order."""

    pids: Numbers
    begins: Numbers
    """Behind the heads of PES packets."""
    ends: Numbers
    torn: Numbers
    """PIDs of TS packets from which the head of a PES packet may go on in the next one."""


def _are_few(source: InputFile, few: float) -> bool:
    """True if an MPEG-TS has no more parameter sets than that, whatever its streams are."""
    count = 0
    for data in aligned(source):
        if START_CODE in data:
            count += len(ANY.findall(data))
        count += _count_at_edges(data)
        if count > few:
            return False
    return True


def _count_at_edges(data: bytes) -> int:
    """Start codes (at most) that are in several TS packets."""
    pieces, octets = _pieces(data), np.frombuffer(data, np.uint8)
    around = [octets[pieces.ends[:-1] - place] for place in (3, 2, 1)]
    around += [octets[np.minimum(pieces.begins[1:] + place, len(data) - 1)] for place in (0, 1)]
    is_code: NDArray[np.bool_] = np.zeros(len(around[0]), np.bool_)
    for place in range(3):
        is_code |= (around[place] == 0) & (around[place + 1] == 0) & (around[place + 2] == 1)
    # All of a code that is in three packets or more but its first and last byte.
    is_short = pieces.ends - pieces.begins <= len(START_CODE) - 2
    return int(np.count_nonzero(is_code)) + int(np.count_nonzero(is_short)) + len(pieces.torn)


def _payloads(data: bytes, pieces: _Pieces) -> dict[int, bytes]:
    """The bytes that FFmpeg gives to parsers, by PID."""
    found: dict[int, list[bytes]] = {}
    for pid, begin, end in zip(pieces.pids.tolist(), pieces.begins.tolist(), pieces.ends.tolist(), strict=True):
        found.setdefault(pid, []).append(data[begin:end])
    return {pid: b"".join(several) for pid, several in found.items()}


def _pieces(data: bytes) -> _Pieces:
    octets = np.frombuffer(data, np.uint8)
    rows = octets.reshape(-1, TS_PACKET_BYTES)
    marks, control = rows[:, 1].copy(), rows[:, 3].copy()
    pids = (marks & 0x1F).astype(np.intp) << 8 | rows[:, 2]
    own = np.flatnonzero((control & PAYLOAD > 0) & (pids != NULL_PID))
    own = own[np.argsort(pids[own], kind="stable")]
    pids, lasts = pids[own], (own + 1) * TS_PACKET_BYTES
    begins = own * TS_PACKET_BYTES + 4 + (control[own] & ADAPTATION > 0) * (1 + rows[own, 4].astype(np.intp))
    ends = lasts.copy()
    starts = np.flatnonzero(marks[own] & UNIT_START)
    begins[starts], ends[starts], torn = _behind_heads(octets, begins[starts], lasts[starts])
    return _Pieces(pids, np.minimum(begins, lasts), np.minimum(ends, lasts), pids[starts[torn]])


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
