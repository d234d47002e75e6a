"""Entries for people, from Redis and from the store."""

import time
from collections.abc import Callable
from pathlib import Path

from redis import Redis

from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.redis_log import HEAD, LINKED, UNLINKED
from worker.audit.search import AuditSearch, EntryFilter
from worker.store.object_store import ObjectStore

Acts = Callable[..., None]


def found(redis: Redis, store: ObjectStore, **wanted: object) -> list[tuple[int | None, str]]:
    search = AuditSearch(redis, store, opened=None)
    return [(one["n"], one["by"]) for one in search.find(EntryFilter(**wanted))]  # type: ignore[arg-type]


def test_entries_are_found_once_wherever_they_are(redis: Redis, store: ObjectStore, acts: Acts):
    """An act would be missing from the list, or be in it twice, depending on where it is kept."""
    acts(1, by="ann")
    copy_log(redis, store, sealed=None, deployment="test")
    redis.xtrim(LINKED, maxlen=0, approximate=False)
    acts(1, by="bob")
    copy_log(redis, store, sealed=None, deployment="test")
    acts(1, by="cyd")
    append_entry(redis, audit_entry(Act.VIEW, by="dan", verified=False, subject="5a"))
    expected = [(None, "dan"), (4, "cyd"), (3, "bob"), (2, "ann"), (1, "worker")]
    assert found(redis, store) == expected
    # As after a copier that died: the same entries in two segments.
    redis.hdel(HEAD, "copied_id")
    copy_log(redis, store, sealed=None, deployment="test")
    assert found(redis, store) == expected


def test_entries_are_found_by_person_act_subject_and_time(redis: Redis, store: ObjectStore, acts: Acts):
    """An auditor would read thousands of entries to find one person's looks."""
    acts(1, by="Ann", act=Act.TAKE, subject="0a1b")
    copy_log(redis, store, sealed=None, deployment="test")
    acts(1, by="Bob", act=Act.VIEW, subject="0a1c")
    assert found(redis, store, by="ann") == [(2, "Ann")]
    assert found(redis, store, act="view") == [(3, "Bob")]
    assert found(redis, store, subject="0a1") == [(3, "Bob"), (2, "Ann")]
    assert found(redis, store, subject="0a1b") == [(2, "Ann")]
    assert found(redis, store, since_ms=round(time.time() * 1000) + 60_000) == []
    assert len(found(redis, store, since_ms=round(time.time() * 1000) - 60_000)) == 3


def test_all_that_was_done_to_an_incident_is_found(redis: Redis, store: ObjectStore):
    """An auditor who asks about one incident would not see who viewed its pictures, or took it with its case."""
    for act, subject, details in (
        (Act.TAKE, "0a1b", {"others": "0b22 0c33"}),
        (Act.VIEW, "9f00", {"incident": "0b22", "stream": "cam-1"}),
        (Act.REPORT, "case-7", {"incidents": ["0a1b", "0b22"]}),
        (Act.PURGE, "0b22", {"items": ["9f00 51aa"], "case": "case-7"}),
        (Act.VIEW, "9f01", {"incident": "0d44", "reason": "0b22 is another"}),
    ):
        append_entry(redis, audit_entry(act, by=str(act), verified=True, subject=subject, **details))  # type: ignore[arg-type]
    for subject, acts in (
        ("0b2", ["purge", "report", "view", "take"]),
        ("0c33", ["take"]),
        ("9f00", ["purge", "view"]),
        ("case-7", ["purge", "report"]),
        ("cam-1", ["view"]),
        ("b22", []),
    ):
        assert [by for _, by in found(redis, store, subject=subject)] == acts, subject


def test_sealed_and_damaged_segments_are_counted(redis: Redis, store: ObjectStore, acts: Acts, tmp_path: Path):
    """A list that lacks months would read as if nothing had happened in them."""
    acts(1)
    copy_log(redis, store, sealed=lambda content: content[::-1], deployment="test")
    redis.xtrim(LINKED, maxlen=0, approximate=False)
    search = AuditSearch(redis, store, opened=None)
    assert list(search.find(EntryFilter())) == []
    assert search.unopened == 1
    assert len(list(AuditSearch(redis, store, opened=lambda content: content[::-1]).find(EntryFilter()))) == 2


def test_foreign_entries_are_shown_as_such(redis: Redis, store: ObjectStore, acts: Acts):
    """A planted entry would hide all others behind a traceback."""
    redis.xadd(UNLINKED, {b"entry": b"\xff"})
    acts(1)
    redis.xadd(UNLINKED, {b"entry": b"[]"})
    records = list(AuditSearch(redis, store, opened=None).find(EntryFilter()))
    assert [one["act"] for one in records] == ["malformed", "view", "malformed", "chain"]
