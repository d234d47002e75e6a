"""A bank of this test's own: an emptied Valkey and a folder."""

from pathlib import Path

import pytest

from worker.bank.place import SnapshotPlace


@pytest.fixture
def place(tmp_path: Path) -> SnapshotPlace:
    """Where the bank's snapshots lie."""
    return SnapshotPlace(root=tmp_path / "bank", shared=True)
