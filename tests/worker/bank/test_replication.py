"""Hosts without a shared disk: each has its own folder, and gets the bank through the store."""

import json
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from commandline import livewarden
from hls_origin import eventually
from live_stack import celery
from redis import Redis

from models.bank.entries import Entry, HashKind
from models.bank.snapshot import is_whole, verify_snapshot
from models.errors import SnapshotError
from models.pdq.pdq import PdqHash
from worker.bank import edits
from worker.bank.changelog import position, read_pointer
from worker.bank.compaction import compact
from worker.bank.follower import BankFollower
from worker.bank.imports import import_file
from worker.bank.keys import FOLLOWERS
from worker.bank.publication import store_again
from worker.bank.replication import fetch_at_start, fetch_missing
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import ObjectStoreError


@pytest.fixture
def hosts(tmp_path: Path) -> list[SnapshotStorage]:
    """Two hosts, and a store that both reach."""
    store = str(tmp_path / "store")
    return [SnapshotStorage(root=tmp_path / f"host-{number}", dedicated=True, store_url=store) for number in range(2)]


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """Makes the store unreachable."""
    folder.mkdir(exist_ok=True)
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("no folder")
    yield
    folder.unlink()
    aside.rename(folder)


def add(redis: Redis, storage: SnapshotStorage, text: str, name: str) -> None:
    entry = Entry(entry=name, kind=HashKind.PDQ, value=bytes.fromhex(text))
    edits.add(redis, follow(redis, storage).bank, "own", [entry])


def finds(follower: BankFollower, text: str) -> bool:
    return bool(follower.in_force().bank.match(PdqHash(bits=bytes.fromhex(text), quality=100)))


def test_another_host_fetches_an_imported_list(
    redis: Redis, hosts: list[SnapshotStorage], list_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Workers on a second machine would refuse to start, or never load the list."""
    one, other = hosts
    imported, later = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, one, "own", list_file({"i": imported}), small_changes=0)
    name = read_pointer(redis).name
    assert fetch_missing(redis, other)
    verify_snapshot(other.root / name)
    assert not fetch_missing(redis, other)
    follower = BankFollower(redis, other, None)
    add(redis, one, later, "later")
    follower.refresh()
    assert [finds(follower, text) for text in (imported, later)] == [True, True]
    assert follower.in_force().degraded == ()
    # The other way round; superseded snapshots are removed everywhere.
    for number in range(3):
        import_file(redis, other, "own", list_file({f"n{number}": secrets.token_hex(32)}), small_changes=0)
        assert fetch_missing(redis, one)
    assert follow(redis, one).bank.sizes["own"] == 5
    (folder,) = (tmp_path / "store" / "bank").iterdir()
    assert len(list(folder.iterdir())) == 2
    assert len(list(one.root.glob("snapshot-*"))) == 2


def test_a_compaction_leaves_no_host_behind(
    redis: Redis, hosts: list[SnapshotStorage], list_file: Callable[..., Path]
) -> None:
    """Each compaction would mark the events of all other hosts as degraded, though they have the same entries."""
    one, other = hosts
    texts = [secrets.token_hex(32) for _ in range(4)]
    import_file(redis, one, "own", list_file({"0": texts[0]}), small_changes=0)
    fetch_missing(redis, other)
    follower, asleep = BankFollower(redis, other, None), BankFollower(redis, other, None)
    follower.refresh()
    asleep.refresh()
    for number in (1, 2):
        add(redis, one, texts[number], str(number))
        assert compact(redis, one, changes=1)
        follower.refresh()
    add(redis, one, texts[3], "3")
    follower.refresh()
    assert [finds(follower, text) for text in texts] == [True] * 4
    assert follower.in_force().degraded == ()
    asleep.refresh()  # the first part of what it lacks is in no stream any more
    assert asleep.in_force().degraded == ("bank-behind",)
    assert fetch_missing(redis, other)
    for one_of_them in (follower, asleep):
        one_of_them.refresh()
        assert [finds(one_of_them, text) for text in texts] == [True] * 4
        assert one_of_them.in_force().degraded == ()


def test_an_unreachable_store_delays_no_import_and_is_filled_later(
    redis: Redis, hosts: list[SnapshotStorage], list_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Known material would wait for a disk; or other hosts would never receive the list."""
    one, other = hosts
    old, imported, added = (secrets.token_hex(32) for _ in range(3))
    import_file(redis, one, "own", list_file({"o": old}), small_changes=0)
    fetch_missing(redis, other)
    follower = BankFollower(redis, other, None)
    follower.refresh()
    with away(tmp_path / "store"):
        import_file(redis, one, "own", list_file({"i": imported}), small_changes=0)
        assert follow(redis, one).bank.sizes["own"] == 2
        assert read_pointer(redis).digest == ""
        add(redis, one, added, "a")
        with pytest.raises(ObjectStoreError):
            store_again(redis, one)
        assert not fetch_missing(redis, other)
        follower.refresh()
        assert [finds(follower, text) for text in (old, imported, added)] == [True, False, True]
        assert follower.in_force().degraded == ("bank-behind",)
    assert not store_again(redis, other)  # it has nothing to upload
    assert store_again(redis, one)
    assert not store_again(redis, one)
    assert fetch_missing(redis, other)
    follower.refresh()
    assert [finds(follower, text) for text in (old, imported, added)] == [True] * 3
    assert follower.in_force().degraded == ()


def test_altered_bytes_in_the_store_are_never_loaded(
    redis: Redis, hosts: list[SnapshotStorage], list_file: Callable[..., Path], tmp_path: Path
) -> None:
    """A writer to the store could take known material out of force."""
    one, other = hosts
    old, imported = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, one, "own", list_file({"o": old}), small_changes=0)
    fetch_missing(redis, other)
    import_file(redis, one, "own", list_file({"i": imported}), small_changes=0)
    (values,) = (tmp_path / "store").glob(f"bank/*/{read_pointer(redis).name}/pdq.values.npy")
    good = values.read_bytes()
    values.unlink()  # it is the same file as the one of the host that wrote it
    values.write_bytes(good[:-32] + bytes(32))
    with pytest.raises(SnapshotError, match="not what was published"):
        fetch_missing(redis, other)
    follower = BankFollower(redis, other, None)
    assert [finds(follower, text) for text in (old, imported)] == [True, False]
    assert follower.in_force().degraded == ("bank-behind",)
    values.write_bytes(good)
    assert fetch_missing(redis, other)
    follower.refresh()
    assert finds(follower, imported)


def test_a_host_with_a_damaged_copy_fetches_it_again(
    redis: Redis, hosts: list[SnapshotStorage], list_file: Callable[..., Path]
) -> None:
    """An operator would have to notice it and copy files by hand."""
    one, other = hosts
    import_file(redis, one, "own", list_file(10), small_changes=0)
    fetch_missing(redis, other)
    path = other.root / read_pointer(redis).name
    (path / "pdq.values.npy").unlink()
    assert fetch_missing(redis, other)
    verify_snapshot(path)
    shutil.rmtree(path)  # and CURRENT names one that is not there
    assert fetch_missing(redis, other)
    verify_snapshot(path)


def test_processes_that_start_together_all_load_it(
    redis: Redis, redis_url: str, hosts: list[SnapshotStorage], list_file: Callable[..., Path]
) -> None:
    """Of three workers that start on a new machine one would fetch the bank, and the others would refuse to start."""
    one, other = hosts
    import_file(redis, one, "own", list_file(100_000), small_changes=0)
    path = other.root / read_pointer(redis).name

    def start() -> bool:
        with Redis.from_url(redis_url, decode_responses=True) as own:
            fetch_at_start(own, other)
            return is_whole(path)

    with ThreadPoolExecutor(4) as pool:
        assert all(each.result() for each in [pool.submit(start) for _ in range(4)])


def test_workers_of_two_hosts_and_one_killed_while_it_fetches(
    redis: Redis, redis_url: str, tmp_path: Path, list_file: Callable[..., Path]
) -> None:
    """A second machine would need the first one's disk; and a power cut during the fetch would leave it without a
    bank."""
    environments = [
        {
            "LIVEWARDEN_REDIS_URL": redis_url,
            "LIVEWARDEN_BANK_DIR": str(tmp_path / f"host-{number}"),
            "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        }
        for number in range(2)
    ]
    one, other = environments
    theirs = Path(other["LIVEWARDEN_BANK_DIR"])
    imported, added = secrets.token_hex(32), secrets.token_hex(32)
    path = list_file(150_000, "big")
    with path.open("a") as file:
        file.write(f"{imported},i\n")

    def in_force(text: str) -> list[list[str]]:
        return [
            [match["entry"] for match in ran.records[0]["matches"]]
            for ran in (livewarden("bank", "match", text, "--json", environment=env) for env in environments)
        ]

    with celery("worker", other, tmp_path, "--concurrency=1") as killed:
        eventually(lambda: redis.hlen(FOLLOWERS) == 1, within_seconds=60, what=killed.text)
        importing = threading.Thread(
            target=livewarden, args=("bank", "import", "own", path), kwargs={"environment": one}
        )
        importing.start()
        until = time.monotonic() + 60
        while not any(file.stat().st_size > 1_000_000 for file in theirs.glob(".writing-*/*.npy")):  # it is soon over
            assert time.monotonic() < until, killed.text()
        killed.kill_group()
        importing.join()
    name = read_pointer(redis).name
    assert not (theirs / name).exists()
    assert list(theirs.glob(".writing-*"))
    redis.delete(FOLLOWERS)
    with celery("worker", other, tmp_path, "--concurrency=1") as worker:
        eventually(lambda: redis.hlen(FOLLOWERS) == 1, within_seconds=60, what=worker.text)
        assert is_whole(theirs / name)
        assert not list(theirs.glob(".writing-*"))
        with away(tmp_path / "store"):
            assert livewarden("bank", "add", "own", added, "--id", "a", environment=one).status == 0
            at = position(livewarden("bank", "stats", "--json", environment=one).records[0]["position"])

            def followed() -> bool:
                (report,) = redis.hvals(FOLLOWERS)
                return position(json.loads(str(report))["position"]) >= at

            eventually(followed, within_seconds=5, what=worker.text)
        more = list_file(150_000, "more")
        assert livewarden("bank", "import", "more", more, environment=one).status == 0
        eventually(lambda: is_whole(theirs / read_pointer(redis).name), within_seconds=60, what=worker.text)
    assert in_force(imported) == [["i"], ["i"]]
    assert in_force(added) == [["a"], ["a"]]


def test_a_host_that_waits_for_its_first_list_follows_single_hashes(
    redis: Redis, hosts: list[SnapshotStorage], list_file: Callable[..., Path]
) -> None:
    """While the first large list is fetched, a hash that the police phoned in would be in force late."""
    one, other = hosts
    follower, added = BankFollower(redis, other, None), secrets.token_hex(32)
    follower.refresh()
    import_file(redis, one, "own", list_file(3), small_changes=0)
    add(redis, one, added, "a")
    follower.refresh()
    assert finds(follower, added)
    assert follower.in_force().degraded == ("bank-behind",)
    assert fetch_missing(redis, other)
    follower.refresh()
    assert finds(follower, added)
    assert follower.in_force().degraded == ()
