"""A bank for each test: an emptied Valkey and a folder."""

from pathlib import Path

import pytest

from worker.bank.place import SnapshotPlace


@pytest.fixture
def place(tmp_path: Path) -> SnapshotPlace:
    """The folder of the bank's snapshots."""
    return SnapshotPlace(root=tmp_path / "bank", shared=True)
