"""Redis lost its state: processes that hold the bank restore it, and no entry is lost or comes back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from models.bank.entries import Entry, HashKind, ListSpec
from worker.bank import edits
from worker.bank.compaction import compact
from worker.bank.follower import BankFollower
from worker.bank.imports import import_file
from worker.bank.keys import REFRESHED, SNAPSHOT
from worker.bank.recovery import restore
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.health.redis_epoch import STATE_LOST, EpochWatch

ONE, TWO, THREE, FOUR = ("0f" * 32, "3c" * 32, "55" * 32, "a5" * 32)
ListFile = Callable[..., Path]


class Worker:
    """The bank-related part of a worker's main process."""

    def __init__(self, redis: Redis, storage: SnapshotStorage) -> None:
        self._redis, self._storage = redis, storage
        self.bank = BankFollower(redis, storage, None)
        self._epochs = EpochWatch(deployment="test")

    def goes_on(self) -> None:
        """Runs the steps of its threads repeatedly."""
        self._epochs.check(self._redis, SNAPSHOT)
        self.bank.refresh()

    def restores(self) -> bool:
        self.goes_on()
        whole = restore(self._redis, self.bank, self._storage)
        self.goes_on()
        return whole

    @property
    def marked(self) -> bool:
        return STATE_LOST in self.bank.in_force().degraded


@pytest.fixture
def workers(redis: Redis, storage: SnapshotStorage) -> Iterator[tuple[Worker, Worker]]:
    made = (Worker(redis, storage), Worker(redis, storage))
    yield made
    for one in made:
        one.bank.close()


def entry_of(text: str, name: str) -> Entry:
    return Entry(entry=name, kind=HashKind.PDQ, value=bytes.fromhex(text))


def entries(redis: Redis, storage: SnapshotStorage) -> dict[str, set[str]]:
    """The entries that a process has which starts now."""
    bank = follow(redis, storage).bank
    found = {name: {entry.entry for entry in bank.entries(name)} for name in bank.specs}
    return {name: ids for name, ids in found.items() if ids and name != "selftest"}


def test_changes_that_were_only_in_redis_are_restored(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker], list_file: ListFile
) -> None:
    """Recent hashes would be gone, and withdrawn ones be back, without anybody noticing."""
    import_file(redis, storage, "police", list_file({"1": ONE, "2": TWO}))
    compact(redis, storage, changes=1)
    edits.remove(redis, follow(redis, storage).bank, "police", "1")
    edits.add(redis, follow(redis, storage).bank, "police", [entry_of(THREE, "3")])
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="made", source="own"))
    refreshed = redis.hgetall(REFRESHED)
    one, other = workers
    one.goes_on(), other.goes_on()
    assert not one.marked
    redis.flushall()
    one.goes_on(), other.goes_on()
    assert one.marked
    assert other.marked
    assert one.restores()
    name = redis.hget(SNAPSHOT, "name")
    assert other.restores()
    assert redis.hget(SNAPSHOT, "name") == name, "one of them does it"
    assert not one.marked
    assert not other.marked
    assert entries(redis, storage) == {"police": {"2", "3"}}
    assert follow(redis, storage).bank.specs["made"].source == "own"
    assert redis.hgetall(REFRESHED) == refreshed
    # Then a second loss: a worker's copy restores only the loss that it lived through.
    edits.add(redis, follow(redis, storage).bank, "police", [entry_of(FOUR, "4")])
    one.goes_on()
    redis.flushall()
    assert one.restores()
    assert entries(redis, storage) == {"police": {"2", "3", "4"}}


def test_changes_made_after_the_loss_stay(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker], list_file: ListFile
) -> None:
    """A list that an operator imports right after the loss would be overwritten with an older one."""
    import_file(redis, storage, "police", list_file({"1": ONE}))
    import_file(redis, storage, "own", list_file({"a": TWO}))
    one, _ = workers
    one.goes_on()
    redis.flushall()
    import_file(redis, storage, "police", list_file({"9": THREE}), replace=True)
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="new", source="own"))
    edits.add(redis, follow(redis, storage).bank, "new", [entry_of(FOUR, "n")])
    assert one.restores()
    assert entries(redis, storage) == {"police": {"9"}, "own": {"a"}, "new": {"n"}}


def test_an_empty_bank_is_complete_immediately(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker]
) -> None:
    """Events of a deployment without lists would be marked as degraded for good."""
    one, _ = workers
    one.goes_on()
    redis.flushall()
    one.goes_on()
    assert one.marked
    assert one.restores()
    assert not one.marked
    assert redis.hget(SNAPSHOT, "name") is None


def test_the_folder_of_a_new_process_does_not_win(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker], list_file: ListFile
) -> None:
    """A command that an operator runs meanwhile loads the folder's snapshot, and would remove the newest hashes."""
    import_file(redis, storage, "police", list_file({"1": ONE}))
    compact(redis, storage, changes=1)
    edits.add(redis, follow(redis, storage).bank, "police", [entry_of(TWO, "2")])
    one, other = workers
    one.goes_on(), other.goes_on()
    redis.flushall()
    assert entries(redis, storage) == {"police": {"1"}}
    other.bank.refresh()
    assert other.restores()
    assert one.restores()
    assert entries(redis, storage) == {"police": {"1", "2"}}


def test_where_no_process_survived_operators_import_each_list_again(
    redis: Redis, storage: SnapshotStorage, list_file: ListFile
) -> None:
    """A bank of last week would pass for today's, or events would stay marked for good."""
    import_file(redis, storage, "police", list_file({"1": ONE}))
    import_file(redis, storage, "other", list_file({"2": TWO}))
    compact(redis, storage, changes=1)
    redis.flushall()
    new = Worker(redis, storage)
    new.bank.refresh()
    assert not new.restores()
    assert new.marked
    assert entries(redis, storage) == {"police": {"1"}, "other": {"2"}}, "the folder's snapshot is in force meanwhile"
    import_file(redis, storage, "police", list_file({"1": ONE, "3": THREE}))
    assert not new.restores()
    import_file(redis, storage, "other", list_file({"2": TWO}))
    assert new.restores()
    assert not new.marked
    new.bank.close()


def test_a_worker_started_after_the_loss_leaves_recovery_to_older_ones(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker], list_file: ListFile
) -> None:
    """The first list that an operator imports would pass for the whole bank."""
    import_file(redis, storage, "police", list_file({"1": ONE}))
    import_file(redis, storage, "own", list_file({"2": TWO}))
    one, new = workers
    one.goes_on()
    redis.flushall()
    one.goes_on()
    import_file(redis, storage, "police", list_file({"1": ONE}))
    assert not new.restores()
    assert new.marked
    assert one.restores()
    assert entries(redis, storage) == {"police": {"1"}, "own": {"2"}}


def test_a_bank_in_a_folder_of_the_users_own_is_restored_too(redis: Redis, tmp_path: Path, list_file: ListFile) -> None:
    """The name of its folder was lost with Redis."""
    storage = SnapshotStorage(root=tmp_path / "bank", dedicated=False)
    import_file(redis, storage, "police", list_file({"1": ONE}))
    compact(redis, storage, changes=1)
    one = Worker(redis, storage)
    one.goes_on()
    redis.flushall()
    one.goes_on()
    assert one.restores()
    assert not one.bank.in_force().degraded
    assert entries(redis, storage) == {"police": {"1"}}
    one.bank.close()
