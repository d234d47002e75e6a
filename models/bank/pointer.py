"""The folder of snapshots that the processes of a host share: which one is in force, and which may go.

The pointer is a file with a snapshot's name, replaced by renaming: a crash leaves the old one or the new one.
"""

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from models.bank.reading import MANIFEST
from models.bank.writing import LOCK, PREFIX, WRITING_PREFIX, locked, sync_folder, write_synced
from models.errors import SnapshotError

POINTER: Final = "CURRENT"


def current_snapshot(folder: Path) -> Path | None:
    """The snapshot in force; None: there was never one.

    Raises:
        SnapshotError: the folder cannot be read, or names a snapshot that is not there.
    """
    try:
        name = (folder / POINTER).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{folder / POINTER}: cannot be read: {error}") from error
    path = folder / name
    if not name.startswith(PREFIX) or Path(name).name != name or not (path / MANIFEST).is_file():
        raise SnapshotError(f"{folder / POINTER}: names a snapshot that is not there")
    return path


def make_current(folder: Path, snapshot: Path) -> None:
    """Puts a snapshot of this folder into force, once it is on disk that it is.

    Raises:
        SnapshotError: it is not of this folder, or the pointer cannot be written; then the old one stays in force.
    """
    if snapshot.parent.resolve() != folder.resolve() or not (snapshot / MANIFEST).is_file():
        raise SnapshotError(f"{snapshot}: expected a snapshot in {folder}")
    new = folder / f".{POINTER}"
    try:
        with locked(folder):
            write_synced(new, snapshot.name.encode() + b"\n")
            new.rename(folder / POINTER)
            sync_folder(folder)
    except OSError as error:
        raise SnapshotError(f"{folder / POINTER}: cannot be written: {error.strerror or error}") from error


def prune(folder: Path, *, keep: int = 2) -> tuple[Path, ...]:
    """Removes all but the snapshot in force and the newest others, `keep` in all, and what dead writers left.

    Processes that have a removed one open keep it until they close it. Gives what it removed.

    Raises:
        SnapshotError: the folder cannot be read.
    """
    try:
        with locked(folder):
            gone = tuple(_superfluous(folder, keep))
            for path in gone:
                shutil.rmtree(path, ignore_errors=True)
            return gone
    except OSError as error:
        raise SnapshotError(f"{folder}: cannot be read: {error}") from error


def _superfluous(folder: Path, keep: int) -> Iterator[Path]:
    current = current_snapshot(folder)
    whole = sorted(folder.glob(f"{PREFIX}*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    others = [path for path in whole if path != current]
    yield from others[max(0, keep - (current is not None)) :]
    yield from (path for path in folder.glob(f"{WRITING_PREFIX}*") if _is_abandoned(path))


def _is_abandoned(writing: Path) -> bool:
    """Whether nobody holds the lock of a snapshot being written: its writer is dead, or died before it made one."""
    try:
        with (writing / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True
