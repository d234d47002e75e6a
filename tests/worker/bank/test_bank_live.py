"""The bank under real workers: entries are added and snapshots compacted while they run."""

import json
import time
from pathlib import Path

import pytest
from commandline import livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis

from models.testcard import TESTCARD_HASHES
from worker.bank.changelog import position
from worker.bank.compaction import COMPACT_CHANGES
from worker.bank.keys import FOLLOWERS, SNAPSHOT
from worker.bank.snapshot_storage import SnapshotStorage
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch

CRITICAL = "lw:escalations:critical"
CARD = TESTCARD_HASHES["testcard-16x9"]


@pytest.fixture
def environment(redis_url: str, redis: Redis, origin: LiveOrigin, tmp_path: Path) -> dict[str, str]:
    assert redis.ping()
    return {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }


def following(redis: Redis) -> dict[str, tuple[int, int]]:
    """The position that each process has reached."""
    reports = {str(name): json.loads(str(text)) for name, text in redis.hgetall(FOLLOWERS).items()}
    return {name: position(one["position"]) for name, one in reports.items()}


def test_a_hash_added_while_workers_run_is_in_force_in_all_of_them(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """Known material is re-streamed within minutes: adding a hash must not need a restart of workers."""
    with celery("worker", environment, tmp_path, "--concurrency=2") as worker:
        assert livewarden("bank", "create", "police", "--source", "a force", environment=environment).status == 0
        eventually(lambda: len(following(redis)) == 2, within_seconds=60, what=worker.text)
        assert livewarden("bank", "add", "police", CARD, "--id", "case-7", environment=environment).status == 0
        added = position(livewarden("bank", "stats", "--json", environment=environment).records[0]["position"])
        started = time.monotonic()
        eventually(lambda: set(following(redis).values()) == {added}, within_seconds=5, what="in force")
        assert time.monotonic() - started < 5
        origin.add("0.ts", segment_bytes(card=True))
        watch(redis, register("s", origin.url, url_template="", legal_basis=""))
        events = eventually(lambda: redis.xrange(CRITICAL), within_seconds=60, what=worker.text)
    data = json.loads(events[0][1]["event"])["data"]
    assert [(match["list"], match["entry"]) for match in data["matches"]] == [("police", "case-7")]
    assert set(data["versions"]["lists"]) == {"police", "selftest"}


def test_workers_compact_the_bank(redis: Redis, environment: dict[str, str], tmp_path: Path) -> None:
    """Every added hash would take memory in Redis and slow down matching for good."""
    hashes = tmp_path / "many.csv"
    for part in range(3):
        hashes.write_text(
            "hash,id\n" + "".join(f"{part:032x}{number:032x},{part}-{number}\n" for number in range(4_000))
        )
        assert livewarden("bank", "import", "own", hashes, environment=environment).status == 0
    assert int(redis.hget(SNAPSHOT, "changes") or 0) >= COMPACT_CHANGES
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        eventually(lambda: redis.hget(SNAPSHOT, "name"), within_seconds=90, what=worker.text)
        name = str(redis.hget(SNAPSHOT, "name"))
        eventually(lambda: redis.hget(SNAPSHOT, "changes") == "0", within_seconds=60, what="all of it is in there")
    assert (tmp_path / "bank" / name).is_dir()
    (found,) = livewarden("bank", "match", f"{2:032x}{3_999:032x}", "--json", environment=environment).records
    assert {"list": "own", "entry": "2-3999", "distance": 0} in found["matches"]
    assert SnapshotStorage(root=tmp_path / "bank", dedicated=True).find(redis) == tmp_path / "bank"


def test_a_worker_without_the_bank_does_not_start(redis: Redis, environment: dict[str, str], tmp_path: Path) -> None:
    """It would settle segments as harmless without matching them."""
    redis.hset(SNAPSHOT, mapping={"name": "snapshot-elsewhere", "watermark": "1-0"})
    with celery("worker", environment, tmp_path) as worker:
        assert worker.process.wait(60) != 0
        assert "snapshot-elsewhere" in worker.text()
        assert "LIVEWARDEN_BANK_DIR" in worker.text()
        assert "Traceback" not in worker.text()
