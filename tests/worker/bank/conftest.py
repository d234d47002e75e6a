"""A bank of this test's own: an emptied Valkey and a folder."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.bank.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where the bank's snapshots lie."""
    return Place(root=tmp_path / "bank", shared=True)


@pytest.fixture
def list_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file of hashes, id to hex digits; of a number, that many random ones."""

    def write(hashes: dict[str, str] | int, name: str = "list") -> Path:
        if isinstance(hashes, int):
            hashes = {f"{name}-{number}": secrets.token_hex(32) for number in range(hashes)}
        path = tmp_path / f"{name}.csv"
        path.write_text("hash,id\n" + "".join(f"{value},{entry}\n" for entry, value in hashes.items()))
        return path

    return write
