"""A watch on all files that are written anywhere, deleted ones too, through the kernel's fanotify (needs root)."""

import ctypes
import os
import select
import struct
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_CLASS_NOTIF, _CLOEXEC = 0, 1
_MARK_ADD, _MARK_FILESYSTEM = 1, 0x100
_CLOSE_WRITE = 8
_HEAD = struct.Struct("=IBBHQii")
"""struct fanotify_event_metadata: event_len, vers, reserved, metadata_len, mask, fd, pid."""
_MAX_BYTES = 64 * 2**20
"""Read of one file; those of a test are smaller."""


@dataclass(kw_only=True)
class FileWrites:
    """The files that were closed after writing while the watch lasted."""

    session: bytes
    """Entry of the environment of the processes that count: others' files are left out."""
    folder: Path
    """Below `shared`, only what lies here counts of a process that has ended, and cannot be asked for its
    environment."""
    shared: Path
    """Where all tests of this machine write."""
    contents: list[tuple[str, bytes]] = field(default_factory=list)
    """Path, with `(deleted)` where it was gone by then, and content."""


@contextmanager
def watched_writes(session: bytes, folder: Path, mounts: Iterable[Path]) -> Iterator[FileWrites]:
    """Watches the file systems of `mounts`; a memory map counts when its file is closed.

    Args:
        folder: of the processes that have `session` in their environment, and of no others.

    Raises:
        OSError: this process may not, or the kernel cannot.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    group = libc.fanotify_init(_CLASS_NOTIF | _CLOEXEC, os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE)
    if group < 0:
        raise OSError(ctypes.get_errno(), "fanotify_init")
    stop, stopped = os.pipe()
    found = FileWrites(session=session, folder=folder, shared=Path(tempfile.gettempdir()))
    try:
        for mount in mounts:
            flags, mask = ctypes.c_uint(_MARK_ADD | _MARK_FILESYSTEM), ctypes.c_uint64(_CLOSE_WRITE)
            if libc.fanotify_mark(group, flags, mask, -100, os.fsencode(mount)) < 0:
                raise OSError(ctypes.get_errno(), "fanotify_mark", str(mount))
        reader = threading.Thread(target=_read, args=(group, stop, found))
        reader.start()
        try:
            yield found
        finally:
            os.write(stopped, b"x")
            reader.join()
    finally:
        for descriptor in (group, stop, stopped):
            os.close(descriptor)


def _read(group: int, stop: int, found: FileWrites) -> None:
    while True:
        ready, _, _ = select.select([group, stop], [], [])
        if group in ready:
            _take(os.read(group, 64 * 1024), found)
        elif stop in ready:
            return


def _take(events: bytes, found: FileWrites) -> None:
    while events:
        length, _, _, _, _, descriptor, pid = _HEAD.unpack_from(events)
        events = events[length:]
        if descriptor < 0:
            raise AssertionError("fanotify's queue ran over: files were written that nobody saw")
        try:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if counts(pid, path, found):
                found.contents.append((str(path), os.pread(descriptor, _MAX_BYTES, 0)))
        finally:
            os.close(descriptor)


def counts(pid: int, path: Path, found: FileWrites) -> bool:
    """Returns whether a process, or one that it comes from, has the entry in its environment: decoders get none."""
    while pid not in (0, 1, os.getpid()):
        try:
            if found.session in Path(f"/proc/{pid}/environ").read_bytes():
                return True
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            # It has ended, and cannot be asked: one of a test beside this one may write pictures in the clear.
            return path.is_relative_to(found.folder) or not path.is_relative_to(found.shared)
    return False
