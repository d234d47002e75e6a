"""Headers of the packets of an MPEG-TS, and of the PES packets in them (ITU-T H.222.0, 2.4.3). Runs in the decoder
child."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

TS_PACKET_BYTES = 188
TS_SYNC = 0x47
UNIT_START = 0x40
"""Bit of byte 1: a PES packet, or a table, begins with the payload."""
PAYLOAD, ADAPTATION = 0x10, 0x20
"""Bits of byte 3: what a packet has (adaptation_field_control)."""
FIRST_SCRAMBLED = 0x80
"""Byte 3 of a scrambled TS packet is no less than this: its first two bits are 2 or 3, even or odd key."""
NULL_PID = 0x1FFF
STUFFING = 0xFF

PES_START = b"\x00\x00\x01"
PES_HEAD_BYTES = 6
PES_ID, PES_SIZE, PES_OPTIONAL, PES_FIXED_BYTES = 3, 4, 8, 9
"""Bytes of a PES packet's head with its stream_id, its size and the size of the optional fields; and bytes before those
(2.4.3.7)."""
WITHOUT_HEADER = (0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF)
"""stream_id of PES packets without a header, padding among them (table 2-22): no video has them."""

Rows = NDArray[np.uint8]
"""uint8, (packets, TS_PACKET_BYTES)."""
Numbers = NDArray[np.intp]


def rows_of(data: bytes) -> Rows:
    """Whole packets, a row each; what is behind the last one is left out."""
    count = len(data) // TS_PACKET_BYTES
    return np.frombuffer(data, np.uint8, count * TS_PACKET_BYTES).reshape(count, TS_PACKET_BYTES)


def pids_of(rows: Rows) -> Numbers:
    """The PID of each packet."""
    pids: Numbers = (rows[:, 1] & 0x1F).astype(np.intp) << 8 | rows[:, 2]
    return pids


def payload_places(rows: Rows) -> Numbers:
    """Place in each packet behind its adaptation field; a field that says it is longer than the packet ends outside."""
    places: Numbers = 4 + (rows[:, 3] & ADAPTATION > 0) * (1 + rows[:, 4].astype(np.intp))
    return places


def payload_of(packet: bytes) -> bytes:
    """The bytes behind a packet's adaptation field."""
    return packet[4 + (1 + packet[4] if packet[3] & ADAPTATION else 0) :]


def among(numbers: NDArray[np.integer], some: Collection[int]) -> NDArray[np.bool_]:
    """True where a PID, or an octet, is one of `some`. NumPy's own way imports more as it runs, which is not allowed
    here."""
    table = np.zeros(NULL_PID + 1, np.bool_)
    table[list(some)] = True
    found: NDArray[np.bool_] = table[numbers]
    return found
