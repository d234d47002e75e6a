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
    """A worker's main process, as far as the bank goes."""

    def __init__(self, redis: Redis, storage: SnapshotStorage) -> None:
        self._redis, self._storage = redis, storage
        self.bank = BankFollower(redis, storage, None)
        self._epochs = EpochWatch(deployment="test")

    def goes_on(self) -> None:
        """As its threads do, again and again."""
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
    """What a process that starts now has."""
    bank = follow(redis, storage).bank
    found = {name: {entry.entry for entry in bank.entries(name)} for name in bank.specs}
    return {name: ids for name, ids in found.items() if ids and name != "selftest"}


def test_what_was_in_redis_alone_is_written_anew(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker], list_file: ListFile
) -> None:
    """Hashes of the last days would be gone, and withdrawn ones be back, without anybody noticing."""
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
    # And once more, for what is held belongs to one loss.
    edits.add(redis, follow(redis, storage).bank, "police", [entry_of(FOUR, "4")])
    one.goes_on()
    redis.flushall()
    assert one.restores()
    assert entries(redis, storage) == {"police": {"2", "3", "4"}}


def test_what_was_changed_since_the_loss_stays(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker], list_file: ListFile
) -> None:
    """An operator who imports a list immediately would see it overwritten with an older one."""
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
    """Events of a deployment that goes by classifiers alone would be marked indefinitely."""
    one, _ = workers
    one.goes_on()
    redis.flushall()
    one.goes_on()
    assert one.marked
    assert one.restores()
    assert not one.marked
    assert redis.hget(SNAPSHOT, "name") is None


def test_the_folder_of_somebody_who_starts_anew_does_not_win(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker], list_file: ListFile
) -> None:
    """A command that an operator runs meanwhile takes the folder's snapshot, and would take the newest hashes away."""
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


def test_where_nobody_lived_operators_bring_each_list_in_again(
    redis: Redis, storage: SnapshotStorage, list_file: ListFile
) -> None:
    """A bank of last week would pass for today's, or events stay marked indefinitely."""
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


def test_a_worker_that_starts_after_the_loss_leaves_it_to_those_who_held_the_bank(
    redis: Redis, storage: SnapshotStorage, workers: tuple[Worker, Worker], list_file: ListFile
) -> None:
    """The first list that an operator brings in would pass for all of them."""
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


def test_a_bank_in_a_folder_of_the_users_own_is_written_anew_too(
    redis: Redis, tmp_path: Path, list_file: ListFile
) -> None:
    """Its folder has the name that Redis lost with the rest."""
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
