"""A bank of this test's own: an emptied Valkey and a folder."""

from pathlib import Path

import pytest

from worker.bank.snapshot_storage import SnapshotStorage


@pytest.fixture
def storage(tmp_path: Path) -> SnapshotStorage:
    """Where the bank's snapshots lie."""
    return SnapshotStorage(root=tmp_path / "bank", dedicated=True)
