"""Writing a snapshot: whole, or not at all."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from config.facts import SELFTEST
from models.bank.content import Content
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.reading import FORMAT, MANIFEST, digest_of_file
from models.bank.table import BLOCK, TableRun
from models.bank.tablewriter import LARGEST_TABLE, ContentDigest, TableWriter
from models.errors import SnapshotError

PREFIX: Final = "snapshot-"
"""Prefix of the names of complete snapshots."""
WRITING_PREFIX: Final = ".writing-"
"""Prefix of those being written, which are never read."""
LOCK: Final = ".lock"
"""In a folder being written: locked for as long as its writer lives."""

_VERSION_DIGITS: Final = 12
"""Hex digits of SHA-256 that name a list's version: 48 bits distinguish all that one deployment ever loads."""


@contextmanager
def snapshot_written(
    folder: Path,
    lists: Iterable[tuple[ListSpec, Iterable[Entry]]],
    *,
    watermark: str,
    heartbeat: Callable[[], None] = lambda: None,
) -> Iterator[Path]:
    """Writes a snapshot into `folder`, made if need be, and gives its path. It is in force once it is made current.
    Until the block ends it does not count as unused.

    Entries are taken as a stream, or, of a `Content`, copied as they lie in another snapshot: memory grows by 4 bytes
    for each, and by 24 while the index is built. `heartbeat` is called every few seconds or oftener, to renew a lease
    or to show progress. What it or `lists` raise goes through, and nothing is left behind.

    Raises:
        SnapshotError: it cannot be written (a full disk, say), a list comes twice, or is the built-in `selftest`.
    """
    with as_snapshot_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with being_written(folder) as writing:
        _write(writing, lists, watermark, heartbeat)
        path = folder / f"{PREFIX}{writing.name.removeprefix(WRITING_PREFIX)}"
        put_in_place(writing, path)
        yield path


def put_in_place(writing: Path, path: Path) -> None:
    """Gives a folder that is written its name, once all of it is on disk.

    Raises:
        SnapshotError: it cannot be.
    """
    with as_snapshot_error(path.parent):
        sync_folder(writing)
        writing.rename(path)
        sync_folder(path.parent)


def _write(
    writing: Path, lists: Iterable[tuple[ListSpec, Iterable[Entry]]], watermark: str, heartbeat: Callable[[], None]
) -> None:
    """Errors of `lists` and `heartbeat` pass unchanged; only errors of the disk are raised as a snapshot's."""
    writers: dict[HashKind, TableWriter] = {}
    records: dict[str, dict[str, Any]] = {}
    with ExitStack() as files:
        for spec, entries in lists:
            if spec.name == SELFTEST or spec.name in records:
                raise SnapshotError(f"list {spec.name}: is built in, or was given twice")
            starts = {kind: writer.count for kind, writer in writers.items()}
            digests: dict[HashKind, ContentDigest] = defaultdict(ContentDigest)
            for block in _blocks(entries):
                with as_snapshot_error(writing.parent):
                    for kind, part in _by_kind(block):
                        if kind not in writers:
                            writers[kind] = TableWriter(writing, kind)
                            files.callback(writers[kind].abandon)
                        if isinstance(part, TableRun):
                            writers[kind].copy(part, digests[kind])
                        else:
                            writers[kind].append(part, digests[kind])
                heartbeat()
            rows = {
                kind: (starts.get(kind, 0), writers[kind].count)
                for kind in HashKind
                if kind in writers and writers[kind].count > starts.get(kind, 0)
            }
            records[spec.name] = {
                "spec": spec.model_dump(mode="json"),
                "version": _version(spec, digests),
                "rows": rows,
            }
        if any(writer.count > LARGEST_TABLE for writer in writers.values()):
            raise SnapshotError(f"{writing.parent}: expected at most {LARGEST_TABLE} hashes of a kind")
        for writer in writers.values():
            _run(writer.finish(), writing.parent, heartbeat)
    manifest = {"format": FORMAT, "watermark": watermark, "kinds": sorted(writers), "lists": list(records.values())}
    _run(_seal(writing, manifest), writing.parent, heartbeat)


def _version(spec: ListSpec, digests: Mapping[HashKind, ContentDigest]) -> str:
    whole = hashlib.sha256(spec.model_dump_json(exclude={"created_ms"}).encode())
    for kind in HashKind:
        if kind in digests:
            whole.update(kind.encode() + digests[kind].digest())
    return whole.hexdigest()[:_VERSION_DIGITS]


def _blocks(entries: Iterable[Entry]) -> Iterator[list[Entry] | TableRun]:
    if isinstance(entries, Content):
        yield from entries.runs()
        entries = entries.added
    iterator = iter(entries)
    while block := list(islice(iterator, BLOCK)):
        yield block


def _by_kind(block: list[Entry] | TableRun) -> Iterator[tuple[HashKind, list[Entry] | TableRun]]:
    if isinstance(block, TableRun):
        yield block.table.kind, block
        return
    kinds = {entry.kind for entry in block}
    for kind in HashKind:
        if kind in kinds:
            yield kind, block if len(kinds) == 1 else [entry for entry in block if entry.kind is kind]


def _seal(writing: Path, manifest: dict[str, Any]) -> Iterator[None]:
    """Writes the manifest, with the files that there are, in steps."""
    files = {}
    for path in sorted(writing.iterdir()):
        if path.name != LOCK:
            files[path.name] = {"bytes": path.stat().st_size, "sha256": digest_of_file(path)}
            yield
    write_synced(writing / MANIFEST, json.dumps(manifest | {"files": files}, indent=1).encode())


def _run(steps: Iterator[None], folder: Path, heartbeat: Callable[[], None]) -> None:
    """Takes the steps, with a heartbeat after each."""
    try:
        while True:
            with as_snapshot_error(folder):
                next(steps)
            heartbeat()
    except StopIteration:
        return


@contextmanager
def as_snapshot_error(folder: Path) -> Iterator[None]:
    """Raises errors of the disk as a snapshot's."""
    try:
        yield
    except OSError as error:
        raise SnapshotError(f"{folder}: a snapshot cannot be written: {error.strerror or error}") from error


@contextmanager
def being_written(folder: Path) -> Iterator[Path]:
    """A new folder that others leave alone for as long as this process lives, and that is gone if writing fails."""
    with as_snapshot_error(folder), locked(folder):
        writing = Path(tempfile.mkdtemp(prefix=WRITING_PREFIX, dir=folder))
        lock = (writing / LOCK).open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
    with lock:
        try:
            yield writing
        finally:
            shutil.rmtree(writing, ignore_errors=True)  # nothing is there any more where it was renamed


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Waits until no other process makes or removes anything in the folder; a dead one holds nothing up.

    The folder itself is locked, so it must be on a disk of this host, as memory maps want it anyway.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
