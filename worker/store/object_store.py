"""The object store: immutable files under one URL, through fsspec. A local folder by default.

Files are written once and never changed, and a reader sees a complete file or none, even if its writer dies.
"""

import errno
import io
import os
import posixpath
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from fsspec.core import url_to_fs

from config.errors import LivewardenError
from worker.errors import ObjectStoreError

UNFINISHED = ".unfinished"
"""Suffix of a file that is being written; a writer that dies leaves it behind."""

_ATOMIC_WRITES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "memory"})
"""Protocols of object stores, where a file appears once it is complete; renaming would copy it there."""

_LOCAL = frozenset({"file", "local"})

CHUNK_BYTES = 4 * 1024 * 1024
"""Size of reads and writes of large files."""


class ObjectStore:
    """Files below one URL, named by paths relative to it, with `/`. Made after a fork, used by one process."""

    def __init__(self, url: str) -> None:
        """Connects at the first use.

        Raises:
            ObjectStoreError: the protocol is unknown, or its package is not installed.
        """
        self.url = url
        try:
            # Other processes write too: a cached listing would hide their files.
            self._files, root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except (ImportError, ValueError, TypeError, OSError) as error:
            # The URL may carry a password: it is not quoted.
            raise ObjectStoreError(f"LIVEWARDEN_STORE_URL: expected a folder or a URL of fsspec's: {error}") from error
        self._root = root.rstrip("/")
        protocols = {self._files.protocol} if isinstance(self._files.protocol, str) else set(self._files.protocol)
        self._renames = not protocols & _ATOMIC_WRITES
        self._local = bool(protocols & _LOCAL)

    @property
    def root(self) -> str:
        """The folder or prefix that paths are relative to."""
        return str(self._root)

    @property
    def local(self) -> bool:
        """True if the files are on a file system of this machine."""
        return self._local

    def write(self, path: str, data: bytes | memoryview) -> None:
        """Writes a file atomically; an existing one is replaced.

        Raises:
            ObjectStoreError: the store is away, full or refuses it. No reader sees a part of the file.
        """
        with self._errors(f"writing {path}"):
            full_path = self._full_path(path)
            self._make_folder(posixpath.dirname(full_path))
            if not self._renames:
                self._files.pipe_file(full_path, bytes(data))
                return
            unfinished = f"{full_path}.{secrets.token_hex(4)}{UNFINISHED}"
            try:
                with self._files.open(unfinished, "wb") as file:
                    file.write(data)
                    if self._local:
                        # Otherwise a power failure may keep the name without the content.
                        file.flush()
                        os.fsync(file.fileno())
                self._files.mv(unfinished, full_path)
                if self._local:
                    _sync_folder(posixpath.dirname(full_path))
            except BaseException:
                self._forget(unfinished)
                raise

    def put(self, path: str, source: Path, heartbeat: Callable[[], None] = lambda: None) -> None:
        """Copies a local file, which must not change any more, atomically; an existing one is replaced.

        A local store on the same disk links it, which takes neither time nor space; otherwise it uses CHUNK_BYTES of
        memory, and calls `heartbeat` after each chunk. Exceptions of `heartbeat` propagate.

        Raises:
            ObjectStoreError: the store is away, full or refuses it. No reader sees a part of the file, but in a store
                without renaming: there it may be truncated.
        """
        full_path = self._full_path(path)
        unfinished = f"{full_path}.{secrets.token_hex(4)}{UNFINISHED}" if self._renames else full_path
        with self._errors(f"writing {path}"):
            self._make_folder(posixpath.dirname(full_path))
            try:
                if not (self._local and _linked(source, unfinished)):
                    with source.open("rb") as data, self._files.open(unfinished, "wb") as file:
                        while chunk := data.read(CHUNK_BYTES):
                            file.write(chunk)
                            heartbeat()
                if self._renames:
                    self._files.mv(unfinished, full_path)
            except BaseException:
                self._forget(unfinished)
                raise

    def chunks(self, path: str) -> Iterator[bytes]:
        """Reads a file, CHUNK_BYTES at a time.

        Raises:
            ObjectStoreError: it cannot be read; `missing` is set if there is none.
        """
        with self._errors(f"reading {path}"), self._files.open(self._full_path(path), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def _make_folder(self, folder: str) -> None:
        """Makes the folder; a local one only its owner may read, since the files are personal data."""
        if self._local:
            Path(self._root).mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._renames:
            self._files.makedirs(folder, exist_ok=True)

    def _forget(self, full_path: str) -> None:
        with suppress(Exception):  # cleanup: the store's failure is raised already
            self._files.rm_file(full_path)

    def open(self, path: str) -> BinaryIO:
        """Opens a file for reading and seeking, which raise the same errors.

        Raises:
            ObjectStoreError: it cannot be read; `missing` is set if there is none, `damaged` if it is no regular file.
        """
        with self._errors(f"reading {path}"):
            if self._local and _is_no_file(self._full_path(path)):
                raise ObjectStoreError(f"store: reading {path}: expected a regular file", damaged=True)
            try:
                opened = self._files.open(self._full_path(path), "rb")
            except PermissionError as error:
                # In other stores the complete store refuses.
                raise ObjectStoreError(f"store: reading {path}: {_reason_of(error)}", damaged=self._local) from error
        return cast(BinaryIO, _StoredFile(opened, lambda: self._errors(f"reading {path}")))

    def names(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, ascending, without those being written; empty if it is missing.

        Raises:
            ObjectStoreError: the store is away.
        """
        return [name for name in self.all_names(folder) if not name.endswith(UNFINISHED)]

    def all_names(self, folder: str) -> list[str]:
        """As `names`, with files that are being written, or whose writer died."""
        with self._errors(f"listing {folder}"):
            try:
                entries = self._files.ls(self._full_path(folder), detail=False, refresh=True)
            except FileNotFoundError:
                return []
        return sorted({posixpath.basename(str(entry).rstrip("/")) for entry in entries} - {""})

    def remove(self, path: str) -> None:
        """Removes a file; it may be gone already.

        Raises:
            ObjectStoreError: the store is away or refuses it.
        """
        with self._errors(f"removing {path}"):
            try:
                self._files.rm_file(self._full_path(path))
            except FileNotFoundError:
                return

    def remove_folder(self, folder: str) -> None:
        """Removes an empty folder, in stores that have folders; one that is not empty stays."""
        if not self._renames:
            return
        try:
            self._files.rmdir(self._full_path(folder))
        except OSError:
            return

    def _full_path(self, path: str) -> str:
        # Parts come from Redis, where others than workers write: none may lead out of its folder.
        if path and not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise ObjectStoreError(f"store: {path[:200]!r}: expected a path below the store, without . and ..")
        return f"{self._root}/{path}" if path else self._root

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        """Translates the exceptions of fsspec and its backends."""
        try:
            yield
        except LivewardenError:
            raise
        except FileNotFoundError as error:
            raise ObjectStoreError(f"store: {action}: there is no such file", missing=True) from error
        except IsADirectoryError as error:
            raise ObjectStoreError(f"store: {action}: it is a folder", damaged=True) from error
        except Exception as error:
            raise ObjectStoreError(f"store: {action}: {_reason_of(error)}") from error


class _StoredFile(io.RawIOBase):
    """A file of the store. Its backend's exceptions are translated, so any other that a reader catches is about the
    file's content."""

    def __init__(self, file: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self._file = file
        self._errors = errors

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        with self._errors():
            return cast(bytes, self._file.read(size))

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with self._errors():
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        with self._errors():
            return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _sync_folder(folder: str) -> None:
    """Writes the names in a folder to disk: otherwise a power failure may take back a rename."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_no_file(full_path: str) -> bool:
    """Returns whether there is something else than a regular file: opening a pipe would wait for a writer, and a link
    to itself is damage of one file. False if it is missing, which `open` reports."""
    try:
        mode = Path(full_path).stat().st_mode
    except OSError as error:
        return error.errno == errno.ELOOP
    return not stat.S_ISREG(mode)


def _linked(source: Path, full_path: str) -> bool:
    """Makes a hard link; False: the file is on another disk, or the file system does not support it."""
    try:
        os.link(source, full_path)
    except OSError:
        return False
    return True


def _reason_of(error: Any) -> str:
    """The error on one line; an OSError without its path, which may be long."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split())[:300] or type(error).__name__
