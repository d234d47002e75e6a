"""Rows of the verdict log, written as by the worker, without pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.bank.delta import BankChange
from models.bank.entries import Entry, HashKind
from worker.store.object_store import ObjectStore
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.files import LogFile
from worker.verdictlog.rows import SCHEMA, table_of


def a_hash(seed: int) -> bytes:
    """32 bytes; hashes of different seeds are far apart."""
    return np.random.default_rng(seed).bytes(32)


def near(value: bytes, distance: int) -> bytes:
    """A hash `distance` bits from `value`."""
    bits = np.unpackbits(np.frombuffer(value, np.uint8))
    bits[:distance] ^= 1
    return np.packbits(bits).tobytes()


def row(pdq: bytes | None = None, **fields: Any) -> Mapping[str, Any]:
    """A row of the log: by default of a live stream without findings."""
    usual = dict.fromkeys(SCHEMA.names) | {
        "stream_id": "cam-1",
        "generation": 1,
        "segment_key": "segment-1",
        "capture_ms": 1_000_000,
        "pts_seconds": 0.5,
        "reason": "keyframe",
        "pdq": pdq,
        "pdq_quality": 0 if pdq is None else 90,
        "variants": [],
        "matches": [],
        "scores": [("m/nsfw", 0.1)],
        "purpose": "live",
        "audience": "public",
        "risk_prior": 0.0,
        "metadata": '{"room": "blue"}',
        "model_versions": [("m", "1")],
    }
    return usual | fields


def write(store: ObjectStore, rows: Sequence[Mapping[str, Any]], *, written_ms: int) -> LogFile:
    """Writes one file of the log."""
    return write_table(store, table_of(rows), written_ms=written_ms)


def added(list_name: str, entry: str, value: bytes, *, at_ms: int, tags: tuple[str, ...] = ()) -> BankChange:
    """A change that adds a PDQ hash."""
    return BankChange.add(list_name, Entry(entry=entry, kind=HashKind.PDQ, value=value, tags=tags), at_ms=at_ms)
