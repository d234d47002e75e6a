"""Floods of parameter sets in an MPEG-TS, found before FFmpeg parts its pictures. Runs in the decoder child.

FFmpeg reads them all before it gives the packet that they are in, be it the only one of the input.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sampler.demux.encryption import TS_PACKET_BYTES, TS_SYNC
from sampler.demux.parameter_sets import START_CODE
from sampler.demux.pids import ADAPTATION, NULL_PID, PAYLOAD, PES_HEAD_BYTES, UNIT_START, Numbers, Rows, octets
from sampler.demux.set_cost import PARSED_SETS, SetCost, SetUnits, set_share
from sampler.demux.source import InputFile
from sampler.limits import Limits

FEW: Final = 150
"""So many (<=) are not read one by one: at 8K they take 0.05 s. Encoders repeat theirs with keyframes, or with each
picture of a segment of a second."""
CHUNK_BYTES: Final = 8192 * TS_PACKET_BYTES
"""As much is read at once."""
UNIT_BYTES: Final = 4096
"""As much of one is read, with its start code; encoders make none that is longer."""
PES_FIXED_BYTES, PES_OPTIONAL = 9, 8
"""Bytes of a PES packet's head before its optional fields, and the one that has their size (H.222.0, 2.4.3.7)."""
ANY: Final = re.compile(b"|".join(sets.pattern.pattern for sets in PARSED_SETS.values()), re.DOTALL)


def hold_sets(source: InputFile, limits: Limits) -> None:
    """Reads a whole MPEG-TS for parameter sets.

    Args:
        source: its bytes.
        limits: an input that may have more pictures than a segment may have more of them.

    Raises:
        TooLargeError: they would cost too much.
    """
    share = set_share(limits)
    if _are_few(source, share * FEW):
        return
    readers: dict[int, list[_SetReader]] = {}
    for data in _aligned(source):
        for pid, payload in _payloads(data).items():
            if pid not in readers:
                readers[pid] = [_SetReader(sets, SetCost(codec, share)) for codec, sets in PARSED_SETS.items()]
            for reader in readers[pid]:
                reader.read(payload)
    for several in readers.values():
        for reader in several:
            reader.close()


class _SetReader:
    """Reads the parameter sets of one stream, as those of one codec, piece by piece."""

    def __init__(self, sets: SetUnits, cost: SetCost) -> None:
        self._sets, self._cost = sets.pattern, cost
        self._held = b""

    def read(self, payload: bytes) -> None:
        """Reads those that are whole."""
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
    """Places of payloads in TS packets, PID after PID, each in order."""

    packets: Numbers
    pids: Numbers
    begins: Numbers
    """Behind the heads of PES packets."""
    ends: Numbers


def _are_few(source: InputFile, few: float) -> bool:
    """True if an MPEG-TS has no more parameter sets than that, whatever its streams are."""
    count = 0
    for data in _aligned(source):
        if START_CODE in data:
            count += len(ANY.findall(data))
        count += _count_at_edges(data)
        if count > few:
            return False
    return True


def _count_at_edges(data: bytes) -> int:
    """Start codes (at most) that are in several TS packets, or in that of another chunk."""
    rows, pieces = _rows(data), _pieces(data)
    rows = rows[pieces.packets]
    around = [octets(rows[:-1], pieces.ends[:-1] - place) for place in (3, 2, 1)]
    around += [octets(rows[1:], pieces.begins[1:] + place) for place in (0, 1)]
    is_code: NDArray[np.bool_] = np.zeros(max(len(rows) - 1, 0), np.bool_)
    for place in range(3):
        is_code |= (around[place] == 0) & (around[place + 1] == 0) & (around[place + 2] == 1)
    is_short = pieces.ends - pieces.begins < len(START_CODE)
    return 1 + int(np.count_nonzero(is_code)) + int(np.count_nonzero(is_short))


def _payloads(data: bytes) -> dict[int, bytes]:
    """The bytes that FFmpeg gives to parsers, by PID."""
    found: dict[int, list[bytes]] = {}
    pieces = _pieces(data)
    starts = pieces.packets * TS_PACKET_BYTES
    places = zip(pieces.pids.tolist(), (starts + pieces.begins).tolist(), (starts + pieces.ends).tolist(), strict=True)
    for pid, begin, end in places:
        found.setdefault(pid, []).append(data[begin:end])
    return {pid: b"".join(several) for pid, several in found.items()}


def _pieces(data: bytes) -> _Pieces:
    rows = _rows(data)
    pids = (rows[:, 1] & 0x1F).astype(np.intp) << 8 | rows[:, 2]
    own = np.flatnonzero((rows[:, 3] & PAYLOAD > 0) & (pids != NULL_PID))
    own = own[np.argsort(pids[own], kind="stable")]
    rows = rows[own]
    begins = 4 + (rows[:, 3] & ADAPTATION > 0) * (1 + rows[:, 4].astype(np.intp))
    starts = rows[:, 1] & UNIT_START > 0
    sizes = octets(rows, begins + 4).astype(np.intp) << 8 | octets(rows, begins + 5)
    ends = np.where(starts & (sizes > 0), begins + PES_HEAD_BYTES + sizes, TS_PACKET_BYTES)
    begins = np.where(starts, begins + PES_FIXED_BYTES + octets(rows, begins + PES_OPTIONAL), begins)
    return _Pieces(own, pids[own], np.minimum(begins, TS_PACKET_BYTES), np.minimum(ends, TS_PACKET_BYTES))


def _rows(data: bytes) -> Rows:
    return np.frombuffer(data, np.uint8).reshape(-1, TS_PACKET_BYTES)


def _aligned(source: InputFile) -> Iterator[bytes]:
    """The TS packets of an input, as FFmpeg finds them: where none begins it looks for the next sync byte."""
    position, rest = 0, b""
    while data := source.at(position, CHUNK_BYTES):
        position += len(data)
        data = rest + data
        whole = len(data) // TS_PACKET_BYTES * TS_PACKET_BYTES
        syncs = data[:whole:TS_PACKET_BYTES]
        if syncs.count(TS_SYNC) == len(syncs):
            rest = data[whole:]
            yield data[:whole]
            continue
        packets, place = [], 0
        while (place := data.find(TS_SYNC, place)) >= 0 and place + TS_PACKET_BYTES <= len(data):
            packets.append(data[place : place + TS_PACKET_BYTES])
            place += TS_PACKET_BYTES
        rest = data[place:] if place >= 0 else b""
        yield b"".join(packets)
