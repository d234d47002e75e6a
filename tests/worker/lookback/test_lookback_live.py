"""Workers that log and look back, as an operator runs them: real Celery, real Valkey, a real origin."""

import json
import os
import signal
from pathlib import Path

from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis

from models import testcard
from models.bank.delta import BankChange
from models.bank.entries import Entry, HashKind, ListSpec
from models.pdq.pdq import hash_rgb
from worker.bank.changelog import append_changes
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.lookback.jobs import JOBS, JUDGED, UNCHECKED
from worker.store.redis_client import now_ms
from worker.verdictlog.reading import read_log

CRITICAL = "lw:escalations:critical"


def let_settle(redis: Redis) -> bool:
    """Lets the half minute pass after which the final pass begins; False while a job is not ready for it."""
    for job_id, text in redis.hgetall(JOBS).items():
        job = json.loads(str(text))
        if not job["last_pass"]:
            return False
        redis.hset(JOBS, str(job_id), json.dumps(job | {"arrived_ms": job["arrived_ms"] - 30_000}))
    return True


def test_an_ended_stream_is_escalated_within_a_minute_of_its_hash(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
):
    """Material that becomes known during or after a stream would never be found on it."""
    url = str(tmp_path / "store")
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_STORE_URL": url,
    }
    for index in range(3):
        origin.add(f"{index}.ts", segment_bytes(card=index == 1))
    origin.ended = True
    watch(redis, register("s", origin.url, purpose="live", url_template="", legal_basis="", metadata={"room": "blue"}))
    with celery("worker", environment, tmp_path, "--concurrency=2") as worker:
        eventually(lambda: stream_status(redis, "s")["state"] == "ended", within_seconds=60, what=worker.text)
        eventually(lambda: stream_status(redis, "s")["pending_seconds"] == 0, within_seconds=60, what=worker.text)
    # The warm shutdown of the worker has written its buffers.
    rows = [row for batch in read_log(url, 0, 2**62) for row in batch.to_pylist()]
    assert {row["stream_id"] for row in rows} == {"s"}
    assert sum(row["pdq"] is not None for row in rows) == len(rows) >= 3
    assert dict(rows[0]["scores"]).keys() == {"open-nsfw/nsfw", "open-nsfw/sfw"}
    assert rows[0]["segment_ms"] == rows[0]["moderated_ms"] == 2000
    assert len({(row["segment_key"], row["pts_seconds"]) for row in rows}) == len(rows)
    assert not redis.exists(CRITICAL)

    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        entry = Entry(entry="case-7", kind=HashKind.PDQ, value=hash_rgb(testcard.testcard(320, 180)).bits)
        at = now_ms(redis)
        append_changes(
            redis,
            [BankChange.put_list(ListSpec(name="police"), at_ms=at), BankChange.add("police", entry, at_ms=at)],
            by="kim",
        )
        eventually(lambda: redis.exists(CRITICAL), within_seconds=60, what=worker.text)
    assert redis.xlen(CRITICAL) == 1


def test_rows_of_a_suspended_worker_are_compared_with_changes_made_meanwhile(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
):
    """A suspended worker writes its rows after the look-back for a new hash is over: nobody would be called."""
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }
    origin.add("0.ts", segment_bytes(card=True))
    origin.ended = True
    watch(redis, register("s", origin.url, purpose="live", url_template="", legal_basis=""))
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        eventually(lambda: stream_status(redis, "s")["state"] == "ended", within_seconds=60, what=worker.text)
        eventually(lambda: stream_status(redis, "s")["pending_seconds"] == 0, within_seconds=60, what=worker.text)
        os.killpg(worker.process.pid, signal.SIGSTOP)  # well within the 10 s after which it writes
        try:
            assert not list((tmp_path / "store").glob("verdicts/*/*/*.parquet"))
            entry = Entry(entry="case-7", kind=HashKind.PDQ, value=hash_rgb(testcard.testcard(320, 180)).bits)
            at = now_ms(redis)
            append_changes(
                redis,
                [BankChange.put_list(ListSpec(name="police"), at_ms=at), BankChange.add("police", entry, at_ms=at)],
                by="kim",
            )
            with celery("worker", environment, tmp_path, "--concurrency=1") as other:
                eventually(lambda: redis.hlen(JOBS) == 1, within_seconds=60, what=other.text)
                eventually(lambda: let_settle(redis), within_seconds=60, what=other.text)
                eventually(lambda: redis.hlen(JOBS) == 0, within_seconds=60, what=other.text)
        finally:
            os.killpg(worker.process.pid, signal.SIGCONT)
        ((_, fields),) = eventually(lambda: redis.xrange(CRITICAL), within_seconds=60, what=worker.text)
    data = json.loads(fields["event"])["data"]
    assert (data["stream_id"], data["matches"][0]["entry"]) == ("s", "case-7")
    eventually(lambda: not redis.exists(UNCHECKED, JUDGED), within_seconds=60, what="nothing is left to compare")
