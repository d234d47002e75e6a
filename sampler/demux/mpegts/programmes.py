"""Programme maps of an MPEG-TS, as the least strict of players read them (ITU-T H.222.0, 2.4.4.8). Runs in the decoder
child.

A map may come at any time and give a stream another type. FFmpeg then goes on with another parser, and players with the
one that they have. Nor does hls.js care whether a map is in force, is damaged, or is a table of another kind.
"""

from collections.abc import Collection, Iterator

VIDEO_TYPES = frozenset([0x01, 0x02, 0x10, 0x1B, 0x1F, 0x20, 0x24, 0x33, 0xDB, 0xEA])
"""stream_type of videos (table 2-34), and those of encrypted and of VC-1."""
MAP = 2
"""table_id of programme maps."""
STUFFING = 0xFF
TABLE_BYTES = 3 + 0xFFF
"""Size of a table, at most (2.4.4.3)."""
HEAD_BYTES, ENTRY_BYTES, CHECKSUM_BYTES = 12, 5, 4
"""Bytes of a map before its descriptors, of a stream's entry before its own, and behind the last entry."""
MOST_TABLES = 20_000
"""Different packets of tables, up to which (<=) they are read: a minute of a broadcast has under a thousand."""


class ProgrammeMaps:
    """The types of one input's streams, by all of its tables, which are given to it packet by packet."""

    def __init__(self, *, known: Collection[int], videos: Collection[int]) -> None:
        """Takes the PIDs of the streams that FFmpeg knows, and of those that are sampled."""
        self._others = frozenset(known) - frozenset(videos)
        self._videos = frozenset(videos)
        self._types: dict[int, int] = {}
        self._open: dict[int, bytes] = {}
        self._seen: set[tuple[bytes, bool]] = set()
        self.differ = False
        """True once a sampled video has two types, or a stream that is not sampled is called a video."""

    def read(self, pid: int, payload: bytes, *, starts: bool) -> None:
        """Reads a packet's payload; `starts`: a table begins in it."""
        if not payload:
            return
        begin = 1 + payload[0] if starts else 0
        if starts:
            self._close(pid, payload[1:begin])
            self._open[pid] = payload[begin:]
        elif (before := self._open.get(pid)) is not None and len(before) < TABLE_BYTES:
            self._open[pid] = before + payload
        table = payload[begin:]
        if self._is_new(table, whole=False):
            self.differ |= any(pid in self._others and kind in VIDEO_TYPES for kind, pid in entries(table))

    def close(self) -> None:
        """Reads what is left at the input's end."""
        for pid in [*self._open]:
            self._close(pid, b"")

    def _close(self, pid: int, end: bytes) -> None:
        tables = self._open.pop(pid, b"") + end
        if not self._is_new(tables, whole=True):
            return
        while len(tables) >= HEAD_BYTES and tables[0] != STUFFING:
            if tables[0] == MAP:
                for kind, stream in entries(tables):
                    self.differ |= stream in self._videos and self._types.setdefault(stream, kind) != kind
            tables = tables[_size_bytes(tables) :]

    def _is_new(self, table: bytes, *, whole: bool) -> bool:
        """True of what was not read before, as a packet or as all that belongs together; too much of it is not read."""
        if (table, whole) in self._seen:
            return False
        self._seen.add((table, whole))
        self.differ |= len(self._seen) > MOST_TABLES
        return not self.differ


def _size_bytes(table: bytes) -> int:
    return 3 + ((table[1] & 0xF) << 8 | table[2])


def entries(table: bytes) -> Iterator[tuple[int, int]]:
    """(stream_type, PID) of each stream in a map, as far as it is there; any table is read as one."""
    if len(table) < HEAD_BYTES:
        return
    end = min(_size_bytes(table) - CHECKSUM_BYTES, len(table))
    place = HEAD_BYTES + ((table[10] & 0xF) << 8 | table[11])
    while place + ENTRY_BYTES <= end:
        yield table[place], (table[place + 1] & 0x1F) << 8 | table[place + 2]
        place += ENTRY_BYTES + ((table[place + 3] & 0xF) << 8 | table[place + 4])
