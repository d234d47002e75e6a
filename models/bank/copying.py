"""A snapshot that comes from elsewhere: copied byte for byte, checked by its digest, and there whole or not at all."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from models.bank.reading import MANIFEST, digest_of_file, open_snapshot, parse_manifest
from models.bank.writing import PREFIX, WRITING_PREFIX, as_snapshot_error, being_written, put_in_place, write_synced
from models.errors import SnapshotError

LARGEST_MANIFEST_BYTES: Final = 64 * 1024 * 1024
"""A list takes about 1 KB of it."""

SNAPSHOT_NAME: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_]{{1,100}}")
_FILE_NAME: Final = re.compile(r"[a-z0-9]+\.[a-z]+\.npy")


def manifest_digest(snapshot: Path) -> str:
    """Identity of a complete snapshot: SHA-256, as hex digits, of the manifest, which has those of all files.

    Raises:
        SnapshotError: it cannot be read.
    """
    with as_snapshot_error(snapshot):
        return digest_of_file(snapshot / MANIFEST)


def file_names(snapshot: Path) -> tuple[str, ...]:
    """Names of the files of a snapshot that is on this disk, the manifest last.

    Raises:
        SnapshotError: it cannot be read.
    """
    with as_snapshot_error(snapshot):
        manifest = parse_manifest((snapshot / MANIFEST).read_bytes(), snapshot / MANIFEST)
    return (*sorted(manifest["files"]), MANIFEST)


def copy_snapshot(
    folder: Path,
    name: str,
    *,
    digest: str,
    read: Callable[[str], Iterable[bytes]],
    heartbeat: Callable[[], None] = lambda: None,
) -> Path:
    """Copies a snapshot into `folder`, made if need be, and gives its path. One of that name that is there goes.

    Memory: one chunk. `heartbeat` is called after each. What it or `read` raise goes through; nothing is left behind.

    Args:
        digest: that of its manifest (`manifest_digest`), from a trusted source.
        read: yields a file of the snapshot by name, in chunks; raises no OSError, which would pass for a local one

    Raises:
        SnapshotError: it does not match the digest, or cannot be written (a full disk, say).
    """
    if not SNAPSHOT_NAME.fullmatch(name):
        raise SnapshotError(f"{folder}: {name[:120]!r}: expected the name of a snapshot")
    with as_snapshot_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    data = b""
    for chunk in read(MANIFEST):
        data += chunk
        if len(data) > LARGEST_MANIFEST_BYTES:
            break
    if hashlib.sha256(data).hexdigest() != digest:
        raise SnapshotError(f"snapshot {name}: its manifest is not the one that was published")
    manifest = parse_manifest(data, folder / name / MANIFEST)
    with being_written(folder) as writing:
        for file_name, record in manifest["files"].items():
            if not _FILE_NAME.fullmatch(file_name):
                raise SnapshotError(f"snapshot {name}: {file_name[:120]!r}: expected the name of one of its files")
            found = _copy(read(file_name), writing / file_name, int(record["bytes"]), heartbeat)
            if found != record["sha256"]:
                raise SnapshotError(f"snapshot {name}: {file_name} is not what was published")
        with as_snapshot_error(folder):
            write_synced(writing / MANIFEST, data)
            open_snapshot(writing)
            if (folder / name).exists():
                gone = folder / f"{WRITING_PREFIX}replaced-{name}"
                shutil.rmtree(gone, ignore_errors=True)
                (folder / name).rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
        put_in_place(writing, folder / name)
    return folder / name


def _copy(chunks: Iterable[bytes], path: Path, size_bytes: int, heartbeat: Callable[[], None]) -> str:
    """Writes a file, and gives its SHA-256. Of one that is longer than it should be the rest is left."""
    whole, left = hashlib.sha256(), size_bytes
    with as_snapshot_error(path.parent.parent), path.open("xb") as target:
        for chunk in chunks:
            whole.update(chunk)
            target.write(chunk)
            left -= len(chunk)
            if left < 0:
                break
            heartbeat()
        target.flush()
        os.fsync(target.fileno())
    return whole.hexdigest()
