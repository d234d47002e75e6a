"""The audit log in upkeep: linked, its head published, copied into the store and sealed."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyrage import x25519
from redis import Redis

from config.settings import Settings
from worker.audit.copies import EVERY_MS
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.published_heads import published_heads
from worker.audit.redis_log import LINKED, read_head
from worker.audit.segments import read_segment, segments_in
from worker.evidence.sealing import Identity
from worker.runtime.audit_copy import copy_audit
from worker.runtime.upkeep import look_after
from worker.runtime.worker_process import WorkerProcess
from worker.store.object_store import ObjectStore


@pytest.fixture
def key() -> x25519.Identity:
    return x25519.Identity.generate()


@pytest.fixture
def recipients(key: x25519.Identity, tmp_path: Path) -> Path:
    path = tmp_path / "recipients.txt"
    path.write_text(f"{key.to_public()}\n")
    return path


@pytest.fixture
def process(redis: Redis, redis_url: str, tmp_path: Path, recipients: Path) -> Iterator[WorkerProcess]:
    assert redis.ping()
    settings = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients),
    }
    process = WorkerProcess(Settings.from_mapping(settings))
    yield process
    process.close()


def upkeep(process: WorkerProcess) -> list[str]:
    """The housekeeping that a round of upkeep sends."""
    sent: list[str] = []
    look_after(process, send=lambda *_: None, send_housekeeping=sent.append)
    return sent


def test_upkeep_links_publishes_and_copies_the_audit_log(process: WorkerProcess, redis: Redis):
    """Acts would stay unlinked, and a cut-off end unseen, though every part works."""
    append_entry(redis, audit_entry(Act.VIEW, by="kim", verified=True, subject="5a"))
    assert "copy_audit" not in upkeep(process)
    head = read_head(redis)
    assert head.n == 2
    assert [one.hash for one in published_heads(redis)] == [head.hash]
    ((oldest, fields), *others) = redis.xrange(LINKED)
    # An hour later.
    redis.delete(LINKED)
    redis.xadd(LINKED, fields, id=f"{int(oldest.partition('-')[0]) - EVERY_MS}-0")
    for entry_id, more in others:
        redis.xadd(LINKED, more, id=entry_id)
    assert "copy_audit" in upkeep(process)


def test_segments_are_sealed_to_the_reviewers(
    process: WorkerProcess, redis: Redis, tmp_path: Path, key: x25519.Identity
):
    """The store would tell who looked at what, to whoever can read it."""
    append_entry(redis, audit_entry(Act.VIEW, by="kim-the-reviewer", verified=True, subject="5a"))
    upkeep(process)
    assert not copy_audit(process)
    store = ObjectStore(str(tmp_path / "store"))
    ((segment,), _) = segments_in(store, read_head(redis).chain)
    assert segment.sealed
    assert b"kim" not in (tmp_path / "store" / segment.path).read_bytes()
    entries = read_segment(store, segment, opened=Identity([key]).decrypt)
    assert [entry.n for entry in entries or () if entry is not None] == [1, 2]


def test_keys_that_cannot_be_read_leave_the_log_in_redis(
    process: WorkerProcess, redis: Redis, tmp_path: Path, recipients: Path, caplog: pytest.LogCaptureFixture
):
    """A typing error in the file of keys would stop upkeep, or put the log into the store in the clear."""
    recipients.write_text("age1nothing\n")
    append_entry(redis, audit_entry(Act.VIEW, by="kim", verified=True, subject="5a"))
    upkeep(process)
    with caplog.at_level(logging.WARNING):
        assert not copy_audit(process)
    assert "expected a public key" in caplog.text
    assert not list((tmp_path / "store").rglob("*.jsonl*"))
    assert redis.xlen(LINKED) == 2
    recipients.write_text(f"{x25519.Identity.generate().to_public()}\n")
    assert not copy_audit(process)
    assert len(list((tmp_path / "store").rglob("*.age"))) == 1
