"""Snapshots of the bank: all that is needed from outside, whichever module it is in."""

from models.bank.copying import copy_snapshot, file_names, manifest_digest
from models.bank.pointer import current_snapshot, make_current, tidy
from models.bank.reading import Snapshot, is_whole, open_snapshot, verify_snapshot
from models.bank.writing import snapshot_written

__all__ = [
    "Snapshot",
    "copy_snapshot",
    "current_snapshot",
    "file_names",
    "is_whole",
    "make_current",
    "manifest_digest",
    "open_snapshot",
    "snapshot_written",
    "tidy",
    "verify_snapshot",
]
