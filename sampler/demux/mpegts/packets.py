"""The packets of an MPEG-TS as FFmpeg finds them, for those who count what it will read. Runs in the decoder child."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from sampler.demux.mpegts.headers import TS_PACKET_BYTES, TS_SYNC
from sampler.demux.source import InputFile
from sampler.errors import UndecodableError

CHUNK_BYTES: Final = 16_384 * TS_PACKET_BYTES
"""As much is given at once. A start code at its edge is seen by nobody: one in 3 MB."""
MOST_LONGER: Final = 10
"""So many packets (<=) in a row behind which it looks for the next one may be as long as those of another size, before
FFmpeg takes all for such. Whoever does not may find other packets in the rest of each."""
SIZED_BYTES: Final = 8192
"""As much of the beginning shows it how long they are."""
OTHER_SIZES: Final = (192, 204)
"""Bytes of packets with time stamps, or with codes against errors."""
MOST_LOST: Final = 1_000
"""Times (<=) that packets of a segment may not be one behind the other, and the rest is left out, as is what is behind
a break. FFmpeg guesses their size anew, in 40 µs."""
ODD_MARK, ODD_BYTES = 0x80, 12
"""Octet in the place of a sync byte from which FFmpeg goes on so many bytes later, if there is one."""


def aligned(source: InputFile, share: float) -> Iterator[bytes]:
    """The TS packets of an input, as FFmpeg finds them: where none begins it looks for the next sync byte.

    Args:
        source: its bytes.
        share: so many times as often as in a segment may none begin where the one before ends; where it is more often
            the input is ended.

    Raises:
        UndecodableError: it may take them for longer ones.
    """
    position, rest, longer, is_sized, left = 0, b"", 0, False, max(share, 1.0) * MOST_LOST
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
        while place + TS_PACKET_BYTES <= len(data):
            if data[place] == TS_SYNC:
                packets.append(data[place : place + TS_PACKET_BYTES])
                place += TS_PACKET_BYTES
                continue
            behind, place = place, _resynced(data, place)
            if place - behind != ODD_BYTES:
                longer = longer + 1 if place - behind + TS_PACKET_BYTES in OTHER_SIZES else 0
            is_sized = is_sized or _has_size(source.at(0, SIZED_BYTES))
            if longer > MOST_LONGER or not is_sized:
                raise UndecodableError("the packets of the MPEG-TS are not one behind the other")
            left -= 1
            if left < 0:
                source.size_bytes = position - len(data) + behind
                break
        rest = data[place:]
        yield b"".join(packets)


def _has_size(head: bytes) -> bool:
    """True if FFmpeg takes the packets of an MPEG-TS that begins so for ones of the usual size."""
    syncs = np.flatnonzero(np.frombuffer(head, np.uint8) == TS_SYNC)
    usual, *others = (np.bincount(syncs % size).max(initial=0) for size in (TS_PACKET_BYTES, *OTHER_SIZES))
    return bool(usual > max(others))


def _resynced(data: bytes, place: int) -> int:
    """Place of the packet with which FFmpeg goes on where none begins."""
    if data[place] == ODD_MARK and data[place + ODD_BYTES] == TS_SYNC:
        return place + ODD_BYTES
    found = data.find(TS_SYNC, place)
    return found if found >= 0 else len(data)
