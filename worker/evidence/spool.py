"""The spool: sealed items on a local disk, until the store has them. Processes of a host share it.

    REF.hit.age, REF.context.age     sealed items, mode 0600
    anything else                    is left alone, and counted

A file appears complete or not at all, and is on disk when `put` returns.
"""

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from config.settings import Settings
from worker.errors import EvidenceError
from worker.evidence.item import MAX_SEALED_BYTES, EvidenceKind, SealedItem, is_ref

UNFINISHED: Final = ".unfinished"
"""Suffix of a file that is being written; a writer that dies leaves it behind."""

DAMAGED: Final = ".damaged"
"""Suffix of an item whose bytes are not those that were sealed."""

UNFINISHED_SECONDS: Final = 60
"""Age from which (>) such a file's writer is dead: it is removed. Writing takes milliseconds."""

USERS_OWN: Final = "~/.local/state/livewarden/spool"
"""The default folder: fit for a deployment on one machine, under one user."""

_NAME: Final = re.compile(r"(?P<ref>[0-9a-f]{32})\.(?P<kind>hit|context)\.age")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

SYNCS_AT_ONCE: Final = 8
"""Threads that sync the files of one segment, <=."""

_SCAN_AGAIN: Final = 50
"""A listing is used for so many times as long as it took, so that listing costs 2 % at most."""


@dataclass(frozen=True, kw_only=True)
class SpoolEntry:
    """A sealed item in the spool."""

    ref: str
    kind: EvidenceKind
    size_bytes: int
    written_at: float
    """Seconds since 1970, by this machine's clock."""

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.ref}.{self.kind}.age"


class Spool:
    """A folder of sealed items, of at most `max_bytes`; what other processes write in the same second may come on
    top."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._used_bytes = 0
        self._listed_until = float("-inf")

    @classmethod
    def of(cls, settings: Settings) -> "Spool":
        """The operator's folder, or the user's own."""
        folder = Path(USERS_OWN).expanduser() if settings.spool_dir is None else settings.spool_dir
        return cls(folder, settings.spool_bytes)

    def put(self, items: Sequence[SealedItem]) -> tuple[SpoolEntry, ...]:
        """Writes items, all of them or none, and returns once they are on disk.

        Returns:
            The entries that made room for them: context pictures, the oldest first. Hits never do.

        Raises:
            EvidenceError: the spool is full (`spool-full`) or cannot be written (`spool`).
        """
        if not items:
            return ()
        need = sum(len(item.sealed) for item in items)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            gone = self._make_room(need)
            try:
                self._write(items)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                # The disk is full before the spool is.
                gone += self._drop_context(need)
                self._write(items)
        except OSError as error:
            self._listed_until = float("-inf")
            reason = "spool-full" if error.errno in _FULL else "spool"
            raise EvidenceError(f"{self.folder}: {error.strerror or type(error).__name__}", reason=reason) from error
        self._used_bytes += need
        return gone

    def entries(self) -> list[SpoolEntry]:
        """All items, the oldest first; what cannot be read is left out.

        Raises:
            EvidenceError: the folder cannot be read.
        """
        try:
            return sorted(self._entries(), key=lambda entry: (entry.written_at, entry.ref))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise EvidenceError(f"{self.folder}: {error.strerror}", reason="spool") from error

    def read(self, ref: str) -> bytes:
        """The sealed bytes of an item.

        Raises:
            EvidenceError: it is not here (`missing`), or cannot be read (`spool`, `damaged`).
        """
        for kind in EvidenceKind if is_ref(ref) else ():
            path = self.folder / f"{ref}.{kind}.age"
            try:
                # A link or a pipe under this name is foreign.
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise EvidenceError(f"{path}: {error.strerror}", reason="spool") from error
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise EvidenceError(f"{path}: expected a regular file", reason="damaged")
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    sealed = file.read(MAX_SEALED_BYTES + 1)
            except OSError as error:
                raise EvidenceError(f"{path}: {error.strerror}", reason="spool") from error
            finally:
                os.close(descriptor)
            if len(sealed) > MAX_SEALED_BYTES:
                raise EvidenceError(f"{path}: larger than an item may be", reason="damaged")
            return sealed
        raise EvidenceError(f"item {ref}: not in the spool of this machine", reason="missing")

    def remove(self, ref: str) -> None:
        """Removes an item, also a damaged one that was set aside; it may be gone already.

        Raises:
            EvidenceError: the folder refuses it.
        """
        if not is_ref(ref):
            return
        for name in (f"{ref}.{kind}.age{end}" for kind in EvidenceKind for end in ("", DAMAGED)):
            path = self.folder / name
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                # A read-only disk refuses to remove what it does not have.
                if os.path.lexists(path):
                    raise EvidenceError(f"{path}: {error.strerror}", reason="spool") from error
        self._listed_until = float("-inf")

    def drop(self, refs: Iterable[str]) -> None:
        """Removes items that are whole; each may be gone already, and one that the folder refuses stays."""
        for path in (self.folder / f"{ref}.{kind}.age" for ref in refs if is_ref(ref) for kind in EvidenceKind):
            with suppress(OSError):
                size_bytes = path.lstat().st_size
                path.unlink()
                self._used_bytes -= size_bytes

    def set_aside(self, ref: str) -> None:
        """Renames a damaged item, so that it is kept for a person and not read again."""
        for kind in EvidenceKind:
            path = self.folder / f"{ref}.{kind}.age"
            with suppress(OSError):
                path.rename(f"{path}{DAMAGED}")

    def clean(self) -> None:
        """Removes what dead writers left."""
        with suppress(OSError):
            for path in self.folder.glob(f"*{UNFINISHED}"):
                with suppress(OSError):
                    if time.time() - path.lstat().st_mtime > UNFINISHED_SECONDS:
                        path.unlink()

    def _make_room(self, need: int) -> tuple[SpoolEntry, ...]:
        now = time.monotonic()
        if now < self._listed_until and self._used_bytes + need <= self.max_bytes:
            return ()
        self._used_bytes = sum(entry.size_bytes for entry in self._entries())
        taken = time.monotonic() - now
        self._listed_until = time.monotonic() + _SCAN_AGAIN * taken
        if (missing := self._used_bytes + need - self.max_bytes) <= 0:
            return ()
        return self._drop_context(missing)

    def _drop_context(self, need: int) -> tuple[SpoolEntry, ...]:
        """Removes the oldest context pictures, `need` bytes or more of them; none if that is not enough."""
        old = sorted(
            (entry for entry in self._entries() if entry.kind is EvidenceKind.CONTEXT),
            key=lambda entry: (entry.written_at, entry.ref),
        )
        if sum(entry.size_bytes for entry in old) < need:
            raise OSError(errno.ENOSPC, f"full: {self.max_bytes:,} bytes, and no context picture to make room")
        gone: list[SpoolEntry] = []
        for entry in old:
            if sum(one.size_bytes for one in gone) >= need:
                break
            (self.folder / entry.name).unlink(missing_ok=True)
            gone.append(entry)
            self._used_bytes -= entry.size_bytes
        return tuple(gone)

    def _write(self, items: Sequence[SealedItem]) -> None:
        """Writes all items beside their places and syncs them before the first is renamed: a writer that dies leaves
        none or, between two renames, some of a segment that is moderated again."""
        written: list[tuple[Path, Path]] = []
        try:
            with ExitStack() as files:
                descriptors = []
                for item in items:
                    path = self.folder / f"{item.ref}.{item.head.kind}.age"
                    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
                    written.append((unfinished, path))
                    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                    file = files.enter_context(os.fdopen(descriptor, "wb", buffering=0))
                    _write_all(file, item.sealed)
                    descriptors.append(descriptor)
                _sync_files(descriptors)
            for unfinished, path in written:
                unfinished.rename(path)
            _sync_folder(self.folder)
        except BaseException:
            for paths in written:
                for path in paths:
                    with suppress(OSError):
                        path.unlink()
            raise

    def _entries(self) -> Iterator[SpoolEntry]:
        with os.scandir(self.folder) as found:
            for file in found:
                if (name := _NAME.fullmatch(file.name)) is None:
                    continue
                try:
                    status = file.stat(follow_symlinks=False)
                except OSError:  # removed meanwhile
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield SpoolEntry(
                        ref=name["ref"],
                        kind=EvidenceKind(name["kind"]),
                        size_bytes=status.st_size,
                        written_at=status.st_mtime,
                    )


def _write_all(file: FileIO, data: bytes) -> None:
    """A nearly full disk takes a part, and refuses the rest only when it is offered."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _sync_files(descriptors: Sequence[int]) -> None:
    """Writes files to disk together: ext4 commits its journal once for all of them (six of 190 kB took 15 ms on a busy
    disk, and 38 ms one after another; 2026-11-27)."""
    if len(descriptors) > 1:
        with suppress(RuntimeError), ThreadPoolExecutor(min(len(descriptors), SYNCS_AT_ONCE)) as pool:
            list(pool.map(os.fdatasync, descriptors))
            return
    # One file, or this process may start no thread.
    for descriptor in descriptors:
        os.fdatasync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
