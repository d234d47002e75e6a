"""Late files of the verdict log, in a real Valkey and a real folder: lists changed after their rows were matched."""

import json
import secrets
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from hls_origin import eventually
from logged import a_hash, near, row, write
from redis import Redis
from scene import Scene

from config.errors import LivewardenError
from config.policy.policy import Policy
from models.bank.delta import BankChange
from models.bank.entries import Entry, HashKind, ListSpec
from models.pdq.variant_kinds import Variant
from worker.bank.changelog import append_changes
from worker.bank.compaction import compact
from worker.bank.follower import BankFollower
from worker.bank.imports import import_file
from worker.bank.lists_in_force import ListsInForce
from worker.bank.replication import fetch_at_start
from worker.bank.snapshot_storage import SnapshotStorage
from worker.lookback.bulk import look_back_for_files, look_back_in_bulk, prepare
from worker.lookback.jobs import FOUND, JOBS, JUDGED, LEASE, TOLD, UNCHECKED, is_due
from worker.lookback.late_files import registered
from worker.lookback.recheck import GONE_MS, ROWS_A_STEP
from worker.lookback.search import Lookback, look_back
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, run_script
from worker.verdictlog.reading import files_in
from worker.verdictlog.retention import MERGE_MS, merge
from worker.verdictlog.writer import VerdictWriter

CRITICAL = "lw:escalations:critical"
SHOWN = a_hash(1)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "store"))


@pytest.fixture
def storage(tmp_path: Path) -> SnapshotStorage:
    return SnapshotStorage(root=tmp_path / "host-0", dedicated=True, store_url=str(tmp_path / "store"))


@pytest.fixture
def follower(redis: Redis, storage: SnapshotStorage) -> BankFollower:
    """A follower that lags until it is called."""
    append_changes(redis, [BankChange.put_list(ListSpec(name="known"), at_ms=0)], by="kim")
    follower = BankFollower(redis, storage, None)
    follower.refresh()
    return follower


@pytest.fixture
def looking(redis: Redis, store: ObjectStore, policy: Policy, storage: SnapshotStorage) -> Lookback:
    return looking_from(redis, store, policy, storage)


def looking_from(
    redis: Redis, store: ObjectStore, policy: Policy, storage: SnapshotStorage, lists_dir: Path | None = None
) -> Lookback:
    """A look-back on a host, with the bank that the host follows."""
    return looking_by(redis, store, policy, BankFollower(redis, storage, lists_dir))


def looking_by(redis: Redis, store: ObjectStore, policy: Policy, follower: BankFollower) -> Lookback:

    def bank() -> ListsInForce:
        follower.refresh()
        return follower.in_force()

    return Lookback(redis=redis, store=store, policy=policy, bank=bank, deployment="test", hours=24)


def writer_to(redis: Redis, store: ObjectStore) -> VerdictWriter:
    return VerdictWriter(lambda: store, registered=lambda path, mark: registered(redis, path, mark))


def add(redis: Redis, value: bytes = SHOWN, entry: str = "case-7", *, to: str = "known") -> None:
    append_changes(redis, [BankChange.add(to, Entry(entry=entry, kind=HashKind.PDQ, value=value), at_ms=0)], by="kim")


def look(looking: Lookback) -> None:
    """Runs all due look-backs, including the final pass half a minute later."""
    for _ in range(3):
        while look_back(looking):
            pass
        look_back_in_bulk(looking)
        for job_id, text in looking.redis.hgetall(JOBS).items():
            job = json.loads(str(text))
            record = json.dumps(job | {"arrived_ms": job["arrived_ms"] - 30_000})
            looking.redis.hset(JOBS, str(job_id), record)
    assert looking.redis.hlen(JOBS) == 0


def let_pass(redis: Redis, milliseconds: int) -> None:
    """Lets time pass for registered files."""
    for path, due_ms in redis.zrange(UNCHECKED, 0, -1, withscores=True):
        redis.zadd(UNCHECKED, {path: due_ms - milliseconds})
        record = json.loads(str(redis.hget(JUDGED, str(path))))
        redis.hset(JUDGED, str(path), json.dumps(record | {"since_ms": record["since_ms"] - milliseconds}))


def raised(scene: Scene) -> dict[str, list[str]]:
    """Stream to the entries of its escalation."""
    events = scene.published(CRITICAL)
    return {event["data"]["stream_id"]: [match["entry"] for match in event["data"]["matches"]] for event in events}


def test_a_late_file_is_compared_with_changes_made_meanwhile(
    redis: Redis, store: ObjectStore, follower: BankFollower, looking: Lookback, scene: Scene
) -> None:
    """If the store takes a minute for a file, each look-back of that minute would miss its rows."""
    answered, requested = Event(), Event()

    class Slow(ObjectStore):
        def write(self, path: str, data: bytes | memoryview) -> None:
            requested.set()
            answered.wait(60)
            super().write(path, data)

    now = now_ms(redis)
    writer = writer_to(redis, Slow(store.url))
    with ExitStack() as ending:
        ending.callback(writer.close)
        ending.callback(answered.set)
        rows = [row(SHOWN, capture_ms=now), row(near(SHOWN, 32), stream_id="far", capture_ms=now)]
        writer.add(rows * 1_000, now_ms=now, judged_by=follower.in_force().mark)
        assert requested.wait(60)
        add(redis)
        look(looking)
        assert raised(scene) == {}
    eventually(lambda: is_due(redis), within_seconds=60, what="the file is logged")
    look(looking)
    assert raised(scene) == {"cam-1": ["case-7"]}
    assert not redis.exists(UNCHECKED, JUDGED)
    assert not is_due(redis)


def test_a_file_written_in_time_is_not_compared_twice(
    redis: Redis, store: ObjectStore, follower: BankFollower, looking: Lookback, scene: Scene
) -> None:
    """Each file of the log would be read again, and workers would keep polling for it."""
    now = now_ms(redis)
    writer = writer_to(redis, store)
    writer.add([row(SHOWN, capture_ms=now)], now_ms=now, judged_by=follower.in_force().mark)
    assert writer.flush()
    assert not redis.exists(UNCHECKED, JUDGED)
    add(redis)
    look(looking)
    assert raised(scene) == {"cam-1": ["case-7"]}


@pytest.mark.parametrize("withdrawn", [True, False])
def test_a_hash_removed_and_added_again_is_compared_as_it_is_now(
    redis: Redis, store: ObjectStore, follower: BankFollower, looking: Lookback, scene: Scene, *, withdrawn: bool
) -> None:
    """A withdrawn hash would call moderators, or a restored one would not."""
    now = now_ms(redis)
    add(redis)
    look(looking)
    append_changes(redis, [BankChange.remove("known", "case-7", at_ms=0)], by="kim")
    follower.refresh()
    mark = follower.in_force().mark
    add(redis)
    if withdrawn:
        append_changes(redis, [BankChange.remove("known", "case-7", at_ms=0)], by="kim")
    look(looking)
    writer = writer_to(redis, store)
    writer.add([row(SHOWN, capture_ms=now)], now_ms=now, judged_by=mark)
    assert writer.flush()
    look(looking)
    assert raised(scene) == ({} if withdrawn else {"cam-1": ["case-7"]})
    assert not redis.exists(UNCHECKED)


def test_rows_of_a_host_that_lacks_the_list_are_compared_by_another(
    redis: Redis,
    store: ObjectStore,
    follower: BankFollower,
    storage: SnapshotStorage,
    policy: Policy,
    scene: Scene,
    tmp_path: Path,
    list_file: Callable[..., Path],
) -> None:
    """A host that fetches a large list for minutes matches without it, and the look-back for the list ends before."""
    one, other = storage, SnapshotStorage(root=tmp_path / "host-1", dedicated=True, store_url=storage.store_url)
    there = BankFollower(redis, other, None)
    there.refresh()
    path = list_file({"case-7": SHOWN.hex(), "another": secrets.token_hex(32)})
    import_file(redis, one, "known", path, small_changes=0, look_back=partial(prepare, redis, store))
    look(looking_from(redis, store, policy, one))
    there.refresh()
    assert there.in_force().degraded == ("bank-behind",)
    now = now_ms(redis)
    turned = [{"variant": "mirror", "pdq": SHOWN, "quality": 90}, {"variant": "of later", "pdq": SHOWN, "quality": 90}]
    rows = [
        row(SHOWN, capture_ms=now),
        row(None, variants=turned, stream_id="turned", capture_ms=now),
        *[row(a_hash(1000 + number % 7), stream_id=f"cam-{number}", capture_ms=now) for number in range(ROWS_A_STEP)],
        row(SHOWN, stream_id="last", capture_ms=now),
    ]
    writer = writer_to(redis, store)
    writer.add(rows, now_ms=now, judged_by=there.in_force().mark)
    assert writer.flush()
    while look_back(looking_by(redis, store, policy, there)):  # it does not have the list either
        pass
    assert raised(scene) == {}
    assert not is_due(redis)
    let_pass(redis, 10_000)
    look(looking_from(redis, store, policy, one))
    assert raised(scene) == {"cam-1": ["case-7"], "last": ["case-7"]}
    assert not redis.exists(UNCHECKED, JUDGED)
    append_changes(redis, [BankChange.put_list(ListSpec(name="known", variants=(Variant.MIRROR,)), at_ms=0)], by="kim")
    writer.add(rows, now_ms=now, judged_by=there.in_force().mark)
    assert writer.flush()
    look(looking_from(redis, store, policy, one))
    assert raised(scene)["turned"] == ["case-7"]


def test_a_host_that_lacks_a_list_leaves_its_look_back_to_others(
    redis: Redis,
    store: ObjectStore,
    storage: SnapshotStorage,
    policy: Policy,
    scene: Scene,
    tmp_path: Path,
    list_file: Callable[..., Path],
) -> None:
    """A host that fetches a large list for minutes would search the log for nothing of it, and end the look-back."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 1_800_000)], written_ms=now - 1_790_000)
    other = SnapshotStorage(root=tmp_path / "host-1", dedicated=True, store_url=storage.store_url)
    import_file(redis, storage, "known", list_file(3), small_changes=0)
    fetch_at_start(redis, other)
    path = list_file({"case-7": SHOWN.hex(), "another": secrets.token_hex(32)})
    import_file(redis, storage, "known", path, small_changes=0, look_back=partial(prepare, redis, store))
    with suppress(LivewardenError):
        look_back_in_bulk(looking_from(redis, store, policy, other))
    look(looking_from(redis, store, policy, storage))
    assert raised(scene) == {"cam-1": ["case-7"]}


def test_a_host_that_has_not_the_list_yet_raises_matches_with_its_category(
    redis: Redis,
    store: ObjectStore,
    policy: Policy,
    storage: SnapshotStorage,
    scene: Scene,
    tmp_path: Path,
    list_file: Callable[..., Path],
) -> None:
    """A moderator would not be shown whose list it is and of what, for as long as the incident is there."""
    write(store, [row(SHOWN, capture_ms=now_ms(redis) - 1_800_000)], written_ms=now_ms(redis) - 1_790_000)
    other = SnapshotStorage(root=tmp_path / "host-1", dedicated=True, store_url=storage.store_url)
    import_file(redis, storage, "own", list_file(3), small_changes=0)
    fetch_at_start(redis, other)
    spec = ListSpec(name="known", source="NCMEC", category="A1", max_distance=20)
    append_changes(redis, [BankChange.put_list(spec, at_ms=0)], by="kim")
    path = list_file({"case-7": SHOWN.hex(), "another": secrets.token_hex(32)})
    import_file(redis, storage, "known", path, small_changes=0, look_back=partial(prepare, redis, store))
    add(redis, a_hash(2), to="own")
    for entries in (4, 5):  # after which the change that made the list has left the stream
        import_file(redis, storage, "own", list_file(entries), small_changes=0)
    there = looking_from(redis, store, policy, other)
    assert "known" not in there.bank().bank.specs
    look_back_in_bulk(looking_from(redis, store, policy, storage))
    while look_back(there):
        pass
    (event,) = scene.published(CRITICAL)
    (match,) = event["data"]["matches"]
    assert {name: match.get(name) for name in ("source", "category", "max_distance")} == {
        "source": "NCMEC",
        "category": "A1",
        "max_distance": 20,
    }


def test_changes_that_left_the_stream_are_still_compared(
    redis: Redis, store: ObjectStore, follower: BankFollower, looking: Lookback, storage: SnapshotStorage, scene: Scene
) -> None:
    """Pictures of a worker suspended during two compactions would be compared with nothing."""
    now, mark = now_ms(redis), follower.in_force().mark
    add(redis)
    assert compact(redis, storage, changes=1)
    add(redis, a_hash(2), "another")
    assert compact(redis, storage, changes=1)
    look(looking)
    writer = writer_to(redis, store)
    writer.add([row(SHOWN, capture_ms=now)], now_ms=now, judged_by=mark)
    assert writer.flush()
    look(looking)
    assert raised(scene) == {"cam-1": ["case-7"]}


@pytest.mark.parametrize("record", [None, "", "[]", '{"since_ms": 1, "judged_by": "no JSON", "of": "later"}'])
def test_a_file_of_a_dead_writer_is_checked_by_others(
    redis: Redis, store: ObjectStore, follower: BankFollower, looking: Lookback, scene: Scene, record: str | None
) -> None:
    """A file whose writer was killed before it read the changes, or whose record is damaged, would never be
    compared."""
    now, mark = now_ms(redis), follower.in_force().mark
    add(redis)
    look(looking)
    writer = writer_to(redis, store)
    writer.add([row(SHOWN, capture_ms=now)], now_ms=now, judged_by=mark)
    assert writer.flush()
    (path,) = redis.zrange(UNCHECKED, 0, -1)
    redis.zadd(UNCHECKED, {path: now_ms(redis) + 60_000})  # as announced
    if record is not None:
        redis.hset(JUDGED, path, record)
    assert not is_due(redis)
    redis.zincrby(UNCHECKED, -61_000, path)
    assert is_due(redis)
    look(looking)
    assert raised(scene) == {"cam-1": ["case-7"]}
    assert not redis.exists(UNCHECKED, JUDGED)


def test_a_file_that_never_arrives_is_given_up(
    redis: Redis, store: ObjectStore, follower: BankFollower, looking: Lookback
) -> None:
    """Workers would look for files of a killed worker indefinitely."""
    look(looking)
    path = "verdicts/date=2026-11-26/hour=10/1-1-1-1-0123456789abcdef.parquet"
    with registered(redis, path, follower.in_force().mark):
        assert not is_due(redis)
        for _ in range(3):
            let_pass(redis, 60_000)
            assert is_due(redis)
            look(looking)
            assert redis.zcard(UNCHECKED) == 1
        let_pass(redis, GONE_MS)
        look(looking)
        assert not redis.exists(UNCHECKED, JUDGED)


def test_rows_of_a_merged_late_file_are_found(
    redis: Redis, store: ObjectStore, follower: BankFollower, looking: Lookback, scene: Scene
) -> None:
    """A late file is merged with others after ten minutes, and would be gone when its turn comes."""
    now, mark = now_ms(redis), follower.in_force().mark
    add(redis)
    look(looking)
    for number in range(3):
        writer = writer_to(redis, store)
        rows = [row(SHOWN, stream_id=f"cam-{number}", capture_ms=now), *[row(a_hash(9))] * (ROWS_A_STEP - number)]
        writer.add(rows, now_ms=now, judged_by=mark)
        assert writer.flush()
    redis.hdel(JUDGED, str(redis.zrange(UNCHECKED, 0, -1)[1]))  # the version by which it was matched is unknown

    class Held:
        def check(self) -> None: ...

    (folder,) = {str(path).rpartition("/")[0] for path in redis.zrange(UNCHECKED, 0, -1)}
    merge(store, Held(), now_ms=now + 2 * MERGE_MS, until=float("inf"))  # type: ignore[arg-type]
    (merged,) = files_in(store, folder)
    for name in store.names(folder):
        if name != merged.name:
            store.remove(f"{folder}/{name}")
    look(looking)
    assert raised(scene) == {f"cam-{number}": ["case-7"] for number in range(3)}
    assert not redis.exists(UNCHECKED, JUDGED)


def test_a_list_file_that_reaches_a_host_late_is_compared_with_that_hosts_rows(
    redis: Redis, store: ObjectStore, storage: SnapshotStorage, policy: Policy, scene: Scene, tmp_path: Path
) -> None:
    """A list copied from host to host is looked back for on the first: rows of the last host would be missed."""
    folders = [tmp_path / "lists-0", tmp_path / "lists-1"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "known.csv").write_text(f"hash,id\n{SHOWN.hex()},case-7\n")
    first, second = (BankFollower(redis, storage, folder) for folder in folders)
    first.refresh()
    second.refresh()
    assert look_back_for_files(redis, store, first.folder, hours=24) == 1
    look(looking_from(redis, store, policy, storage, folders[0]))
    now = now_ms(redis)
    writer = writer_to(redis, store)
    writer.add([row(SHOWN, capture_ms=now)], now_ms=now, judged_by=second.in_force().mark)
    assert writer.flush()
    look(looking_from(redis, store, policy, storage, folders[1]))
    assert raised(scene) == {}
    assert not is_due(redis)
    let_pass(redis, 60_000)
    look(looking_from(redis, store, policy, storage, folders[0]))
    assert raised(scene) == {"cam-1": ["case-7"]}
    assert not redis.exists(UNCHECKED, JUDGED)


def test_matches_of_a_late_file_are_recorded_once_however_often_they_are_sent(redis: Redis) -> None:
    """A lost answer would call moderators twice, or lose a file that was registered again."""
    redis.set(LEASE, "token")
    redis.zadd(UNCHECKED, {"a": 5, "b": 5})
    redis.hset(JUDGED, mapping={"a": "{}", "b": "{}"})
    group = {"name": "g", "stream": "s", "segment": "k", "record": "{}", "facts": "{}"}
    groups = json.dumps([group | {"hits": [{"id": "h", "text": "{}"}]}])
    keys = [LEASE, UNCHECKED, JUDGED, TOLD, FOUND]

    def send(path: str, due_again: str) -> int:
        args = ["token", path, 5.0, due_again, '{"rows": 1}', 7, groups]
        return run_script(redis, "lookback_checked", keys=keys, args=args)

    assert [send("a", ""), send("a", ""), send("b", "6"), send("b", "")] == [1, -2, 0, -2]
    assert redis.hgetall(FOUND).keys() == {"g"}
    assert redis.zrange(UNCHECKED, 0, -1, withscores=True) == [("b", 6.0)]
    assert redis.hgetall(JUDGED) == {"b": '{"rows": 1}'}
    redis.set(LEASE, "of another")
    assert send("b", "") == -1
