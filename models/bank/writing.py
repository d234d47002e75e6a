"""Writing a snapshot: whole, or not at all."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from config.facts import SELFTEST
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.reading import FORMAT, MANIFEST, digest_of_file
from models.bank.table import LARGEST_TABLE, TableWriter
from models.errors import SnapshotError

PREFIX: Final = "snapshot-"
"""Of the names of whole snapshots."""
WRITING_PREFIX: Final = ".writing-"
"""Of those being written, which nobody reads."""
LOCK: Final = ".lock"
"""In a folder being written: locked for as long as its writer lives."""

_VERSION_DIGITS: Final = 12
"""Hex digits of SHA-256 that name a list's version: 48 bits tell apart what one deployment ever loads."""

_HEARTBEAT_ENTRIES: Final = 1 << 16


def write_snapshot(
    folder: Path,
    lists: Iterable[tuple[ListSpec, Iterable[Entry]]],
    *,
    watermark: str,
    heartbeat: Callable[[], None] = lambda: None,
) -> Path:
    """Writes a snapshot into `folder`, made if need be, and gives its path. It is in force once it is made current.

    Entries are taken as a stream: memory grows by 4 bytes for each, and by 24 while the index is built. `heartbeat` is
    called about every second, to renew a lease or to show progress; what it raises ends the writing and leaves nothing
    behind.

    Raises:
        SnapshotError: it cannot be written (a full disk, say), a list comes twice, or is the built-in `selftest`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _being_written(folder) as writing:
            _write(writing, lists, watermark, heartbeat)
            path = folder / f"{PREFIX}{writing.name.removeprefix(WRITING_PREFIX)}"
            (writing / LOCK).unlink()
            sync_folder(writing)
            writing.rename(path)
            sync_folder(folder)
            return path
    except OSError as error:
        raise SnapshotError(f"{folder}: a snapshot cannot be written: {error.strerror or error}") from error


def _write(
    writing: Path, lists: Iterable[tuple[ListSpec, Iterable[Entry]]], watermark: str, heartbeat: Callable[[], None]
) -> None:
    writers: dict[HashKind, TableWriter] = {}
    records: dict[str, dict[str, Any]] = {}
    for spec, entries in lists:
        if spec.name == SELFTEST or spec.name in records:
            raise SnapshotError(f"list {spec.name}: is built in, or was given twice")
        starts = {kind: writer.count for kind, writer in writers.items()}
        digest = hashlib.sha256(spec.model_dump_json().encode())
        for count, entry in enumerate(entries):
            writer = writers.get(entry.kind)
            if writer is None:
                writer = writers[entry.kind] = TableWriter(writing, entry.kind)
            writer.add(entry, digest)
            if count % _HEARTBEAT_ENTRIES == 0:
                heartbeat()
        rows = {}
        for kind, writer in sorted(writers.items()):
            writer.flush(digest)
            if writer.count > LARGEST_TABLE:
                raise SnapshotError(f"{writing}: expected at most {LARGEST_TABLE} hashes of a kind")
            if writer.count > starts.get(kind, 0):
                rows[kind] = (starts.get(kind, 0), writer.count)
        version = digest.hexdigest()[:_VERSION_DIGITS]
        records[spec.name] = {"spec": spec.model_dump(mode="json"), "version": version, "rows": rows}
    for writer in writers.values():
        writer.finish(heartbeat)
    files = {}
    for path in sorted(writing.iterdir()):
        if path.name != LOCK:
            files[path.name] = {"bytes": path.stat().st_size, "sha256": digest_of_file(path)}
            heartbeat()
    manifest = {
        "format": FORMAT,
        "watermark": watermark,
        "kinds": sorted(writers),
        "lists": list(records.values()),
        "files": files,
    }
    write_synced(writing / MANIFEST, json.dumps(manifest, indent=1).encode())


@contextmanager
def _being_written(folder: Path) -> Iterator[Path]:
    """A new folder that others leave alone for as long as this process lives, and that is gone if writing fails."""
    writing = Path(tempfile.mkdtemp(prefix=WRITING_PREFIX, dir=folder))
    with (writing / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield writing
        finally:
            shutil.rmtree(writing, ignore_errors=True)  # nothing is there any more where it was renamed


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and waits until it is on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
