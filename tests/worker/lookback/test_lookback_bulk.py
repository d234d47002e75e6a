"""Look-back for complete lists, in a real Valkey and a real folder, by real processes."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forked_processes import forking
from hls_origin import eventually
from live_stack import celery
from logged import a_hash, near, row, write
from redis import Redis
from scene import Scene

from config.policy.policy import Policy
from models.bank.bank import Bank
from models.bank.delta import BankChange, Delta
from models.bank.entries import Entry, HashKind, ListSpec
from worker.bank.lists_in_force import BankSource, ListsInForce, always
from worker.lookback.bulk import enqueue, look_back_in_bulk
from worker.lookback.jobs import BULK_LEASE, BULK_REST, JOBS, is_bulk_due
from worker.lookback.search import Lookback, look_back
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms

CRITICAL = "lw:escalations:critical"
SHOWN = a_hash(1)
MANY = 2_500
"""More hashes than are swept."""


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "store"))


def entry_of(number: int) -> Entry:
    return Entry(entry=f"case-{number}", kind=HashKind.PDQ, value=a_hash(number), tags=("series:x",))


def holding(spec: ListSpec, entries: Sequence[Entry]) -> BankSource:
    """A bank with this list."""
    changes = [
        BankChange.put_list(spec, at_ms=1, id="1-1"),
        *(BankChange.add(spec.name, one, at_ms=1) for one in entries),
    ]
    return always(ListsInForce(bank=Bank(delta=Delta().applied(*changes))))


def looking_with(redis: Redis, store: ObjectStore, policy: Policy, bank: BankSource) -> Lookback:
    return Lookback(redis=redis, store=store, policy=policy, bank=bank, deployment="test", hours=24)


def let_settle(redis: Redis) -> None:
    """Lets the half minute pass after which the final pass checks rows written meanwhile."""
    for job_id, text in redis.hgetall(JOBS).items():
        job = json.loads(str(text))
        redis.hset(JOBS, str(job_id), json.dumps(job | {"arrived_ms": job["arrived_ms"] - 30_000}))


def raise_all(looking: Lookback) -> None:
    """Runs what tasks do in a deployment."""
    while look_back(looking):
        pass


@pytest.mark.parametrize("part", [1_000, MANY])
def test_streams_that_match_a_large_new_list_are_escalated(
    redis: Redis, store: ObjectStore, policy: Policy, scene: Scene, part: int
) -> None:
    """A list of a hundred thousand entries would not be looked back for, and nobody called."""
    now = now_ms(redis)
    entries = [entry_of(number) for number in range(MANY)]
    bank = holding(ListSpec(name="known", max_distance=20, min_quality=60), entries)
    looking = looking_with(redis, store, policy, bank)
    shown = {
        "first": row(near(a_hash(0), 20), stream_id="first"),
        "last": row(a_hash(MANY - 1), stream_id="last"),
        "far": row(near(a_hash(7), 21), stream_id="far"),
        "poor": row(a_hash(7), stream_id="poor", pdq_quality=59),
        "other": row(a_hash(MANY + 5), stream_id="other"),
    }
    write(store, [{**one, "capture_ms": now - 9_000} for one in shown.values()], written_ms=now - 1000)
    assert enqueue(redis, store, "known", entries, part=part) == MANY
    assert is_bulk_due(redis)
    look_back_in_bulk(looking)
    raise_all(looking)
    raised = {event["data"]["stream_id"]: event["data"]["matches"] for event in scene.published(CRITICAL)}
    assert {stream: [match["entry"] for match in matches] for stream, matches in raised.items()} == {
        "first": ["case-0"],
        "last": [f"case-{MANY - 1}"],
    }
    assert raised["first"][0]["distance"] == 20
    assert raised["first"][0]["tags"] == ["series:x"]
    late = row(a_hash(3), stream_id="late", capture_ms=now - 100)  # matched before the list arrived, written after it
    write(store, [late], written_ms=now + 9_000)
    assert not is_bulk_due(redis)
    let_settle(redis)
    assert is_bulk_due(redis)
    look_back_in_bulk(looking)
    raise_all(looking)
    assert {event["data"]["stream_id"] for event in scene.published(CRITICAL)} == {"first", "last", "late"}
    assert redis.hlen(JOBS) == 0
    assert store.names("lookback") == []


def test_a_list_withdrawn_meanwhile_is_not_reported(
    redis: Redis, store: ObjectStore, policy: Policy, scene: Scene
) -> None:
    """A list imported by mistake would call moderators after it was withdrawn."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 9_000)], written_ms=now - 1000)
    enqueue(redis, store, "known", [entry_of(1)])
    changed = Entry(entry="case-1", kind=HashKind.PDQ, value=a_hash(2))
    looking = looking_with(redis, store, policy, holding(ListSpec(name="known"), [changed]))
    look_back_in_bulk(looking)
    raise_all(looking)
    assert scene.published(CRITICAL) == []


def test_single_hashes_do_not_wait_for_a_list(redis: Redis, store: ObjectStore, policy: Policy, scene: Scene) -> None:
    """A hash that the police phoned in would wait for minutes behind a list of a million."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 9_000)], written_ms=now - 1000)
    enqueue(redis, store, "known", [entry_of(number) for number in range(10, 20)])
    redis.set(BULK_LEASE, "of a process that is at it")
    assert not is_bulk_due(redis)
    redis.xadd("lw:bank:changes", {"change": BankChange.add("known", entry_of(1), at_ms=now).to_json(), "by": "kim"})
    raise_all(looking_with(redis, store, policy, holding(ListSpec(name="known"), [entry_of(1)])))
    assert len(scene.published(CRITICAL)) == 1


def test_an_unreachable_store_is_waited_for(redis: Redis, tmp_path: Path, policy: Policy, scene: Scene) -> None:
    """An outage of the store would lose the look-back of a whole list, or make workers poll in a loop."""
    url, now = tmp_path / "store", now_ms(redis)
    store = ObjectStore(str(url))
    write(store, [row(SHOWN, capture_ms=now - 9_000)], written_ms=now - 1000)
    enqueue(redis, store, "known", [entry_of(1)])
    looking = looking_with(redis, store, policy, holding(ListSpec(name="known"), [entry_of(1)]))
    url.rename(tmp_path / "elsewhere")
    url.write_text("no folder")
    look_back_in_bulk(looking)
    assert redis.exists(BULK_REST)
    assert not is_bulk_due(redis)
    url.unlink()
    (tmp_path / "elsewhere").rename(url)
    redis.delete(BULK_REST)
    look_back_in_bulk(looking)
    raise_all(looking)
    assert len(scene.published(CRITICAL)) == 1


@pytest.mark.expected_errors("is not looked back for")
@pytest.mark.parametrize("left", [None, b"", b"PAR1 and not much more", "nulls"])
def test_a_job_without_its_file_ends(
    redis: Redis, store: ObjectStore, policy: Policy, left: bytes | str | None
) -> None:
    """A file that was removed, or cut short by a full disk, would be requested indefinitely."""
    enqueue(redis, store, "known", [entry_of(1)])
    (name,) = store.names("lookback")
    if left is None:
        store.remove(f"lookback/{name}")
    elif isinstance(left, bytes):
        store.write(f"lookback/{name}", left)
    else:
        data = io.BytesIO()
        pq.write_table(pa.table({"list": ["known"], "pdq": pa.array([None], pa.binary(32))}), data)
        store.write(f"lookback/{name}", data.getvalue())
    looking = looking_with(redis, store, policy, holding(ListSpec(name="known"), [entry_of(1)]))
    look_back_in_bulk(looking)
    let_settle(redis)
    look_back_in_bulk(looking)
    assert redis.hlen(JOBS) == 0


RUN = """
    from pathlib import Path
    from config.policy.policy import load_policy
    from models.bank.bank import Bank
    from models.bank.delta import BankChange, Delta
    from models.bank.entries import Entry, HashKind, ListSpec
    from worker.bank.lists_in_force import ListsInForce, always
    from worker.lookback.bulk import look_back_in_bulk
    from worker.lookback.search import Lookback
    from worker.lookback.file_search import SearchPace
    from worker.store.object_store import ObjectStore
    from worker.store.redis_client import connect

    def main(redis_url, store, policy, shown):
        entry = Entry(entry="case-1", kind=HashKind.PDQ, value=bytes.fromhex(shown))
        made, added = BankChange.put_list(ListSpec(name="known"), at_ms=1), BankChange.add("known", entry, at_ms=1)
        looking = Lookback(
            redis=connect(redis_url), store=ObjectStore(store), policy=load_policy(Path(policy)),
            bank=always(ListsInForce(bank=Bank(delta=Delta().applied(made, added)))), deployment="test", hours=24,
            pace=SearchPace(hashes=50, seconds=10),
        )
        look_back_in_bulk(looking)
"""


def test_a_look_back_killed_at_any_instant_resumes_and_raises_each_match_once(
    redis: Redis, redis_url: str, store: ObjectStore, policy: Policy, scene: Scene, tmp_path: Path
) -> None:
    """A process that dies during a large look-back would lose streams, restart from the beginning each time, or call
    moderators twice."""
    now, streams = now_ms(redis), 120
    for number in range(streams):
        shown = row(SHOWN, stream_id=f"cam-{number}", capture_ms=now - 9_000 - number)
        write(store, [shown, *[row(a_hash(1000 + number))] * 50], written_ms=now - 1000 - number * 5_000)
    enqueue(redis, store, "known", [entry_of(1)])
    killed = 0
    with forking(textwrap.dedent(RUN)) as fork:
        for wanted in (0, 1, 20, 40, 60, 90):
            child = fork(redis_url, store.url, tmp_path / "policy.yaml", SHOWN.hex())
            while child.poll() is None and redis.hlen("lw:lookback:found") < wanted:
                pass
            child.kill()
            killed += child.wait() == -signal.SIGKILL
            assert wanted == 0 or redis.hlen("lw:lookback:found") >= wanted
            redis.delete(BULK_LEASE)  # its lease expires
    assert killed >= 3
    looking = looking_with(redis, store, policy, holding(ListSpec(name="known"), [entry_of(1)]))
    look_back_in_bulk(looking)
    raise_all(looking)
    events = scene.published(CRITICAL)
    assert sorted(event["data"]["stream_id"] for event in events) == sorted(f"cam-{n}" for n in range(streams))
    assert {event["data"]["hits"] for event in events} == {1}


def test_a_file_present_when_a_worker_starts_is_looked_back_for(
    redis: Redis, redis_url: str, store: ObjectStore, tmp_path: Path
) -> None:
    """A list added with a restart would not be looked back for in the hour before."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 60_000)], written_ms=now - 50_000)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "police.csv").write_text(f"hash,id\n{SHOWN.hex()},case-1\n")
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_STORE_URL": store.url,
        "LIVEWARDEN_LISTS_DIR": str(tmp_path / "lists"),
    }
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        (entry,) = eventually(lambda: redis.xrange(CRITICAL), within_seconds=60, what=worker.text)
    data = json.loads(entry[1]["event"])["data"]
    assert (data["stream_id"], data["matches"][0]["entry"]) == ("cam-1", "case-1")


def test_a_refused_policy_file_stops_no_look_back_of_a_list(
    redis: Redis, redis_url: str, store: ObjectStore, tmp_path: Path
) -> None:
    """Workers go on with the last good policy; a typo must not stop all look-backs for whole lists."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 9_000)], written_ms=now - 1000)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "known.csv").write_text(f"hash,id\n{SHOWN.hex()},case-1\n")
    (tmp_path / "broken.yaml").write_text("rules: [")
    assert enqueue(redis, store, "known", [entry_of(1)]) == 1
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_STORE_URL": store.url,
        "LIVEWARDEN_LISTS_DIR": str(tmp_path / "lists"),
        "LIVEWARDEN_POLICY_FILE": str(tmp_path / "broken.yaml"),
    }
    command = [sys.executable, "-P", "-m", "worker.lookback.bulk"]
    assert subprocess.run(command, env=os.environ | environment, timeout=60).returncode == 0
    assert redis.hlen("lw:lookback:found") == 1
