"""What is kept outside of Redis: whole files under one URL, through fsspec. A local folder by default.

Files are written once and never changed, and a reader sees a file whole or not at all, whatever dies while it is
written.
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
"""Ends the name of a file that is being written; what died over it leaves it behind."""

_WHOLE_BY_ITSELF = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "memory"})
"""Protocols of object stores, where a file is there once all of it is; renaming would copy it there."""

_LOCAL = frozenset({"file", "local"})

CHUNK_BYTES = 4 * 1024 * 1024
"""In which large files are read and written."""


class ObjectStore:
    """Files below one URL, named by paths relative to it, with `/`. Made after a fork, used by one process."""

    def __init__(self, url: str) -> None:
        """Connects at the first use.

        Raises:
            ObjectStoreError: no such kind of store is known, or what it needs is not installed.
        """
        self.url = url
        try:
            # Others write too: a listing kept from before would hide their files.
            self._files, root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except (ImportError, ValueError, TypeError, OSError) as error:
            # The URL may carry a password: it is not quoted.
            raise ObjectStoreError(f"LIVEWARDEN_STORE_URL: expected a folder or a URL of fsspec's: {error}") from error
        self._root = root.rstrip("/")
        protocols = {self._files.protocol} if isinstance(self._files.protocol, str) else set(self._files.protocol)
        self._renames = not protocols & _WHOLE_BY_ITSELF
        self._local = bool(protocols & _LOCAL)

    @property
    def root(self) -> str:
        """The folder or prefix that its paths are relative to."""
        return str(self._root)

    @property
    def local(self) -> bool:
        """Whether its files are on a file system of this machine."""
        return self._local

    def write(self, path: str, data: bytes | memoryview) -> None:
        """Writes a file whole; one of that name is replaced.

        Raises:
            ObjectStoreError: the store is away, full or refuses it. No reader sees anything of the file.
        """
        with self._errors(f"writing {path}"):
            place = self._place(path)
            self._make_folder(posixpath.dirname(place))
            if not self._renames:
                self._files.pipe_file(place, bytes(data))
                return
            unfinished = f"{place}.{secrets.token_hex(4)}{UNFINISHED}"
            try:
                with self._files.open(unfinished, "wb") as file:
                    file.write(data)
                    if self._local:
                        # Else a machine that loses its power may keep the name and nothing of what it names.
                        file.flush()
                        os.fsync(file.fileno())
                self._files.mv(unfinished, place)
            except BaseException:
                self._forget(unfinished)
                raise

    def put(self, path: str, source: Path, heartbeat: Callable[[], None] = lambda: None) -> None:
        """Writes a file of this machine's, which does not change any more, whole; one of that name is replaced.

        A local store on the same disk links it, which takes neither time nor room; else memory is CHUNK_BYTES, and
        `heartbeat` is called after each. What it raises goes through.

        Raises:
            ObjectStoreError: the store is away, full or refuses it. No reader sees anything of the file, but in a store
                that knows no renaming: there it may be cut short.
        """
        place = self._place(path)
        unfinished = f"{place}.{secrets.token_hex(4)}{UNFINISHED}" if self._renames else place
        with self._errors(f"writing {path}"):
            self._make_folder(posixpath.dirname(place))
            try:
                if not (self._local and _linked(source, unfinished)):
                    with source.open("rb") as data, self._files.open(unfinished, "wb") as file:
                        while chunk := data.read(CHUNK_BYTES):
                            file.write(chunk)
                            heartbeat()
                if self._renames:
                    self._files.mv(unfinished, place)
            except BaseException:
                self._forget(unfinished)
                raise

    def chunks(self, path: str) -> Iterator[bytes]:
        """A file, CHUNK_BYTES at a time.

        Raises:
            ObjectStoreError: it cannot be read; its `missing` tells that there is none.
        """
        with self._errors(f"reading {path}"), self._files.open(self._place(path), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def _make_folder(self, folder: str) -> None:
        """Only its owner may look into a local one: what is kept is personal data."""
        if self._local:
            Path(self._root).mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._renames:
            self._files.makedirs(folder, exist_ok=True)

    def _forget(self, place: str) -> None:
        with suppress(Exception):  # the store is failing, and that is told: this is tidying up
            self._files.rm_file(place)

    def open(self, path: str) -> BinaryIO:
        """Opens a file for reading and seeking, which raise as this does.

        Raises:
            ObjectStoreError: it cannot be read; `missing` tells that there is none, `damaged` that it is no file.
        """
        with self._errors(f"reading {path}"):
            if self._local and _is_no_file(self._place(path)):
                raise ObjectStoreError(f"store: reading {path}: expected a regular file", damaged=True)
            try:
                opened = self._files.open(self._place(path), "rb")
            except PermissionError as error:
                # Elsewhere it is the whole store that refuses.
                raise ObjectStoreError(f"store: reading {path}: {_told(error)}", damaged=self._local) from error
        return cast(BinaryIO, _StoredFile(opened, lambda: self._errors(f"reading {path}")))

    def names(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, ascending, without those being written; none if there is none.

        Raises:
            ObjectStoreError: the store is away.
        """
        return [name for name in self.all_names(folder) if not name.endswith(UNFINISHED)]

    def all_names(self, folder: str) -> list[str]:
        """As `names`, with those that are being written, or whose writer died."""
        with self._errors(f"listing {folder}"):
            try:
                entries = self._files.ls(self._place(folder), detail=False, refresh=True)
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
                self._files.rm_file(self._place(path))
            except FileNotFoundError:
                return

    def remove_folder(self, folder: str) -> None:
        """Removes an empty folder, where folders are things; one that is not empty stays."""
        if not self._renames:
            return
        try:
            self._files.rmdir(self._place(folder))
        except OSError:
            return

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Stores raise what their libraries do: each is told as ours."""
        try:
            yield
        except LivewardenError:
            raise
        except FileNotFoundError as error:
            raise ObjectStoreError(f"store: {doing}: there is no such file", missing=True) from error
        except IsADirectoryError as error:
            raise ObjectStoreError(f"store: {doing}: it is a folder", damaged=True) from error
        except Exception as error:
            raise ObjectStoreError(f"store: {doing}: {_told(error)}") from error


class _StoredFile(io.RawIOBase):
    """A file of the store. What its library raises is told as ours: whatever else its reader meets is about what is in
    the file."""

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


def _is_no_file(place: str) -> bool:
    """Whether there is something else: whoever opens a pipe waits for a writer, and a link that leads to itself is one
    file's damage. What is missing is left to who opens it."""
    try:
        mode = Path(place).stat().st_mode
    except OSError as error:
        return error.errno == errno.ELOOP
    return not stat.S_ISREG(mode)


def _linked(source: Path, place: str) -> bool:
    """Gives a file another name; False: on another disk, or one that knows no such thing."""
    try:
        os.link(source, place)
    except OSError:
        return False
    return True


def _told(error: Any) -> str:
    """One line; of an error of the operating system without the path, which may be long."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split())[:300] or type(error).__name__
