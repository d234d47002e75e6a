"""Writers of snapshots that were suspended until others took their lease: they remove nothing that is in force."""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis

from config.errors import LivewardenError
from models.bank.snapshot import verify_snapshot
from worker.bank.changelog import read_pointer
from worker.bank.imports import import_file
from worker.bank.keys import CHANGES, HISTORY, REFRESHED, SNAPSHOT, WRITER
from worker.bank.publication import store_again
from worker.bank.replication import fetch_missing
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.store.object_store import ObjectStore
from worker.store.redis_client import run_script


@dataclass(frozen=True, kw_only=True)
class Stalling(SnapshotStorage):
    """A host whose store blocks before a call of `method`, until it is released."""

    method: str
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def open_store(self) -> ObjectStore:
        storage = self

        class Store(ObjectStore):
            def all_names(self, folder: str) -> list[str]:
                storage.stall("all_names")
                return super().all_names(folder)

            def remove(self, path: str) -> None:
                storage.stall("remove")
                super().remove(path)

            def put(self, path: str, source: Path, heartbeat: Callable[[], None] = lambda: None) -> None:
                super().put(path, source, heartbeat)
                storage.stall("put")

        return Store(self.store_url)

    def stall(self, method: str) -> None:
        if method == self.method:
            self.reached.set()
            assert self.go_on.wait(60)


@contextmanager
def standing_still(storage: Stalling, work: Callable[[], object]) -> Iterator[None]:
    """Runs `work` until it blocks, and releases it at the end of the block."""

    def run() -> None:
        with suppress(LivewardenError):  # that it lost its lease
            work()

    thread = threading.Thread(target=run)
    thread.start()
    assert storage.reached.wait(60)
    yield
    storage.go_on.set()
    thread.join(60)
    assert not thread.is_alive()


def importing(redis: Redis, storage: SnapshotStorage, path: Path) -> str:
    import_file(redis, storage, "own", path, small_changes=0)
    return read_pointer(redis).name


@pytest.mark.parametrize("method", ["all_names", "remove"])
def test_a_writer_that_lost_its_lease_removes_nothing_in_force(
    redis: Redis, tmp_path: Path, list_file: Callable[..., Path], method: str
) -> None:
    """A writer resumed after its import would remove the next writer's list, and no other host could fetch it."""
    url = str(tmp_path / "store")
    late = Stalling(root=tmp_path / "host-0", dedicated=True, store_url=url, method=method)
    one, other = (SnapshotStorage(root=tmp_path / f"host-{number}", dedicated=True, store_url=url) for number in (1, 2))
    hashes = [secrets.token_hex(32) for _ in range(5)]
    files = [list_file({f"e{number}": value}, f"list-{number}") for number, value in enumerate(hashes)]
    for file in files[:2]:  # so that there is something to remove
        importing(redis, one, file)
    fetch_missing(redis, late)
    with standing_still(late, lambda: importing(redis, late, files[2])):
        redis.delete(WRITER)  # its time passes
        fetch_missing(redis, one)
        for file in files[3:]:
            name = importing(redis, one, file)
    assert read_pointer(redis).name == name
    assert fetch_missing(redis, other)
    verify_snapshot(other.root / name)
    assert follow(redis, other).bank.sizes["own"] == 5


def test_a_late_writer_does_not_forget_that_the_store_has_a_snapshot(
    redis: Redis, tmp_path: Path, list_file: Callable[..., Path]
) -> None:
    """A snapshot in the store would count as missing, and hosts that need it would wait for its writer."""
    url = str(tmp_path / "store")
    late = Stalling(root=tmp_path / "host-0", dedicated=True, store_url=url, method="put")
    other = SnapshotStorage(root=tmp_path / "host-1", dedicated=True, store_url=url)
    importing(redis, SnapshotStorage(root=late.root, dedicated=True), list_file(3, "first"))
    assert read_pointer(redis).digest == ""
    with standing_still(late, lambda: store_again(redis, late)):
        redis.delete(WRITER)  # its time passes
        name = importing(redis, SnapshotStorage(root=late.root, dedicated=True, store_url=url), list_file(3, "second"))
    pointer = read_pointer(redis)
    assert (pointer.name, bool(pointer.digest)) == (name, True)
    assert fetch_missing(redis, other)


def test_publishing_a_snapshot_twice_has_the_effect_of_once(redis: Redis) -> None:
    """A writer whose answer and lease were lost would remove the snapshot that it has just put in force."""
    redis.set(WRITER, "token")
    redis.hset(SNAPSHOT, mapping={"name": "snapshot-before", "watermark": "5-0", "changes": "7", "edition": "1"})
    for number in range(4, 9):
        redis.xadd(CHANGES, {"change": ""}, id=f"{number}-0")

    def publish() -> int:
        keys = [WRITER, SNAPSHOT, CHANGES, REFRESHED, HISTORY]
        return run_script(
            redis,
            "bank_publish",
            keys=keys,
            args=["token", "snapshot-new", "8-0", "own", 7, 1, "", '[["{}", "{}"]]', 100, "mo", "", 1, "{}"],
        )

    assert publish() == 1
    after = redis.hgetall(SNAPSHOT), redis.xrange(CHANGES), redis.hgetall(REFRESHED), redis.xlen(HISTORY)
    assert publish() == 1
    redis.set(WRITER, "of another")
    assert publish() == 1
    assert (redis.hgetall(SNAPSHOT), redis.xrange(CHANGES), redis.hgetall(REFRESHED), redis.xlen(HISTORY)) == after
    redis.hset(SNAPSHOT, "name", "snapshot-of-another")
    assert publish() == 0
