"""Snapshots whose writers are done with them."""

from collections.abc import Callable, Iterable
from pathlib import Path

from models.bank.entries import Entry, ListSpec
from models.bank.snapshot import current_snapshot, snapshot_written, tidy


def write_snapshot(
    folder: Path,
    lists: Iterable[tuple[ListSpec, Iterable[Entry]]],
    *,
    watermark: str,
    heartbeat: Callable[[], None] = lambda: None,
) -> Path:
    """As `snapshot_written`, without a block."""
    with snapshot_written(folder, lists, watermark=watermark, heartbeat=heartbeat) as path:
        return path


def prune(folder: Path, *, keep: int = 2) -> tuple[Path, ...]:
    """As `tidy`, with the snapshot in force that the folder names."""
    current = current_snapshot(folder)
    assert current is not None
    return tidy(folder, in_force=lambda: current.name, keep=keep)
