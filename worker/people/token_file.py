"""A new token's file: readable for its owner only, complete or not there."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Final, Self

from worker.errors import LocalFileError

_MOST_BYTES: Final = 1_000
"""Read of a file that is there: a token has some 50."""


def _beginning(path: Path) -> str:
    """More than any token of a file, without blanks around it."""
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace").strip()


class TokenFile:
    """The file that a new token is written to, made before the token is in force.

    A file that cannot be made is thus found before the roster changes, and the token before it stays until then.
    Without a path it writes nothing.
    """

    def __init__(self, path: Path | None, beside: Path | None) -> None:
        self._path = path
        self._beside = beside

    @classmethod
    def beside(cls, path: Path | None, *, replaceable: Callable[[str], bool]) -> Self:
        """Makes an empty file beside `path`, which `write` puts in its place.

        Args:
            replaceable: tells by the text of a file that is there, without blanks around it, whether nothing is lost
                with it. An empty one is always replaced.

        Raises:
            LocalFileError: it cannot be made, or would replace something else.
        """
        if path is None:
            return cls(None, None)
        try:
            if path.is_dir():
                raise LocalFileError(f"{path}: is a folder: expected a file, or a place for one")
            if path.exists() and not path.is_file():
                raise LocalFileError(f"{path}: is no regular file: expected a file, or a place for one")
            if path.exists() and (there := _beginning(path)) and not replaceable(there):
                raise LocalFileError(
                    f"{path}: exists, and is not overwritten: it may be the only copy of what is in it, such as "
                    "another person's token"
                )
            # Mode 0600, whatever the umask.
            with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
                return cls(path, Path(file.name))
        except OSError as error:
            raise LocalFileError(f"{path}: cannot be written: {error.strerror}") from error

    def write(self, token: str) -> None:
        """Writes the token and a line break, to the disk; an existing file is replaced.

        Raises:
            LocalFileError: it cannot be written; the text says where the token is, if anywhere.
        """
        if (beside := self.write_beside(token)) is None or self._path is None:
            return
        try:
            beside.replace(self._path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise self._unwritable(error) from error

    def write_beside(self, token: str) -> Path | None:
        """Writes a token that may not be in force to the file beside, which stays, as does the one with the token
        before; returns its path.

        Raises:
            LocalFileError: as `write`.
        """
        if (beside := self._beside) is None:
            return None
        try:
            with beside.open("w", encoding="ascii") as file:
                file.write(f"{token}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        self._beside = None
        return beside

    def _unwritable(self, error: OSError) -> LocalFileError:
        return LocalFileError(f"{self._path}: cannot be written: {error.strerror}: a lead makes another token")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)
