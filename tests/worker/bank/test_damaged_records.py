"""Records of the bank in Redis that are foreign, damaged or of a later version: each costs only its own content."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from logged import a_hash, added, row, write
from redis import Redis
from scene import Scene

from config.errors import LivewardenError
from config.policy.policy import Policy
from config.settings import Settings
from models.bank.delta import BankChange
from models.bank.entries import Entry, HashKind, ListSpec
from models.pdq.pdq import PdqHash
from worker.bank import edits, own_lists, quarantine
from worker.bank.changelog import read_pointer
from worker.bank.follower import BankFollower
from worker.bank.history import UNREADABLE, read_history
from worker.bank.imports import import_file
from worker.bank.inspection import stats
from worker.bank.keys import BANK_ID, CHANGES, FOLLOWERS, HISTORY, PROPOSED, QUARANTINE, REFRESHED, SNAPSHOT
from worker.bank.replication import fetch_at_start, fetch_missing
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.doctor.diagnosis import State
from worker.doctor.lists import examine_bank, follow_bank
from worker.errors import BankRequestError
from worker.lookback.jobs import FOUND, JOBS, is_due, look_backs, sought_key
from worker.lookback.search import Lookback, look_back
from worker.people.actor import Actor, Role
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms

PATHS = ["../../x", "..", "", "a/b", "a\\b", "a" * 65, "x\n", "\0", "ü"]


def add(redis: Redis, storage: SnapshotStorage, text: str, name: str) -> None:
    entry = Entry(entry=name, kind=HashKind.PDQ, value=bytes.fromhex(text))
    edits.add(redis, follow(redis, storage).bank, "own", [entry])


def finds(follower: BankFollower, text: str) -> bool:
    return bool(follower.in_force().bank.match(PdqHash(bits=bytes.fromhex(text), quality=100)))


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("bank_id", PATHS)
def test_a_bank_name_that_is_a_path_is_refused(
    redis: Redis, tmp_path: Path, list_file: Callable[..., Path], bank_id: str
) -> None:
    """A writer to Redis could make a worker write and remove folders anywhere on its disk and in its store."""
    roots = [tmp_path / name / "deep" / "inside" for name in ("own", "host", "store")]
    own = SnapshotStorage(root=roots[0], dedicated=False)
    host = SnapshotStorage(root=roots[1], dedicated=True, store_url=str(roots[2]))
    first, second = list_file(3, "first"), list_file(3, "second")
    import_file(redis, host, "own", first, small_changes=0)
    follower = BankFollower(redis, own, None)
    name, digest = read_pointer(redis).name, read_pointer(redis).digest
    redis.set(BANK_ID, bank_id)
    before = tree(tmp_path)
    for storage in (own, host):
        with pytest.raises(BankRequestError, match="lw:bank:id"):
            import_file(redis, storage, "own", second, small_changes=0)
    with pytest.raises(BankRequestError, match="lw:bank:id"):
        fetch_missing(redis, SnapshotStorage(root=tmp_path / "other", dedicated=True, store_url=str(roots[2])))
    fetch_at_start(redis, SnapshotStorage(root=tmp_path / "other", dedicated=True, store_url=str(roots[2])))
    with pytest.raises(BankRequestError):
        follower.refresh()
    assert tree(tmp_path) - before <= {tmp_path / "other", tmp_path / "other" / ".fetching"}
    assert (read_pointer(redis).name, read_pointer(redis).digest) == (name, digest)


@pytest.mark.parametrize("field", ["name", "watermark", "edition", "previous", "digest"])
@pytest.mark.parametrize("value", ["../../x", "snapshot-../x", "no number", "-1-0"])
def test_a_pointer_without_a_snapshot_keeps_the_last_good_one_with_all_changes(
    redis: Redis, redis_url: str, storage: SnapshotStorage, list_file: Callable[..., Path], field: str, value: str
) -> None:
    """One damaged field would end every worker, open files outside the bank, or stop it from following changes."""
    imported, later = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, storage, "own", list_file({"i": imported}), small_changes=0)
    follower = BankFollower(redis, storage, None)
    follower.refresh()
    good = redis.hget(SNAPSHOT, field)
    (storage.root.parent / "x").symlink_to(storage.root / read_pointer(redis).name)
    redis.hset(SNAPSHOT, field, value)
    add(redis, storage, later, "later")
    started = BankFollower(redis, storage, None)  # a worker that starts now
    for one in (follower, started):
        one.refresh()
        assert [finds(one, text) for text in (imported, later)] == [True, True]
        assert one.in_force().degraded == ("bank-behind",)
    settings = Settings.from_mapping({"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_BANK_DIR": str(storage.root)})
    (shown,) = [one for one in examine_bank(follow_bank(redis, settings), settings) if one.name == "hash bank"]
    assert shown.state is State.FAIL
    assert f"{SNAPSHOT}: {field}" in shown.found
    with pytest.raises(LivewardenError):
        import_file(redis, storage, "own", list_file(3), small_changes=0)
    if good is None:
        redis.hdel(SNAPSHOT, field)
    else:
        redis.hset(SNAPSHOT, field, str(good))
    for one in (follower, started):
        one.refresh()
        assert one.in_force().degraded == ()


def test_damaged_records_of_the_bank_are_shown_and_cost_nothing_else(redis: Redis, storage: SnapshotStorage) -> None:
    """One unreadable record would hide the whole overview, or stop a worker from following the bank."""
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="own"))
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="fresh", refresh_seconds=60))
    redis.hset(REFRESHED, "fresh", "not a number")
    later = json.loads(BankChange.put_list(ListSpec(name="later"), at_ms=1).to_json())
    later["spec"]["of_a_later_version"] = True
    redis.xadd(CHANGES, {"change": json.dumps(later | {"more": 1}), "by": "a later version"})
    redis.hset(FOLLOWERS, mapping={"a:1": "{", "b:1": "[]", "c:1": json.dumps({"at_ms": now_ms(redis), "more": 1})})
    redis.hset(JOBS, "damaged", "{")
    redis.xadd(HISTORY, {"act": "{"})
    shared = follow(redis, storage)
    assert shared.stale == ("fresh",)
    assert "later" in shared.bank.specs
    shown = stats(redis, shared.bank, shared, look_backs=look_backs(redis))
    assert shown["processes_unreadable"] == ["a:1", "b:1"]
    assert shown["processes_behind"] == ["c:1"]
    assert shown["look_backs_unreadable"] == ["damaged"]
    assert [act.did for act in read_history(redis)] == [UNREADABLE, "put_list", "put_list"]
    text = secrets.token_hex(32)
    follower = BankFollower(redis, storage, None)
    follower.refresh()
    add(redis, storage, text, "a")
    follower.refresh()
    assert finds(follower, text)


def test_a_damaged_proposal_or_quarantine_costs_only_itself(redis: Redis, storage: SnapshotStorage) -> None:
    """A damaged note would keep a picture from ever being confirmed, or hide all quarantined hashes."""
    pdq = PdqHash(bits=a_hash(5), quality=90)
    kim, lee = (Actor(name=name, role=Role.LEAD) for name in ("kim", "lee"))
    own_lists.confirm(redis, pdq, actor=kim)
    (key,) = redis.hkeys(PROPOSED)
    redis.hset(PROPOSED, str(key), "{")
    assert not own_lists.confirm(redis, pdq, actor=lee).confirmed
    assert own_lists.confirm(redis, pdq, actor=kim).confirmed
    bank = follow(redis, storage).bank
    (entry,) = (entry.entry for entry in bank.entries("confirmed"))
    quarantine.set_quarantine(redis, bank, "confirmed", entry, hours=1, reason="", actor=kim)
    redis.hset(QUARANTINE, mapping={"own/a": "{", "own/b": "[]"})
    assert [one.entry for one in quarantine.quarantines(redis)] == [entry]


@pytest.mark.expected_errors("is not looked back for|cannot be read")
def test_damaged_look_back_records_do_not_block_others(
    redis: Redis, tmp_path: Path, policy: Policy, scene: Scene, storage: SnapshotStorage
) -> None:
    """One unreadable record would stop every look-back."""
    store, now = ObjectStore(str(tmp_path / "store")), now_ms(redis)
    follower = BankFollower(redis, storage, None)
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="known"))
    follower.refresh()
    shown = a_hash(1)
    write(store, [row(shown, capture_ms=now - 9_000)], written_ms=now - 1_000)
    change = added("known", "case-7", shown, at_ms=now).to_json()
    job = {"id": "later", "bulk": False, "since_ms": 0, "arrived_ms": now, "begun_ms": now, "of_a_later_version": 1}
    redis.hset(JOBS, mapping={"a": "{", "b": "[]", "c": '{"id": "c"}', "later": json.dumps(job)})
    redis.rpush(sought_key("later"), "{", change)
    redis.hset(FOUND, "damaged", "{")
    assert is_due(redis)
    looking = Lookback(redis=redis, store=store, policy=policy, bank=follower.in_force, deployment="test", hours=24)
    while look_back(looking):
        pass
    (event,) = scene.published("lw:escalations:critical")
    assert event["data"]["matches"][0]["entry"] == "case-7"
    assert not redis.exists(FOUND)
