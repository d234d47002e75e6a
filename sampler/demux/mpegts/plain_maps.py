"""Types of an MPEG-TS's streams where no two readers can disagree on them. Runs in the decoder child."""

import zlib
from collections.abc import Collection
from typing import Final

from sampler.demux.mpegts.headers import PAYLOAD, UNIT_START, among, payload_of, pids_of, rows_of
from sampler.demux.mpegts.packets import aligned
from sampler.demux.mpegts.programmes import CHECKSUM_BYTES, MAP, entries
from sampler.demux.mpegts.table_floods import LIST_PID, has_one
from sampler.demux.source import InputFile

LIST: Final = 0
"""table_id of lists of programmes."""
LIST_HEAD_BYTES, PROGRAMME_BYTES = 8, 4
"""Bytes of one before its programmes, and of each (H.222.0, 2.4.4.3)."""
IN_FORCE: Final = 0x01
"""Bit of a table's sixth byte (current_next_indicator)."""
_REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
"""Each octet, its bits the other way round: zlib's checksums begin with the lowest bit, and those of tables (annex A)
with the highest."""


def plain_types(source: InputFile, share: float) -> dict[int, int]:
    """Types by PID; none unless each list and each map is in force, whole and alone in its packet, and no stream has
    two. FFmpeg passes over damaged ones and joins those that are in several packets, and players do otherwise.

    Args:
        source: its bytes.
        share: as `aligned` takes it.

    Raises:
        UndecodableError: it is no row of packets.
    """
    found: dict[int, int] = {}
    lists = _tables(source, share, {LIST_PID}, LIST)
    maps = {pid for table in lists or () for pid in _listed(table)}
    tables = _tables(source, share, maps, MAP) if maps else None
    for table in tables or ():
        for kind, pid in entries(table):
            if found.setdefault(pid, kind) != kind:
                return {}
    return found


def _tables(source: InputFile, share: float, pids: Collection[int], kind: int) -> set[bytes] | None:
    """Different tables of PIDs; None if one of them is not plain, or of another kind."""
    found: set[bytes] = set()
    for data in aligned(source, share):
        rows = rows_of(data)
        for row in rows[among(pids_of(rows), pids) & (rows[:, 3] & PAYLOAD > 0)]:
            payload = payload_of(row.tobytes())
            if not row[1] & UNIT_START or not has_one(payload):
                return None
            found.add(payload[1 : 4 + _content_bytes(payload)])
    return found if all(_is_plain(table, kind) for table in found) else None


def _content_bytes(payload: bytes) -> int:
    return (payload[2] & 0xF) << 8 | payload[3]


def _is_plain(table: bytes, kind: int) -> bool:
    is_whole = zlib.crc32(table.translate(_REVERSED)) == 0xFFFFFFFF
    return is_whole and table[0] == kind and len(table) > LIST_HEAD_BYTES and bool(table[5] & IN_FORCE)


def _listed(table: bytes) -> list[int]:
    """PIDs of the maps of a list; programme 0 is none, and has another table."""
    places = range(LIST_HEAD_BYTES, len(table) - CHECKSUM_BYTES - PROGRAMME_BYTES + 1, PROGRAMME_BYTES)
    return [(table[at + 2] & 0x1F) << 8 | table[at + 3] for at in places if table[at] or table[at + 1]]
