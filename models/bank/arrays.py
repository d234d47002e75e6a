"""Arrays in files: written as a stream, read through memory maps.

Files are written with plain writes, never through a map: on a full disk a write fails with an error that can be
reported, while a store into a map kills the process.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt

from models.errors import SnapshotError

SUFFIX: Final = ".npy"


class ArrayFile:
    """A new .npy file that rows are appended to. Closing writes the header again, with the rows that there are."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        self._dtype, self._row_shape = np.dtype(dtype).newbyteorder("<"), row_shape
        self._file = path.open("xb")
        self._header_bytes = self._write_header(0)
        self.count = 0
        """Rows so far."""

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Appends `rows`, (n, *row_shape)."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self.count += len(rows)

    def close(self) -> None:
        """Finishes the file, and waits until it is on disk."""
        self._file.seek(0)
        if self._write_header(self.count) != self._header_bytes:  # numpy pads it for counts of up to 21 digits
            raise AssertionError("a header grew")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Closes the file as it is. May be called after `close`, too."""
        with suppress(OSError):  # what a full disk did not take is of no use any more
            self._file.close()

    def _write_header(self, count: int) -> int:
        shape = (count, *self._row_shape)
        npy.write_array_header_1_0(
            self._file, {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        )
        return self._file.tell()

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()


def read_ahead(path: Path) -> None:
    """Lets the system read a file that is not in memory before it is needed; does nothing where it is.

    After a restart of the host, the first query in 3 × 10^6 hashes took 0.8 s instead of 1.7 s.
    """
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def map_array(path: Path, dtype: npt.DTypeLike, row_shape: tuple[int, ...] = ()) -> npt.NDArray[Any]:
    """Maps a file that `ArrayFile` wrote: read-only, shared with every process that maps it.

    Raises:
        SnapshotError: it cannot be read, or holds another kind of array.
    """
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{path}: cannot be mapped: {type(error).__name__}: {error}") from error
    if mapped.dtype != np.dtype(dtype) or mapped.shape[1:] != row_shape:
        raise SnapshotError(f"{path}: expected {np.dtype(dtype)} (n, {row_shape}), found {mapped.dtype} {mapped.shape}")
    array: npt.NDArray[Any] = mapped.view(np.ndarray)  # a memmap's own methods are slow
    return array
