"""Tables of an MPEG-TS (ITU-T H.222.0, 2.4.4), made one by one."""

import struct

TS_PACKET_BYTES = 188
IN_FORCE = 1


def checksum(data: bytes) -> bytes:
    """CRC of a table (ITU-T H.222.0, annex A)."""
    found = 0xFFFFFFFF
    for octet in data:
        found ^= octet << 24
        for _ in range(8):
            found = (found << 1 ^ (0x04C11DB7 if found >> 31 else 0)) & 0xFFFFFFFF
    return found.to_bytes(4)


def section(table: int, version: int, content: bytes) -> bytes:
    """A table of its own (2.4.4.11)."""
    head = struct.pack(">BHHBBB", table, 0xB000 | len(content) + 9, 1, 0xC1 | version % 32 << 1, 0, 0)
    return head + content + checksum(head + content)


def packet(pid: int, sections: bytes, stuffing: bytes = b"\xff") -> bytes:
    """A TS packet in which tables begin."""
    return (struct.pack(">BHBB", 0x47, 0x4000 | pid, 0x10, 0) + sections).ljust(TS_PACKET_BYTES, stuffing)
