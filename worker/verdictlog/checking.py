"""Checks of a file of the verdict log before its rows are used: it may be foreign, or cut short.

Arrow finds files that are not Parquet. A foreign Parquet file (another schema, rows without a stream, another number of
rows than in its name, row groups larger than memory) would be found only by the code that uses its rows, and stop it.
"""

import json
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from worker.verdictlog.files import LogFile
from worker.verdictlog.tables import LogTable

MAX_GROUP_ROWS: Final = 1_048_576
"""Most rows of a row group, which is read completely for one row of a look-back. Livewarden writes 8,192."""
MAX_GROUP_BYTES: Final = 1 << 30
"""Most bytes of a row group, uncompressed, by its file's directory. 8,192 rows of the largest kind take some 300 MB."""


class UnfitFileError(ValueError):
    """A Parquet file that is not of the log; the text says what was expected."""


def check_directory(directory: Any, schema: pa.Schema, file: LogFile, of: LogTable) -> None:
    """Checks the directory of a Parquet file (`pyarrow.parquet.FileMetaData`) before any row is read.

    Raises:
        UnfitFileError: it does not fit the file's name, or is too large to be read.
    """
    if directory.num_rows != file.rows:
        raise UnfitFileError(f"it has {directory.num_rows:,} rows: expected {file.rows:,}, as its name says")
    for name in ("stream_id", of.time):
        if name not in schema.names or schema.field(name).type != of.schema.field(name).type:
            raise UnfitFileError(f"expected a column {name}: {of.schema.field(name).type}")
    for number in range(directory.num_row_groups):
        group = directory.row_group(number)
        if not 0 <= group.num_rows <= MAX_GROUP_ROWS or not 0 <= group.total_byte_size <= MAX_GROUP_BYTES:
            size = f"{group.num_rows:,} rows and {group.total_byte_size:,} bytes"
            raise UnfitFileError(
                f"a row group of {size}: expected at most {MAX_GROUP_ROWS:,} rows, {MAX_GROUP_BYTES:,} bytes"
            )


def check_rows(batch: pa.RecordBatch, of: LogTable) -> None:
    """Checks rows after they are read.

    Raises:
        UnfitFileError: a row lacks a value that every version writes.
        pyarrow.ArrowInvalid: a text is not UTF-8, or parts do not fit together.
    """
    batch.validate(full=True)
    names = set(batch.schema.names)
    for path in of.required:
        column, _, inner = path.partition(".")
        if column in names and _part(batch.column(column), inner).null_count:
            raise UnfitFileError(f"a row without {path}")
    if "metadata" in names:
        for text in batch.column("metadata").unique().to_pylist():
            if not _is_mapping(text):
                raise UnfitFileError("metadata: expected JSON of an object")


def _part(array: pa.Array, inner: str) -> pa.Array:
    """A column, or the items of its lists or maps."""
    if not inner:
        return array
    if pa.types.is_map(array.type):
        return array.items
    items = array.flatten()
    # The parts of a struct that is null are not null.
    return items if items.null_count else items.field(inner)


@lru_cache(maxsize=4_096)
def _is_mapping(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
