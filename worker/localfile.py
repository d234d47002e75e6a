"""Reading and writing the files that a person names on the command line."""

from pathlib import Path

from worker.errors import LocalFileError


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """The content of `path`.

    Raises:
        LocalFileError: it is missing, no file, not readable, or longer than `max_bytes`.
    """
    try:
        with path.open("rb") as file:
            # One byte more than allowed is asked for, and no size is trusted: a pipe or a growing file has none.
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise LocalFileError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise LocalFileError(f"{path}: expected at most {max_bytes} bytes")
    return data


def write_file(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, over what is there.

    Raises:
        LocalFileError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise LocalFileError(f"{path}: cannot be written: {error.strerror}") from error
