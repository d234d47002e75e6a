"""Floods of parameter sets in an MPEG-TS, found before FFmpeg parts its pictures. Runs in the decoder child.

FFmpeg reads them all before it gives the packet that they are in, be it the only one of the input.
"""

import re
from typing import Final

import numpy as np

from sampler.demux.codecs.parameter_sets import START_CODE
from sampler.demux.codecs.set_cost import PARSED_SETS, SetCost, SetUnits
from sampler.demux.mpegts.packets import aligned
from sampler.demux.mpegts.payloads import payloads, pieces_of
from sampler.demux.source import InputFile

FEW: Final = 12
"""So many (<=) need not be read one by one: of the largest pictures that FFmpeg accepts they take 0.1 s. Encoders
repeat two or three with keyframes."""
UNIT_BYTES: Final = 4096
"""As much of one is read, with its start code; encoders make none that is longer."""
ANY: Final = re.compile(
    START_CODE + b"(?:%b)" % b"|".join(sets.pattern.pattern[len(START_CODE) :] for sets in PARSED_SETS.values()),
    re.DOTALL,
)


def count_sets(data: bytes) -> int:
    """Parameter sets in bytes, whatever their codec is."""
    return len(ANY.findall(data))


def hold_sets(source: InputFile, share: float) -> None:
    """Reads a whole MPEG-TS for parameter sets.

    Args:
        source: its bytes.
        share: so many times as much CPU as those of a segment may they take.

    Raises:
        TooLargeError: they would cost too much.
        UndecodableError: it is no row of packets.
    """
    readers: dict[int, list[_SetReader]] = {}
    for data in aligned(source, share):
        pieces = pieces_of(data)
        for pid, payload in payloads(data, pieces).items():
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
