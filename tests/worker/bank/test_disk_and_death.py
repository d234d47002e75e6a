"""A full disk, and a compaction that is killed: the bank in force stays, and the next attempt works."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from commandline import livewarden
from hls_origin import eventually
from redis import Redis

from models.errors import SnapshotError
from models.pdq.pdq import PdqHash
from worker.bank.changelog import read_pointer
from worker.bank.compaction import COMPACT_CHANGES, compact
from worker.bank.follower import BankFollower
from worker.bank.imports import import_file
from worker.bank.keys import SNAPSHOT, WRITER
from worker.bank.publication import store_again
from worker.bank.replication import fetch_missing
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage

SMALL_DISK = "12m"


@pytest.fixture
def small_disk(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[Path]:
    """A disk of SMALL_DISK bytes, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "livewarden-test", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        ci_or_skip("this process may not mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def finds(redis: Redis, storage: SnapshotStorage, text: str) -> bool:
    return bool(follow(redis, storage).bank.match(PdqHash(bits=bytes.fromhex(text), quality=100)))


def test_an_import_that_fills_the_disk_changes_nothing(
    redis: Redis, redis_url: str, small_disk: Path, list_file: Callable[..., Path]
) -> None:
    """Half of a bank would be in force, or unneeded files would keep the disk full."""
    storage, known = SnapshotStorage(root=small_disk / "bank", dedicated=True), secrets.token_hex(32)
    import_file(redis, storage, "own", list_file({"1": known}), small_changes=0)
    before, room = read_pointer(redis), shutil.disk_usage(small_disk).free
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_BANK_DIR": str(storage.root)}
    ran = livewarden("bank", "import", "own", list_file(300_000, "big"), environment=environment)
    assert ran.status == 2
    assert "No space left on device" in ran.message
    assert read_pointer(redis) == before
    assert finds(redis, storage, known)
    assert shutil.disk_usage(small_disk).free == room
    assert not redis.exists(WRITER)
    assert import_file(redis, storage, "own", list_file(100, "small"), small_changes=0).entries == 101


def test_a_full_store_does_not_delay_an_import(
    redis: Redis, small_disk: Path, tmp_path: Path, list_file: Callable[..., Path]
) -> None:
    """Known material would wait for room in a store that this host does not need."""
    storage = SnapshotStorage(root=tmp_path / "bank", dedicated=True, store_url=str(small_disk / "store"))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 100_000))
    assert import_file(redis, storage, "own", list_file(30_000), small_changes=0).entries == 30_000
    assert read_pointer(redis).digest == ""
    assert not list(small_disk.glob("store/**/*.unfinished"))
    filler.unlink()
    assert store_again(redis, storage)
    other = SnapshotStorage(root=tmp_path / "other", dedicated=True, store_url=storage.store_url)
    assert fetch_missing(redis, other)


def test_a_host_without_disk_space_keeps_its_snapshot(
    redis: Redis, small_disk: Path, tmp_path: Path, list_file: Callable[..., Path]
) -> None:
    """It would match against half a list, or none."""
    one = SnapshotStorage(root=tmp_path / "bank", dedicated=True, store_url=str(tmp_path / "store"))
    other = SnapshotStorage(root=small_disk / "bank", dedicated=True, store_url=one.store_url)
    known = secrets.token_hex(32)
    import_file(redis, one, "own", list_file({"1": known}), small_changes=0)
    assert fetch_missing(redis, other)
    room = shutil.disk_usage(small_disk).free
    import_file(redis, one, "own", list_file(300_000), small_changes=0)
    with pytest.raises(SnapshotError, match="No space left on device"):
        fetch_missing(redis, other)
    assert shutil.disk_usage(small_disk).free == room
    follower = BankFollower(redis, other, None)
    assert follower.in_force().bank.match(PdqHash(bits=bytes.fromhex(known), quality=100))
    assert follower.in_force().degraded == ("bank-behind",)


def test_a_compaction_that_is_killed_changes_nothing_and_the_next_one_works(
    redis: Redis, redis_url: str, storage: SnapshotStorage, tmp_path: Path, list_file: Callable[..., Path]
) -> None:
    """A power cut during a compaction would leave no bank, lose changes, or keep all others from compacting."""
    imported, added = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, storage, "own", list_file({"i": imported}), small_changes=0)
    path = list_file(200_000, "big")
    import_file(redis, storage, "big", path, small_changes=0)
    for part in range(3):
        import_file(redis, storage, "own", list_file(4_000, f"more-{part}"))
    import_file(redis, storage, "own", list_file({"a": added}))
    before = redis.hgetall(SNAPSHOT)
    assert int(before["changes"]) >= COMPACT_CHANGES
    environment = {
        **os.environ,
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_BANK_DIR": str(storage.root),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }

    def bytes_written() -> int:
        return sum(file.stat().st_size for file in storage.root.glob(".writing-*/*"))

    stages: dict[str, Callable[[], object]] = {
        "the lease is taken": lambda: redis.exists(WRITER),
        "entries are written": lambda: bytes_written() > 1_000_000,
        "the index is written": lambda: list(storage.root.glob(".writing-*/pdq.rows.npy")),
    }
    for stage, reached in stages.items():
        for remains in storage.root.glob(".writing-*"):
            shutil.rmtree(remains)
        process = subprocess.Popen([sys.executable, "-m", "worker.bank.compaction"], env=environment)
        eventually(reached, within_seconds=60, what=stage)
        process.kill()
        assert process.wait() != 0, stage
        assert redis.hgetall(SNAPSHOT) == before
        assert [finds(redis, storage, text) for text in (imported, added)] == [True, True]
        redis.delete(WRITER)  # it expires after 20 s
    assert compact(redis, storage)
    assert redis.hget(SNAPSHOT, "changes") == "0"
    assert [finds(redis, storage, text) for text in (imported, added)] == [True, True]
    assert follow(redis, storage).bank.sizes["own"] == 12_002
    assert not list(storage.root.glob(".writing-*"))
