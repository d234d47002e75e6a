"""A bank for each test: an emptied Valkey and a folder."""

from pathlib import Path

import pytest

from worker.bank.snapshot_storage import SnapshotStorage


@pytest.fixture
def storage(tmp_path: Path) -> SnapshotStorage:
    """The folder of the bank's snapshots."""
    return SnapshotStorage(root=tmp_path / "bank", dedicated=True)
