"""`livewarden audit verify`: each test alters the log where somebody could, in Redis or in the store."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from worker.audit.chain import LinkedEntry, link
from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.published_heads import publish_head
from worker.audit.redis_log import HEAD, LINKED, UNLINKED, read_head, read_linked
from worker.audit.segments import FOLDER, AuditSegment, read_segment, segments_in, to_lines
from worker.audit.verification import LINKED_WITHIN_MS, AuditReport, late_entries, verify
from worker.errors import ObjectStoreError
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms

Acts = Callable[..., None]


def sealed(content: bytes) -> bytes:
    """Stands in for age, of which the audit room knows nothing."""
    return b"sealed" + content[::-1]


def opened(content: bytes) -> bytes:
    if not content.startswith(b"sealed"):
        raise ObjectStoreError("was altered", damaged=True)
    return content[6:][::-1]


@dataclass
class Log:
    """A log whose entries can be altered behind its back."""

    redis: Redis
    store: ObjectStore
    acts: Acts

    def copy(self, *, seal: bool = False) -> None:
        assert not copy_log(self.redis, self.store, sealed=sealed if seal else None, deployment="test")

    def publish(self) -> None:
        assert publish_head(self.redis, deployment="test")

    def verify(self) -> AuditReport:
        return verify(self.redis, self.store, opened=opened)

    def faults(self) -> list[tuple[str, int]]:
        return [(fault.kind.value, fault.n) for fault in self.verify().faults]

    @property
    def chain(self) -> str:
        return read_head(self.redis).chain

    def entries(self) -> list[LinkedEntry]:
        return [one.entry for one in read_linked(self.redis) if one.entry is not None]

    def rewrite(self, entries: list[Any], *, head: bool = False) -> None:
        """Puts these entries into Redis in the place of its own, and if `head` makes the last one the head."""
        self.redis.delete(LINKED)
        last = ""
        for entry in entries:
            last = str(self.redis.xadd(LINKED, entry.fields() if isinstance(entry, LinkedEntry) else entry))
        self.redis.hset(HEAD, "last_id", last)
        if head:
            self.redis.hset(HEAD, mapping={"n": entries[-1].n, "hash": entries[-1].hash})

    def segments(self) -> list[AuditSegment]:
        return segments_in(self.store, self.chain)[0]

    def file(self, number: int) -> Path:
        return Path(self.store.root) / self.segments()[number].path

    def in_file(self, number: int) -> list[LinkedEntry]:
        read = read_segment(self.store, self.segments()[number], opened=opened)
        return [entry for entry in read or () if entry is not None]


@pytest.fixture
def log(redis: Redis, store: ObjectStore, acts: Acts) -> Log:
    """Five entries in the store and in Redis, and three in Redis only: numbers 1 to 5, and 6 to 8."""
    log = Log(redis, store, acts)
    acts(4)
    log.copy()
    acts(3)
    return log


def forged(entry: LinkedEntry, text: str = '{"act":"view","by":"nobody"}') -> LinkedEntry:
    """An entry with another text and its right hash."""
    return link(entry.chain, entry.n - 1, entry.previous, [(entry.at_ms, text)])[0]


def test_a_log_in_store_and_redis_is_one_chain(log: Log):
    """Every verification would report faults, and soon nobody would read them."""
    log.publish()
    report = log.verify()
    assert report.faults == ()
    assert report.whole
    assert [(one.last, one.in_store, one.current) for one in report.chains] == [(8, 5, True)]
    assert report.published is not None
    assert (report.published.n, report.unlinked, report.unopened) == (8, 0, 0)


def test_a_log_without_any_entry(redis: Redis, store: ObjectStore):
    """A new deployment's first verification would end in a traceback."""
    report = verify(redis, store, opened=None)
    assert (report.whole, report.chains, report.published) == (True, (), None)


def test_a_purged_log_is_verified_from_the_store(log: Log):
    """What Redis does not have any more would be reported as missing, or not be verified."""
    log.redis.xtrim(LINKED, maxlen=3, approximate=False)
    assert log.faults() == []
    lines = log.file(0).read_bytes().splitlines(keepends=True)
    log.file(0).write_bytes(b"".join([lines[0], lines[1].replace(b"kim", b"lea"), *lines[2:]]))
    assert log.faults() == [("altered", 2)]


def test_an_entry_that_is_altered_in_redis_is_found(log: Log):
    """A name could be changed to another person's."""
    entries = log.entries()
    for place in (2, 6):
        altered = [*entries]
        altered[place] = LinkedEntry.of(entries[place].fields() | {"entry": entries[place].entry.replace("kim", "lea")})  # type: ignore[call-overload]
        log.rewrite(altered)
        assert ("altered", place + 1) in log.faults()


def test_an_entry_that_is_replaced_with_its_hash_is_found(log: Log):
    """Whoever knows the formula could replace an entry."""
    entries = log.entries()
    log.rewrite([*entries[:6], forged(entries[6]), entries[7]])
    assert ("altered", 8) in log.faults()
    # The newest entry, and the head with it.
    log.rewrite([*entries[:7], forged(entries[7])])
    assert ("added", 8) in log.faults()
    log.rewrite(entries)
    log.publish()
    log.rewrite([*entries[:7], forged(entries[7])], head=True)
    assert ("forked", 8) in log.faults()


def test_an_end_that_is_linked_anew_is_found_by_its_copy(log: Log):
    """Whoever may write Redis could link a whole new end, if nothing outside of Redis said otherwise."""
    entries = log.entries()
    start = entries[2]
    new = link(start.chain, start.n, start.hash, [(one.at_ms, one.entry.replace("kim", "lea")) for one in entries[3:]])
    log.rewrite([*entries[:3], *new], head=True)
    assert ("forked", 5) in log.faults()


def test_a_removed_entry_is_found(log: Log):
    """A look could be taken out of the record."""
    entries = log.entries()
    log.rewrite([*entries[:6], entries[7]])
    assert ("removed", 7) in log.faults()
    log.rewrite([*entries[:2], *entries[3:]])
    assert ("removed", 3) in log.faults()
    log.rewrite(entries[6:])
    assert ("removed", 6) in log.faults()


def test_an_added_entry_is_found(log: Log):
    """An act could be put into the record that never was."""
    entries = log.entries()
    log.rewrite([*entries[:6], forged(entries[6]), *entries[6:]])
    assert ("added", 7) in log.faults()
    log.rewrite(entries)
    extra = link(log.chain, 8, entries[7].hash, [(1, '{"act":"view"}')])
    log.rewrite([*entries, *extra])
    assert ("added", 8) in log.faults()
    log.rewrite([*entries, {"act": "view"}])
    assert [kind for kind, _ in log.faults()] == ["unreadable"]


def test_an_entry_that_was_added_and_removed_again_is_found(log: Log):
    """Somebody could try the stream of linked entries unseen."""
    added = log.redis.xadd(LINKED, {"n": "9"})
    log.redis.xdel(LINKED, added)
    assert log.faults() == [("added", 8)]


def test_reordered_entries_are_found(log: Log):
    """A decision could be moved before the look that it rests on."""
    entries = log.entries()
    log.rewrite([*entries[:5], entries[6], entries[5], entries[7]])
    assert log.faults() == [("reordered", 6)]


def test_a_cut_off_end_is_found(log: Log):
    """The newest acts, the likeliest to be hidden, could be cut off."""
    entries = log.entries()
    log.publish()
    ids = [one.id for one in read_linked(log.redis)]
    log.redis.xdel(LINKED, *ids[-2:])
    assert ("cut", 7) in log.faults()
    # With the head, and with the stream's own memory of its last ID.
    log.rewrite(entries[:6], head=True)
    assert log.faults() == [("cut", 7)]
    log.redis.delete(LINKED)
    assert ("cut", 1) in log.faults()


def test_a_cut_after_the_last_published_head_is_said_to_be_possible(log: Log):
    """An auditor would take the newest hour for proved."""
    log.publish()
    log.acts(2)
    log.rewrite(log.entries()[:8], head=True)
    report = log.verify()
    assert report.whole
    assert report.published is not None
    assert report.published.n == 8


def test_altered_segments_of_the_store_are_found(log: Log):
    """Whoever may write the store could change the past of years ago."""
    lines = log.file(0).read_bytes().splitlines(keepends=True)
    for changed, fault in [
        ([lines[0], lines[2], lines[1], *lines[3:]], ("reordered", 2)),
        ([lines[0], *lines[2:]], ("removed", 2)),
        ([lines[0], lines[1], lines[1], *lines[2:]], ("added", 2)),
        (lines[:-1], ("removed", 5)),
        ([b"{}\n", *lines[1:]], ("unreadable", 1)),
        ([b"\xff\n", *lines], ("unreadable", 1)),
    ]:
        log.file(0).write_bytes(b"".join(changed))
        assert fault in log.faults(), fault
    entries = [LinkedEntry.of(json.loads(line)) for line in lines]
    assert entries[1] is not None
    new = link(
        log.chain, 1, entries[1].previous, [(one.at_ms, one.entry.replace("kim", "lea")) for one in entries[1:] if one]
    )
    log.file(0).write_bytes(lines[0] + to_lines(new))
    assert ("altered", 5) in log.faults()


def test_segments_that_are_missing_or_moved_are_found(log: Log):
    """An hour of the past could be taken out of the store."""
    log.copy()
    log.acts(2)
    log.copy()
    log.redis.xtrim(LINKED, maxlen=1, approximate=False)
    assert log.faults() == []
    kept = log.file(1).rename(log.file(1).with_name("elsewhere"))
    assert log.faults() == [("unreadable", 0), ("removed", 6)]
    kept.rename(Path(log.store.root) / "kept")
    assert log.faults() == [("removed", 6)]
    log.file(-1).unlink()
    log.redis.delete(LINKED)
    assert {kind for kind, _ in log.faults()} == {"cut", "removed"}
    shutil.rmtree(Path(log.store.root) / FOLDER)
    assert {kind for kind, _ in log.faults()} == {"cut", "removed"}


def test_entries_that_are_not_linked_are_reported(log: Log):
    """A dead chainer would be noticed by nobody, while entries are not protected yet."""
    append_entry(log.redis, audit_entry(Act.VIEW, by="kim", verified=True, subject="5a"))
    assert log.verify().unlinked == 1
    assert log.faults() == []
    assert late_entries(log.redis) == 0
    log.redis.delete(UNLINKED)
    for ago in (LINKED_WITHIN_MS + 5_000, 0):
        entry = audit_entry(Act.VIEW, by="kim", verified=True, subject="5a")
        log.redis.xadd(UNLINKED, {"entry": entry}, id=f"{now_ms(log.redis) - ago}-0")
    assert log.faults() == [("unlinked", 0)]
    assert late_entries(log.redis) == 2


def test_entries_that_were_removed_before_they_were_linked_are_reported(log: Log):
    """The chainer's note would lie in the log, and nobody read it."""
    append_entry(log.redis, audit_entry(Act.VIEW, by="kim", verified=True, subject="5a"))
    log.redis.xtrim(UNLINKED, maxlen=0, approximate=False)
    log.acts(1)
    assert log.faults() == [("removed", 9)]


def test_a_redis_that_lost_its_data_is_named(log: Log):
    """An auditor could not tell a loss of Redis from entries that somebody removed."""
    before = log.chain
    log.redis.flushall()
    (lost,) = log.verify().faults
    assert (lost.kind, lost.chain, lost.n) == ("lost", before, 5)
    assert "has no audit log" in lost.text
    log.acts(2)
    report = log.verify()
    (lost,) = report.faults
    assert (lost.kind, lost.chain, lost.n) == ("lost", before, 5)
    assert "began another chain" in lost.text
    assert {(one.chain, one.last, one.current) for one in report.chains} == {(before, 5, False), (log.chain, 3, True)}


def test_a_redis_that_was_restored_is_named(log: Log):
    """The chain of after a restored backup would read as if entries had been replaced, with no way to tell."""
    before = {key: log.redis.dump(key) for key in (LINKED, HEAD, UNLINKED)}
    log.acts(2)
    log.copy()
    for key, content in before.items():
        assert content is not None
        log.redis.restore(key, 0, content, replace=True)
    log.acts(3)
    log.copy()
    report = log.verify()
    (forked,) = report.faults
    assert forked.kind == "forked"
    assert "Redis was restored to an older state" in forked.text
    # Nothing that either branch has is lost: 10 entries of the one, and 9 to 11 of the other.
    assert len({entry.hash for number in range(3) for entry in log.in_file(number)}) == 13


def test_a_chain_that_is_gone_altogether_is_missed(log: Log):
    """All of the log could be removed at once."""
    log.publish()
    before = log.chain
    shutil.rmtree(Path(log.store.root) / FOLDER)
    log.redis.delete(LINKED, HEAD, UNLINKED)
    assert ("cut", 1) in log.faults()
    assert before in {fault.chain for fault in log.verify().faults}


def test_a_missing_head_is_reported(log: Log):
    """The log would have no end that could be compared."""
    log.redis.delete(HEAD)
    assert ("cut", 0) in log.faults()


def test_sealed_segments_are_verified_by_their_names_without_the_key(log: Log):
    """An auditor without the key would believe that all was verified, or could verify nothing."""
    log.copy(seal=True)
    assert log.faults() == []
    report = verify(log.redis, log.store, opened=None)
    assert (report.whole, report.unopened) == (True, 1)
    sealed_file = log.file(1)
    sealed_file.write_bytes(b"other" + sealed_file.read_bytes())
    assert log.faults() == [("unreadable", 6)]
    sealed_file.unlink()
    assert {fault.kind for fault in verify(log.redis, log.store, opened=None).faults} == {"removed"}


def test_a_store_that_is_away_is_no_verdict(log: Log):
    """A store that is away would read as a log that was removed."""
    root = Path(log.store.root)
    root.rename(root.with_name("away"))
    root.write_text("")
    with pytest.raises(ObjectStoreError):
        log.verify()
