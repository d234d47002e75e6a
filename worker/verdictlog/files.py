"""Names of the verdict log's files, which describe their content: a reader opens only the files that it needs.

    verdicts/date=2026-11-25/hour=12/<written>-<first capture>-<last capture>-<rows>-<random>.parquet
    outcomes/date=2026-11-25/hour=12/<written>-<first published>-<last published>-<rows>-<random>.parquet

Files are in the folder of the hour in which they were written. Times are milliseconds of Redis's clock, UTC.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from worker.store.object_store import ObjectStore

ROOT = "verdicts"

HOUR_MS = 3_600_000

_NAME = re.compile(r"(\d{1,15})-(\d{1,15})-(\d{1,15})-(\d{1,9})-[0-9a-f]{16}(-merged)?\.parquet")
_DATE, _HOUR = re.compile(r"date=(\d{4}-\d{2}-\d{2})"), re.compile(r"hour=(\d{2})")


@dataclass(frozen=True, kw_only=True, order=True)
class LogFile:
    """One file, as its name describes it. Ordered by the time of writing."""

    written_ms: int
    first_capture_ms: int
    last_capture_ms: int
    rows: int
    folder: str
    name: str
    merged: bool

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}"

    @classmethod
    def parse(cls, folder: str, name: str) -> Self | None:
        """Parses a name; None: it is not of a file of the log."""
        parts = _NAME.fullmatch(name)
        if parts is None:
            return None
        written, first, last, rows = (int(part) for part in parts.groups()[:4])
        return cls(
            written_ms=written,
            first_capture_ms=first,
            last_capture_ms=last,
            rows=rows,
            folder=folder,
            name=name,
            merged=parts[5] is not None,
        )


def folder_of(written_ms: int, root: str = ROOT) -> str:
    """The partition of a file that is written then."""
    return datetime.fromtimestamp(written_ms / 1000, UTC).strftime(f"{root}/date=%Y-%m-%d/hour=%H")


def folders(store: ObjectStore, root: str = ROOT) -> list[tuple[int, str]]:
    """Lists the partitions: the begin of each, and its path; the oldest first."""
    found = []
    for date in store.names(root):
        if (day := _DATE.fullmatch(date)) is None:
            continue
        for hour in store.names(f"{root}/{date}"):
            if (clock := _HOUR.fullmatch(hour)) is not None:
                with suppress(ValueError):  # the 30th of February: a foreign folder
                    begin = datetime.fromisoformat(f"{day[1]}T{clock[1]}:00:00+00:00")
                    found.append((round(begin.timestamp() * 1000), f"{root}/{date}/{hour}"))
    return sorted(found)
