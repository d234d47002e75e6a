"""The folder of snapshots that the processes of a host share: which one is in force, and which may go.

The pointer is a file with a snapshot's name, replaced by renaming: a crash leaves the old one or the new one. It is for
that has no other source; where something else names the snapshot in force, `tidy` has the folder follow it.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterable, Iterator
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
    try:
        with locked(folder):
            _point_at(folder, snapshot.name)
    except OSError as error:
        raise SnapshotError(f"{folder / POINTER}: cannot be written: {error.strerror or error}") from error


def _point_at(folder: Path, name: str) -> None:
    new = folder / f".{POINTER}"
    write_synced(new, name.encode() + b"\n")
    new.rename(folder / POINTER)
    sync_folder(folder)


def tidy(folder: Path, *, in_force: Callable[[], str], keep: int = 2) -> tuple[Path, ...]:
    """Points at the snapshot in force, if it is here, and removes all but that and the newest others, `keep` in
    all, and what dead writers left. Gives what it removed.

    Snapshots that their writers still hold stay. Processes that have a removed one open keep it until they close it.
    Whichever process calls it, and however long it is stopped on the way, it removes neither what is in force nor what
    its writer is about to put in force, and never points back.

    Args:
        in_force: returns the name of the snapshot in force; empty: unknown, and no complete one is removed.

    Raises:
        SnapshotError: the folder cannot be read or written.
        Whatever `in_force` raises; then nothing was done.
    """
    try:
        with locked(folder):
            # In this order: a snapshot that comes into force after the call is none of those that were not held before.
            whole = [path for path in folder.glob(f"{PREFIX}*") if _is_abandoned(path)]
            name = in_force()
            current = folder / name
            if not name:
                whole = []
            elif not (current / MANIFEST).is_file():
                current = _pointed_at(folder) or current
            elif _pointed_at(folder) != current:
                _point_at(folder, name)
            return tuple(_removed((*_superfluous(whole, current, keep), *folder.glob(f"{WRITING_PREFIX}*"))))
    except OSError as error:
        raise SnapshotError(f"{folder}: cannot be tidied up: {error.strerror or error}") from error


def _pointed_at(folder: Path) -> Path | None:
    try:
        return current_snapshot(folder)
    except SnapshotError:
        return None


def _removed(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
            yield path


def _superfluous(whole: list[Path], current: Path, keep: int) -> list[Path]:
    newest_first = sorted({*whole} - {current}, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return newest_first[max(0, keep - 1) :]


def _is_abandoned(writing: Path) -> bool:
    """True if no process holds a snapshot's lock: its writer is dead, never made one, or has put it in force."""
    try:
        with (writing / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True
