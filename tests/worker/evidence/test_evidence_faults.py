"""Faults of one side, spool or store: they keep the other side from nothing."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from evidence_items import Pair, evict, promote, sealed_item
from faulty_store import FaultyFiles
from redis import Redis

from worker.errors import EvidenceError, ObjectStoreError
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.expiry import EXPIRE_SECONDS, SpoolExpiry
from worker.evidence.forgotten import NOTICED_SECONDS
from worker.evidence.item import SealedItem
from worker.evidence.item_states import backlog, states_of
from worker.evidence.record import CANDIDATE_BUCKET_MS, stored_path
from worker.evidence.spool import Spool
from worker.evidence.sweep import OLD_BUCKETS, sweep
from worker.evidence.upload import ASK_SECONDS, Uploader
from worker.health.redis_epoch import EPOCH
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms
from worker.store.redis_keys import EVIDENCE_SWEPT, EVIDENCE_UNWANTED

PAIR = Pair()
INCIDENT = "i-1"


class FaultedEvidence:
    """Evidence on its way, between a spool and a store of which either may fail."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis, self.seconds = redis, 0.0
        self.folder, self.url = folder / "spool", f"faulty://{folder / 'store'}"
        self.spool = Spool(self.folder, 100_000_000)
        self.store = EvidenceStore(lambda: ObjectStore(self.url))
        self.uploader = self.uploader_of(self.spool)

    def uploader_of(self, spool: Spool) -> Uploader:
        return Uploader(self.redis, spool, lambda: ObjectStore(self.url), clock=lambda: self.seconds, deployment="test")

    def item(self, seed: int, *, stored: bool = False) -> SealedItem:
        """An incident's item, in the store or in the spool."""
        item = sealed_item(PAIR, seed)
        promote(self.redis, INCIDENT, item)
        if stored:
            self.store.put(INCIDENT, item.ref, item.sealed)
            self.redis.set(f"lw:evidence:item:{item.ref}", f"{INCIDENT} stored")
        else:
            self.spool.put([item])
        return item

    def old_copy(self, seed: int) -> SealedItem:
        """The copy of a candidate that no incident took."""
        item = sealed_item(PAIR, seed)
        self.store.put_candidate(now_ms(self.redis) // CANDIDATE_BUCKET_MS - OLD_BUCKETS, item.ref, item.sealed)
        return item

    def step_with_sweep(self) -> float | None:
        self.redis.delete(EVIDENCE_SWEPT.name)
        self.seconds += ASK_SECONDS
        return self.uploader.step()

    def stored(self) -> set[str]:
        """References of all items in the store."""
        candidates = (ref for bucket in self.store.buckets() for ref in self.store.candidates(bucket))
        return {*self.store.refs(INCIDENT), *candidates}

    def spooled(self) -> set[str]:
        return {entry.ref for entry in self.spool.entries()}


@pytest.fixture
def faulted(redis: Redis, tmp_path: Path) -> Iterator[FaultedEvidence]:
    """Evidence on its way."""
    FaultyFiles.reset()
    yield FaultedEvidence(redis, tmp_path)
    FaultyFiles.reset()


@pytest.fixture
def frozen_disk(faulted: FaultedEvidence, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[Callable[[], None]]:
    """Makes the spool's disk read-only, as a file system does that has met an error."""
    faulted.folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=10m", "livewarden-test", faulted.folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        ci_or_skip("this process may not mount a disk")
    yield lambda: subprocess.run(["mount", "-o", "remount,ro", faulted.folder], check=True) and None
    subprocess.run(["umount", "--lazy", faulted.folder], check=True)


def test_a_full_store_loses_what_must_leave_it(faulted: FaultedEvidence) -> None:
    """Pictures that nobody may keep would lie in a full store for as long as it is full, and fill it."""
    waiting, evicted, copy = faulted.item(1), faulted.item(2, stored=True), faulted.old_copy(3)
    evict(faulted.redis, INCIDENT, evicted.ref)
    assert faulted.stored() == {evicted.ref, copy.ref}
    FaultyFiles.refuses = OSError(28, "No space left on device")
    assert faulted.step_with_sweep() is not None
    assert faulted.stored() == set()
    assert faulted.spooled() == {waiting.ref}


def test_what_the_store_refuses_to_remove_keeps_nothing_else_there(faulted: FaultedEvidence) -> None:
    """One foreign folder would keep every evicted picture, and every candidate of the deployment, for good."""
    evicted, copies = [faulted.item(seed, stored=True) for seed in range(3)], [faulted.old_copy(7), faulted.old_copy(8)]
    evict(faulted.redis, INCIDENT, *(item.ref for item in evicted))
    root = Path(faulted.url.removeprefix("faulty://"))
    blocked = [root / stored_path(INCIDENT, next(iter(faulted.redis.hkeys(EVIDENCE_UNWANTED.name))))]
    blocked += [next(root.glob(f"evidence/candidates/*/{min(copy.ref for copy in copies)}.age"))]
    for path in blocked:
        path.unlink()
        (path / "foreign").mkdir(parents=True)
    with pytest.raises(ObjectStoreError):
        sweep(faulted.redis, faulted.store, faulted.spool)
    assert faulted.stored() == {path.stem for path in blocked}
    assert faulted.redis.hkeys(EVIDENCE_UNWANTED.name) == [blocked[0].stem]


def test_a_spool_that_refuses_keeps_nothing_in_the_store(faulted: FaultedEvidence) -> None:
    """An evicted picture, and copies of candidates, would stay in the store because one host's disk is broken."""
    evicted, copy = faulted.item(1, stored=True), faulted.old_copy(2)
    evict(faulted.redis, INCIDENT, evicted.ref)
    (faulted.folder / f"{evicted.ref}.hit.age" / "foreign").mkdir(parents=True)
    with pytest.raises(EvidenceError):
        sweep(faulted.redis, faulted.store, faulted.spool)
    assert faulted.stored() == set()
    assert faulted.redis.hkeys(EVIDENCE_UNWANTED.name) == [evicted.ref]
    assert copy.ref not in faulted.stored()


def test_a_read_only_spool_is_carried_into_the_store(faulted: FaultedEvidence, frozen_disk: Callable[[], None]) -> None:
    """A disk that has met an error, and may be gone soon, would keep evidence that can still be read."""
    items = [faulted.item(seed) for seed in range(3)]
    evicted = faulted.item(9, stored=True)
    frozen_disk()
    evict(faulted.redis, INCIDENT, evicted.ref)
    for _ in range(2):
        with pytest.raises(EvidenceError):
            faulted.step_with_sweep()
    assert faulted.stored() == {item.ref for item in items}
    assert backlog(faulted.redis) == (0, 0)
    # The spool never had it.
    assert faulted.redis.hlen(EVIDENCE_UNWANTED.name) == 0


class Unreadable(Spool):
    """A spool that cannot be read for a moment, as by a process that has too many files open."""

    fails = True

    def read(self, ref: str) -> bytes:
        if self.fails:
            raise EvidenceError(f"{ref}: Too many open files", reason="spool")
        return super().read(ref)


def test_an_item_that_cannot_be_read_at_the_moment_is_not_damaged(
    faulted: FaultedEvidence, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker short of file handles for a second would have all evidence of that second called altered, for good."""
    item = faulted.item(1)
    spool = Unreadable(faulted.folder, 100_000_000)
    uploader = faulted.uploader_of(spool)
    with pytest.raises(EvidenceError, match="Too many open files"):
        uploader.step()
    assert states_of(faulted.redis, [item.ref])[item.ref].waits
    assert faulted.spooled() == {item.ref}
    spool.fails = False
    uploader.step()
    assert faulted.stored() == {item.ref}
    assert "damaged" not in caplog.text


def test_candidates_expire_while_the_store_hangs(faulted: FaultedEvidence) -> None:
    """While a store neither takes nor refuses, pictures of people whom no incident concerns would be kept."""
    expiry = SpoolExpiry(faulted.redis, faulted.spool, clock=lambda: faulted.seconds)
    waiting, candidate = faulted.item(1), sealed_item(PAIR, 2)
    faulted.spool.put([candidate])
    FaultyFiles.hangs = threading.Event()
    hanging = threading.Thread(target=faulted.uploader.step)
    hanging.start()
    assert FaultyFiles.entered.wait(60)
    try:
        expiry.step()
        faulted.seconds += EXPIRE_SECONDS - 1
        expiry.step()
        assert faulted.spooled() == {waiting.ref, candidate.ref}
        faulted.seconds += 1
        expiry.step()
        assert faulted.spooled() == {waiting.ref}
    finally:
        FaultyFiles.hangs.set()
        hanging.join(60)
    assert faulted.stored() == {waiting.ref}


@pytest.mark.parametrize("left", ["nothing", "an older copy"])
def test_evidence_that_waits_outlives_a_loss_of_redis_s_data(faulted: FaultedEvidence, left: str) -> None:
    """One host with Redis and the store on it fails, and workers would delete the only copies in the next second."""
    faulted.redis.hset(EPOCH, "id", "one")
    waiting, purged = faulted.item(1), faulted.item(2)
    FaultyFiles.refuses = ConnectionError("reset")
    faulted.uploader.step()
    faulted.seconds += EXPIRE_SECONDS
    expiry = SpoolExpiry(faulted.redis, faulted.spool, clock=lambda: faulted.seconds)
    expiry.step()
    faulted.uploader.step()
    evict(faulted.redis, INCIDENT, purged.ref)
    for _ in range(3):
        faulted.seconds += NOTICED_SECONDS
        faulted.uploader.step()
    assert faulted.spooled() == {waiting.ref}

    faulted.redis.flushall()
    if left != "nothing":
        faulted.redis.hset(EPOCH, "id", "one")
    for seconds in (0, 1, EXPIRE_SECONDS if left == "nothing" else 8):
        faulted.seconds += seconds
        faulted.uploader.step()
    faulted.redis.hset(EPOCH, "id", "two")
    for _ in range(3):
        faulted.seconds += EXPIRE_SECONDS
        faulted.uploader.step()
        expiry.step()
    assert faulted.spooled() == {waiting.ref}
    FaultyFiles.refuses = None
    faulted.uploader.step()
    assert faulted.stored() == {waiting.ref}
    assert faulted.spooled() == set()
