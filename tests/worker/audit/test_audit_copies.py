"""The audit log's way into the store, with a real Valkey and a real folder."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from worker.audit import copies
from worker.audit.chainer import link_waiting
from worker.audit.copies import KEPT, LEASE, copy_log, is_due
from worker.audit.entries import Act, audit_entry
from worker.audit.published_heads import published_heads
from worker.audit.redis_log import HEAD, LINKED, UNLINKED, read_head, read_linked
from worker.audit.segments import chains_in, read_segment, segments_in
from worker.errors import ObjectStoreError
from worker.store.lease import leased
from worker.store.object_store import ObjectStore

Acts = Callable[..., None]


def copy(redis: Redis, store: ObjectStore) -> bool:
    return copy_log(redis, store, sealed=None, deployment="test")


def numbers(store: ObjectStore) -> list[int]:
    """Numbers of the entries in the store, file by file."""
    found = []
    for chain in chains_in(store):
        for segment in segments_in(store, chain)[0]:
            entries = read_segment(store, segment, opened=None)
            assert entries is not None
            found += [entry.n for entry in entries if entry is not None]
    return found


def test_entries_are_copied_and_the_head_is_published(redis: Redis, store: ObjectStore, acts: Acts):
    """With Redis the whole record of people's acts would be lost."""
    acts(3)
    assert not copy(redis, store)
    assert numbers(store) == [1, 2, 3, 4]
    head = read_head(redis)
    assert (head.copied_n, head.copied_hash) == (4, head.hash)
    acts(2)
    assert not copy(redis, store)
    (first, second), foreign = segments_in(store, head.chain)
    assert (first.first, first.last, second.first, second.last) == (1, 4, 5, 6)
    assert second.previous == first.hash
    assert foreign == []
    assert [one.n for one in published_heads(redis)] == [6, 4]


def test_nothing_is_copied_until_it_is_time(
    redis: Redis, store: ObjectStore, acts: Acts, monkeypatch: pytest.MonkeyPatch
):
    """The store would get a file for each act, or none for days."""
    assert not is_due(redis)
    acts()
    assert not is_due(redis)
    monkeypatch.setattr(copies, "EVERY_MS", 0)
    assert is_due(redis)
    with leased(redis, LEASE):
        assert not is_due(redis)
        assert not copy(redis, store)
    assert numbers(store) == []
    copy(redis, store)
    assert not is_due(redis)


def test_many_entries_are_copied_at_once(redis: Redis, store: ObjectStore):
    """A busy desk's log would fill Redis for an hour."""
    with redis.pipeline(transaction=False) as pipe:
        for number in range(KEPT + 700):
            pipe.xadd(UNLINKED, {"entry": audit_entry(Act.VIEW, by="k", verified=False, subject=f"{number}")})
        pipe.execute()
    link_waiting(redis)
    assert is_due(redis)
    assert not copy(redis, store)
    assert numbers(store) == list(range(1, KEPT + 702))
    assert redis.xlen(LINKED) == KEPT
    assert next(read_linked(redis)).entry.n == 702  # type: ignore[union-attr]


def test_a_store_that_is_away_keeps_the_log_in_redis(
    redis: Redis, store: ObjectStore, acts: Acts, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Entries would be deleted that are nowhere else; or a dead store be asked every two seconds."""
    acts(2)
    (tmp_path / "store").write_text("a file where the folder belongs")
    with caplog.at_level(logging.WARNING):
        assert not copy(redis, store)
    assert "the audit log cannot be copied into the store, and stays in Redis" in caplog.text
    assert redis.xlen(LINKED) == 3
    assert not is_due(redis)
    (tmp_path / "store").unlink()
    copy(redis, store)
    assert numbers(store) == [1, 2, 3]


class LyingStore(ObjectStore):
    """A store that confirms what it does not keep."""

    def write(self, path: str, data: bytes | memoryview) -> None:
        super().write(path, bytes(data)[:-1])


def test_a_store_that_lies_does_not_empty_redis(redis: Redis, acts: Acts, tmp_path: Path):
    """The log would be deleted from Redis on the word of a store that has lost it."""
    acts(2)
    lying = LyingStore(str(tmp_path / "store"))
    assert not copy(redis, lying)
    assert read_head(redis).copied_n == 0
    assert redis.xlen(LINKED) == 3
    with pytest.raises(ObjectStoreError, match="other content"):
        copies.write_segment(lying, segments_in(lying, chains_in(lying)[0])[0][0], b"{}\n")


def test_a_copier_that_dies_before_it_records_the_copy_loses_nothing(redis: Redis, store: ObjectStore, acts: Acts):
    """After a death the entries would be in no file, or never be deleted from Redis."""
    acts(2)
    copy(redis, store)
    redis.hdel(HEAD, "copied_id", "copied_chain", "copied_n", "copied_hash")
    acts(1)
    copy(redis, store)
    assert sorted(set(numbers(store))) == [1, 2, 3, 4]
    assert read_head(redis).copied_n == 4


def test_sealed_segments_hold_no_clear_text(redis: Redis, store: ObjectStore, acts: Acts, tmp_path: Path):
    """Whoever reads the store would learn which people looked at which incidents."""
    acts(2, by="kim-the-reviewer")
    turned = bytes(range(255, -1, -1))
    copy_log(redis, store, sealed=lambda content: content.translate(turned), deployment="test")
    (path,) = (one for one in (tmp_path / "store").rglob("*") if one.is_file())
    assert path.name.endswith(".jsonl.age")
    assert b"kim" not in path.read_bytes()
    ((segment,), _) = segments_in(store, read_head(redis).chain)
    assert read_segment(store, segment, opened=None) is None
    opened = read_segment(store, segment, opened=lambda content: content.translate(turned))
    assert [entry.n for entry in opened or () if entry is not None] == [1, 2, 3]


def test_without_its_keys_nothing_is_copied_in_the_clear(redis: Redis, store: ObjectStore, acts: Acts):
    """A recipients file that is missing for a moment would put the log into the store in the clear."""
    acts()

    def no_keys(content: bytes) -> bytes:
        raise ObjectStoreError("recipients: no such file")

    assert not copy_log(redis, store, sealed=no_keys, deployment="test")
    assert numbers(store) == []


def test_a_damaged_entry_is_not_copied_as_if_it_were_whole(redis: Redis, store: ObjectStore, acts: Acts):
    """A segment's entries would not follow one another, and the damage be deleted from Redis."""
    acts(1)
    redis.xadd(LINKED, {"n": "x"})
    acts(1)
    assert not copy(redis, store)
    assert numbers(store) == [1, 2]
    assert not copy(redis, store)
    assert redis.xlen(LINKED) == 4


def test_a_chain_names_the_ones_before_it(redis: Redis, store: ObjectStore, acts: Acts):
    """The log of before a loss of Redis could be removed from the store, and nobody would miss it."""
    acts(2)
    copy(redis, store)
    before = read_head(redis)
    redis.flushall()
    acts(1)
    copy(redis, store)
    link_waiting(redis)
    newest = list(read_linked(redis))[-1].entry
    assert newest is not None
    assert f"{before.chain} 3 {before.hash}" in newest.entry
