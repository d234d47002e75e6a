"""A bank of this test's own: an emptied Valkey and a folder."""

from pathlib import Path

import pytest

from worker.bank.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where the bank's snapshots lie."""
    return Place(root=tmp_path / "bank", shared=True)
