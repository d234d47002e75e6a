"""The hashes of one file of the verdict log, as arrays: those of the pictures, and of the transformed pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bank.sweep import HASH_BYTES
from models.pdq.variant_kinds import Variant
from worker.store.object_store import ObjectStore
from worker.verdictlog.files import LogFile
from worker.verdictlog.reading import LogReader

AS_IT_IS = 0
"""Kind of the hash of a picture as it is; those of transformed pictures follow, in the order of `Variant`."""
KINDS: tuple[Variant | None, ...] = (None, *Variant)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedHashes:
    """(n,) hashes of one file; a picture has one, and one for each transformation."""

    bits: npt.NDArray[np.uint8]
    """(n, 32)."""
    qualities: npt.NDArray[np.uint8]
    """0: there is no hash."""
    rows: npt.NDArray[np.intp]
    """Indices of the pictures in the file."""
    kinds: npt.NDArray[np.uint8]
    """Indices in KINDS."""

    def __len__(self) -> int:
        return len(self.qualities)

    @classmethod
    def none(cls) -> Self:
        """No hashes."""
        return cls(
            bits=np.empty((0, HASH_BYTES), np.uint8),
            qualities=np.empty(0, np.uint8),
            rows=np.empty(0, np.intp),
            kinds=np.empty(0, np.uint8),
        )

    @classmethod
    def joined(cls, parts: "list[LoggedHashes]") -> Self:
        """Joins parts in their order."""
        return cls(
            bits=np.concatenate([part.bits for part in parts]),
            qualities=np.concatenate([part.qualities for part in parts]),
            rows=np.concatenate([part.rows for part in parts]),
            kinds=np.concatenate([part.kinds for part in parts]),
        )


def read_hashes(store: ObjectStore, file: LogFile, *, transformed: bool) -> LoggedHashes:
    """Reads the hashes of a file; `transformed`: those of transformed pictures, too.

    Raises:
        ObjectStoreError: the file cannot be read, or is damaged.
    """
    parts = [LoggedHashes.none()]
    begin = 0
    with LogReader(store, file) as reader:
        for batch in reader.batches(("pdq", "pdq_quality", *(["variants"] if transformed else []))):
            rows = np.arange(begin, begin + batch.num_rows)
            parts.append(_plain(batch.column("pdq"), batch.column("pdq_quality"), rows))
            if transformed:
                parts.append(_transformed(batch.column("variants"), rows))
            begin += batch.num_rows
    return LoggedHashes.joined(parts)


def _plain(pdq: pa.FixedSizeBinaryArray, quality: pa.UInt8Array, rows: npt.NDArray[np.intp]) -> LoggedHashes:
    hashed = pdq.is_valid().to_numpy(zero_copy_only=False)
    qualities = np.where(hashed, quality.fill_null(0).to_numpy(), 0).astype(np.uint8)
    return LoggedHashes(bits=_bits(pdq), qualities=qualities, rows=rows, kinds=np.full(len(rows), AS_IT_IS, np.uint8))


def _transformed(variants: pa.ListArray, rows: npt.NDArray[np.intp]) -> LoggedHashes:
    of_all = variants.flatten()
    if not len(of_all):
        return LoggedHashes.none()
    lengths = variants.value_lengths().fill_null(0).to_numpy()
    kinds = np.array([_INDEX_OF.get(name, _UNKNOWN) for name in of_all.field("variant").to_pylist()], np.uint8)
    plain = _plain(of_all.field("pdq"), of_all.field("quality"), np.repeat(rows, lengths))
    # A later version may have more transformations: their hashes are compared with nothing here.
    return LoggedHashes(
        bits=plain.bits,
        qualities=np.where(kinds == _UNKNOWN, 0, plain.qualities).astype(np.uint8),
        rows=plain.rows,
        kinds=np.where(kinds == _UNKNOWN, AS_IT_IS, kinds).astype(np.uint8),
    )


_INDEX_OF: Mapping[str, int] = {str(kind): index for index, kind in enumerate(KINDS) if kind is not None}
_UNKNOWN = 255


def _bits(pdq: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """(n, 32); the bytes in place of null are never compared."""
    data = pdq.buffers()[1]
    if data is None:
        return np.zeros((len(pdq), HASH_BYTES), np.uint8)
    return np.frombuffer(data, np.uint8).reshape(-1, HASH_BYTES)[pdq.offset : pdq.offset + len(pdq)]
