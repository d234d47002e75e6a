"""Writes the verdict log's files: Parquet, one row a picture, laid out for searches for hashes."""

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import pyarrow as pa
import pyarrow.parquet as pq

from worker.store.object_store import ObjectStore
from worker.verdictlog.files import LogFile, folder_of
from worker.verdictlog.tables import VERDICTS, LogTable

ROW_GROUP_ROWS = 8_192
"""The unit in which all columns are read for a row that a look-back found: 2 ms."""

HOLDS = b"livewarden.holds"
"""Key of a merged file's metadata: JSON list of the names of its sources."""
MERGED_MS = b"livewarden.merged_ms"
"""Key of a merged file's metadata: when it was merged."""

_HASHES = ("pdq", "variants.list.element.pdq")
"""Columns that compression cannot shrink."""
_UNLIKE = (*_HASHES, "capture_ms", "pts_seconds", "id", "at_ms")
"""Columns whose values hardly repeat: a dictionary would be larger than they are, and slower to read."""


def write_table(
    store: ObjectStore,
    table: pa.Table,
    *,
    written_ms: int,
    of: LogTable = VERDICTS,
    holds: Sequence[str] = (),
    merged_ms: int = 0,
    around: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> LogFile:
    """Writes one file of the log, completely or not at all.

    Args:
        table: at least one row, of the schema of `of`.
        holds: names of the sources of a merged file; `merged_ms`: when it was merged.
        around: entered with the file's path before it is written, and left once readers see it.

    Raises:
        ObjectStoreError: the store is away, full or refuses it.
        Any error of `around`.
    """
    times = table.column(of.time).to_numpy()
    stem = f"{written_ms}-{times.min()}-{times.max()}-{table.num_rows}-{secrets.token_hex(8)}"
    if holds:
        metadata = {HOLDS: json.dumps(list(holds)).encode(), MERGED_MS: str(merged_ms).encode()}
        table = table.replace_schema_metadata(metadata)
    data = pa.BufferOutputStream()
    pq.write_table(
        table,
        data,
        row_group_size=ROW_GROUP_ROWS,
        compression={name: "none" if name in _HASHES else "zstd" for name in _leaves(table.schema)},
        use_dictionary=[name for name in _leaves(table.schema) if name not in _UNLIKE],
        write_statistics=[of.time],
    )
    folder, name = folder_of(written_ms, of.root), f"{stem}{'-merged' if holds else ''}.parquet"
    with around(f"{folder}/{name}"):
        store.write(f"{folder}/{name}", memoryview(data.getvalue()))
    file = LogFile.parse(folder, name)
    assert file is not None
    return file


def _leaves(schema: pa.Schema) -> list[str]:
    """Names of a schema's columns in Parquet: of nested ones the path to each leaf."""
    return [path for field in schema for path in _paths(field.name, field.type)]


def _paths(name: str, kind: pa.DataType) -> list[str]:
    if pa.types.is_map(kind):
        return [f"{name}.key_value.key", f"{name}.key_value.value"]
    if pa.types.is_list(kind):
        return _paths(f"{name}.list.element", kind.value_type)
    if pa.types.is_struct(kind):
        return [path for field in kind for path in _paths(f"{name}.{field.name}", field.type)]
    return [name]
