"""Snapshots of the bank: all that is needed from outside, whichever module it is in."""

from models.bank.pointer import current_snapshot, make_current, prune
from models.bank.reading import Snapshot, open_snapshot, verify_snapshot
from models.bank.writing import write_snapshot

__all__ = [
    "Snapshot",
    "current_snapshot",
    "make_current",
    "open_snapshot",
    "prune",
    "verify_snapshot",
    "write_snapshot",
]
