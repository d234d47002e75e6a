"""The way from the spool into the store: nothing is lost, nothing is kept for too long, whatever the store does."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from evidence_items import Pair, evict, promote, sealed_item
from faulty_store import FaultyFiles
from forked_processes import forking
from hls_origin import eventually
from redis import Redis
from s3_server import s3_server

from config.settings import Settings
from worker.errors import ObjectStoreError
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.expiry import EXPIRE_SECONDS
from worker.evidence.item import EvidenceKind, SealedItem
from worker.evidence.item_states import backlog, states_of
from worker.evidence.record import CANDIDATE_BUCKET_MS, stored_path
from worker.evidence.spool import Spool
from worker.evidence.sweep import SWEEP_SECONDS, sweep
from worker.evidence.upload import (
    ASK_SECONDS,
    COPY_SECONDS,
    LOCK,
    REST_SECONDS,
    Uploader,
    keep_uploading,
)
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms
from worker.store.redis_keys import CANDIDATES, EVIDENCE, EVIDENCE_SWEPT, EVIDENCE_UNWANTED, EVIDENCE_WAITING

PAIR = Pair()
INCIDENT = "i-1"


class Clock:
    """Monotonic time that a test sets."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Upload:
    """A spool, a store and an uploader between them."""

    def __init__(self, redis: Redis, folder: Path, url: str) -> None:
        self.redis, self.clock, self.url = redis, Clock(), url
        self.spool = Spool(folder / "spool", 100_000_000)
        self.store = EvidenceStore(lambda: ObjectStore(url))
        self.again()

    def again(self) -> None:
        """Another process takes over."""
        self.uploader = Uploader(
            self.redis, self.spool, lambda: ObjectStore(self.url), clock=self.clock, deployment="test"
        )

    def step(self, *, seconds: float = 0.0) -> float | None:
        """A step, so many seconds later, without a sweep."""
        self.clock.seconds += seconds
        self.redis.set(EVIDENCE_SWEPT.name, 1)
        return self.uploader.step()

    def sweep(self) -> None:
        sweep(self.redis, self.store, self.spool)

    def item(self, seed: int = 0, *, promoted: bool = True, kind: str = "hit") -> SealedItem:
        """An item in the spool."""
        item = sealed_item(PAIR, seed, kind=EvidenceKind(kind))
        self.spool.put([item])
        if promoted:
            promote(self.redis, INCIDENT, item)
        return item

    def spooled(self) -> set[str]:
        return {entry.ref for entry in self.spool.entries()}


@pytest.fixture
def upload(redis: Redis, tmp_path: Path) -> Upload:
    """An upload into a local folder."""
    return Upload(redis, tmp_path, str(tmp_path / "store"))


@pytest.fixture
def faulty(redis: Redis, tmp_path: Path) -> Iterator[Upload]:
    """An upload into a store with faults."""
    FaultyFiles.reset()
    yield Upload(redis, tmp_path, f"faulty://{tmp_path / 'store'}")
    FaultyFiles.reset()


def test_an_incident_s_item_goes_into_the_store_and_leaves_the_spool(upload: Upload) -> None:
    """Evidence would stay on the worker that made it, and be lost with it."""
    item = upload.item()
    assert backlog(upload.redis)[0] == 1
    assert upload.step() is None
    assert upload.store.read(INCIDENT, item.ref) == item.sealed
    assert upload.store.refs(INCIDENT) == [item.ref]
    assert upload.store.incidents() == [INCIDENT]
    assert upload.spooled() == set()
    assert backlog(upload.redis) == (0, 0)
    assert states_of(upload.redis, [item.ref])[item.ref].place == "stored"


def test_hits_go_before_context(faulty: Upload) -> None:
    """Through a slow store a person would wait for the picture that the incident is about."""
    context, hit = faulty.item(1, kind="context"), faulty.item(2)
    FaultyFiles.hangs = threading.Event()
    thread = threading.Thread(target=faulty.step)
    thread.start()
    assert FaultyFiles.entered.wait(60)
    folder = Path(faulty.url.removeprefix("faulty://")) / "evidence" / INCIDENT
    assert [path.name[:32] for path in folder.iterdir()] in ([hit.ref], [])
    FaultyFiles.hangs.set()
    thread.join(60)
    assert set(faulty.store.refs(INCIDENT)) == {hit.ref, context.ref}


def test_candidates_expire_and_are_copied_before(upload: Upload) -> None:
    """Pictures of people whom no incident concerns would be kept; or with a host a minute and more be lost."""
    item = upload.item(promoted=False)
    upload.step()
    upload.step(seconds=COPY_SECONDS - 1)
    assert upload.store.buckets() == []
    upload.step(seconds=1)
    (bucket,) = upload.store.buckets()
    assert upload.store.read_candidate(bucket, item.ref) == item.sealed
    assert upload.spooled() == {item.ref}
    upload.step(seconds=EXPIRE_SECONDS - COPY_SECONDS - 1)
    assert upload.spooled() == {item.ref}
    upload.step(seconds=1)
    assert upload.spooled() == set()
    assert upload.store.candidates(bucket) == []


def test_a_copied_candidate_that_an_incident_takes_has_one_place(upload: Upload) -> None:
    """A purge of the incident would leave a copy."""
    item = upload.item(promoted=False)
    upload.step()
    upload.step(seconds=COPY_SECONDS)
    promote(upload.redis, INCIDENT, item)
    upload.step()
    (bucket,) = upload.store.buckets()
    assert upload.store.candidates(bucket) == []
    assert upload.store.refs(INCIDENT) == [item.ref]


def test_the_next_process_starts_counting_anew_and_deletes_nothing_early(upload: Upload) -> None:
    """A machine whose clock jumps, or a restart, would delete a picture whose segment is about to settle."""
    item = upload.item(promoted=False)
    upload.step()
    upload.step(seconds=EXPIRE_SECONDS - 1)
    upload.again()
    upload.step(seconds=1)
    assert upload.spooled() == {item.ref}
    upload.step(seconds=EXPIRE_SECONDS)
    assert upload.spooled() == set()


def test_a_lost_host_s_candidates_reach_their_incident(upload: Upload) -> None:
    """An incident raised by the next host would have no picture."""
    item = upload.item(promoted=False)
    upload.step()
    upload.step(seconds=COPY_SECONDS)
    upload.store.remove_copies("0" * 32)
    upload.spool.remove(item.ref)  # the host is gone
    promote(upload.redis, INCIDENT, item)
    upload.sweep()
    assert upload.store.read(INCIDENT, item.ref) == item.sealed
    assert backlog(upload.redis) == (0, 0)
    assert all(upload.store.candidates(bucket) == [] for bucket in upload.store.buckets())


def test_copies_of_candidates_leave_the_store(upload: Upload) -> None:
    """A store would keep, for good, pictures of people whom no incident concerns."""
    now = now_ms(upload.redis) // CANDIDATE_BUCKET_MS
    items = {bucket: upload.item(bucket, promoted=False) for bucket in (now, now - 5, now - 6, now - 99, now + 5)}
    for bucket, item in items.items():
        upload.store.put_candidate(bucket, item.ref, item.sealed)
    upload.sweep()
    assert upload.store.buckets() in ([now - 5, now], [now])  # a bucket may have begun meanwhile


def test_an_evicted_item_leaves_spool_and_store(upload: Upload) -> None:
    """Pictures that no record names would be kept, and no purge find them."""
    stored, spooled, other = upload.item(1), None, None
    upload.step()
    spooled, other = upload.item(2), upload.item(3)
    evict(upload.redis, INCIDENT, stored.ref, spooled.ref)
    upload.sweep()
    assert upload.store.refs(INCIDENT) == []
    assert upload.spooled() == {other.ref}
    assert upload.redis.hlen(EVIDENCE_UNWANTED.name) == 0
    upload.step()
    assert upload.store.refs(INCIDENT) == [other.ref]


def test_many_evicted_items_leave_at_once(upload: Upload) -> None:
    """Broadcasters whose hits grow stronger would have evicted pictures kept for hours, and Redis fill."""
    upload.redis.hset(EVIDENCE_UNWANTED.name, mapping={f"{number:032x}": INCIDENT for number in range(1000)})
    upload.sweep()
    assert upload.redis.hlen(EVIDENCE_UNWANTED.name) == 0


def test_what_an_incident_has_is_not_unwanted(upload: Upload) -> None:
    """Whoever may write that key could delete evidence on hold, or a segment of the audit log, unseen."""
    item = upload.item()
    upload.step()
    store = ObjectStore(upload.url)
    store.write("audit/chain/1-9.jsonl.age", b"segment")
    beside = upload.spool.folder.parent / "beside.hit.age"
    beside.write_bytes(b"")
    named = {item.ref: INCIDENT, "1-9.jsonl": "../audit/chain", "../beside": INCIDENT}
    upload.redis.hset(EVIDENCE_UNWANTED.name, mapping=named)
    upload.sweep()
    assert upload.store.read(INCIDENT, item.ref) == item.sealed
    assert store.names("audit/chain") == ["1-9.jsonl.age"]
    assert beside.exists()
    assert upload.redis.hlen(EVIDENCE_UNWANTED.name) == 0


def test_no_path_leads_out_of_the_store(tmp_path: Path) -> None:
    """A name that a stranger wrote into Redis would delete, or replace, files beside the store."""
    (tmp_path / "other").write_bytes(b"")
    store = ObjectStore(str(tmp_path / "store"))
    for path in ("../other", "evidence/../../other", "evidence//x", "/other", "evidence/."):
        with pytest.raises(ObjectStoreError, match="below the store"):
            store.remove(path)
    assert (tmp_path / "other").exists()


def test_an_item_purged_on_its_way_is_not_in_the_store_afterwards(faulty: Upload) -> None:
    """A purge would prove that nothing is left, and the picture appear after it."""
    item = faulty.item()
    FaultyFiles.hangs = threading.Event()
    thread = threading.Thread(target=faulty.step)
    thread.start()
    assert FaultyFiles.entered.wait(60)
    evict(faulty.redis, INCIDENT, item.ref)
    FaultyFiles.hangs.set()
    thread.join(60)
    assert faulty.store.refs(INCIDENT) == []


@pytest.mark.parametrize("lie", ["drops", "alters"])
def test_a_store_that_lies_keeps_the_item_in_the_spool(
    faulty: Upload, lie: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The only copy would be deleted because a store confirmed what it did not keep."""
    item = faulty.item()
    FaultyFiles.lies = lie
    assert faulty.step() == REST_SECONDS[0]
    assert "confirmed" in caplog.text
    assert faulty.spooled() == {item.ref}
    assert backlog(faulty.redis)[0] == 1
    FaultyFiles.lies = ""
    assert faulty.step() is None
    assert faulty.store.read(INCIDENT, item.ref) == item.sealed


@pytest.mark.parametrize(
    "error", [PermissionError("denied"), OSError(28, "No space left on device"), ConnectionError("reset"), ValueError()]
)
def test_a_store_that_refuses_is_asked_again_ever_more_slowly(
    faulty: Upload, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is full or denies would be asked a thousand times a second; or never again."""
    items = [faulty.item(seed) for seed in range(5)]
    FaultyFiles.refuses = error
    pauses = [faulty.step() for _ in range(8)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert FaultyFiles.writes == 3 * 8
    assert "evidence waits in the spool" in caplog.text
    assert faulty.spooled() == {item.ref for item in items}
    FaultyFiles.refuses = None
    assert faulty.step() is None
    assert faulty.spooled() == set()
    FaultyFiles.refuses = error
    faulty.item()
    assert faulty.step() == REST_SECONDS[0]


def test_candidates_expire_while_the_store_is_away(faulty: Upload) -> None:
    """While a store is down for a day every picture on which a rule held for a moment would be kept."""
    faulty.item(1)
    faulty.item(2, promoted=False)
    FaultyFiles.refuses = PermissionError("denied")
    faulty.step()
    faulty.step(seconds=EXPIRE_SECONDS)
    assert len(faulty.spooled()) == 1


def test_one_item_that_the_store_refuses_does_not_keep_the_others_back(upload: Upload) -> None:
    """One damaged path would stop all evidence of a host."""
    items = [upload.item(seed) for seed in range(4)]
    blocked = Path(upload.url) / stored_path(INCIDENT, items[1].ref)
    (blocked / "foreign").mkdir(parents=True)
    assert upload.step() == REST_SECONDS[0]
    assert upload.spooled() == {items[1].ref}


def test_an_item_altered_in_the_spool_is_set_aside_and_said(upload: Upload, caplog: pytest.LogCaptureFixture) -> None:
    """An incident would be given a picture that somebody changed; or the others wait behind it for good."""
    altered, good = upload.item(1), upload.item(2)
    path = upload.spool.folder / f"{altered.ref}.hit.age"
    path.write_bytes(upload.item(3).sealed)
    upload.step()
    assert states_of(upload.redis, [altered.ref])[altered.ref].place == "damaged"
    assert f"evidence {altered.ref} of incident {INCIDENT} is damaged" in caplog.text
    assert good.ref in upload.store.refs(INCIDENT)
    assert altered.ref not in upload.store.refs(INCIDENT)
    assert upload.spooled() == set()
    assert [one.name for one in upload.spool.folder.glob("*.damaged")] == [f"{altered.ref}.hit.age.damaged"]
    ((_, fields),) = upload.redis.xrange("lw:operations")
    assert json.loads(fields["event"])["data"] == {"ref": altered.ref, "incident_id": INCIDENT}


def test_damaged_records_keep_no_item_back(upload: Upload) -> None:
    """Foreign data in Redis would stop all evidence of a host, or cost the picture that it belongs to."""
    malformed, foreign, good = upload.item(1), sealed_item(PAIR, 2), upload.item(3)
    upload.spool.put([foreign])
    promote(upload.redis, "i-2", foreign)
    upload.redis.hset(EVIDENCE.of(INCIDENT), malformed.ref, "{")
    upload.redis.delete(EVIDENCE.of("i-2"))
    upload.redis.set(EVIDENCE.of("i-2"), "foreign")
    assert upload.step() is None
    assert set(upload.store.refs(INCIDENT)) == {malformed.ref, good.ref}
    assert upload.spooled() == {foreign.ref}


def test_context_that_made_room_is_said(faulty: Upload) -> None:
    """A person would wait for a picture that is gone."""
    item, kept = faulty.item(1, kind="context"), faulty.item(2)
    FaultyFiles.refuses = PermissionError("denied")
    faulty.step()
    small = Spool(faulty.spool.folder, sum(entry.size_bytes for entry in faulty.spool.entries()) + 500)
    assert [entry.ref for entry in small.put([sealed_item(PAIR, 3)])] == [item.ref]
    faulty.step()
    places = {ref: state.place for ref, state in states_of(faulty.redis, [item.ref, kept.ref]).items()}
    assert places == {item.ref: "dropped", kept.ref: ""}


def test_steps_sweep_when_it_is_due(upload: Upload) -> None:
    """What must leave the store would stay, although every worker runs."""
    item = upload.item()
    upload.step()
    evict(upload.redis, INCIDENT, item.ref)
    upload.redis.delete(EVIDENCE_SWEPT.name)
    upload.uploader.step()
    assert upload.store.refs(INCIDENT) == [item.ref]  # asked a moment ago
    upload.clock.seconds += ASK_SECONDS
    upload.uploader.step()
    assert upload.store.refs(INCIDENT) == []
    assert 0 < upload.redis.ttl(EVIDENCE_SWEPT.name) <= SWEEP_SECONDS


def test_the_spool_takes_pictures_while_the_store_hangs(faulty: Upload) -> None:
    """A store that never answers would hold back evidence, and with it the segment."""
    faulty.item(1)
    FaultyFiles.hangs = threading.Event()
    thread = threading.Thread(target=faulty.step)
    thread.start()
    assert FaultyFiles.entered.wait(60)
    late = faulty.item(2)
    assert late.ref in faulty.spooled()
    FaultyFiles.hangs.set()
    thread.join(60)
    faulty.step()
    assert faulty.spooled() == set()


def test_one_process_of_a_host_uploads(upload: Upload) -> None:
    """Eight workers would send each picture eight times."""
    item = upload.item()
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'wb'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, upload.spool.folder / LOCK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert upload.step() is None
        assert upload.spooled() == {item.ref}
        other.send_signal(signal.SIGKILL)
        other.wait()
    upload.step()
    assert upload.spooled() == set()


def test_nothing_is_made_where_nothing_is_kept(upload: Upload) -> None:
    """A worker without recipients would make folders, and ask Redis each second for nothing."""
    assert upload.step() is None
    assert not upload.spool.folder.exists()
    assert not Path(upload.url).exists()


UPLOADING = """
import os, sys
from pathlib import Path
from worker.evidence.spool import Spool
from worker.evidence.upload import Uploader
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect

def main(redis_url, folder, steps):
    left = int(steps)
    def count(event, arguments):
        # Each file that is opened, renamed or removed, and each command to Redis, is a step.
        nonlocal left
        if event in ("open", "os.rename", "os.remove", "socket.__new__") or event.startswith("redis"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), 9)
    spool, store = Spool(Path(folder) / "spool", 10**8), ObjectStore(f"{folder}/store")
    uploader = Uploader(connect(redis_url), spool, lambda: store, deployment="test")
    uploader._redis.ping()
    sys.addaudithook(count)
    uploader.step()
"""


def test_an_uploader_killed_between_any_two_steps_loses_nothing(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """A published incident would have no picture after a crash."""
    upload = Upload(redis, tmp_path, str(tmp_path / "store"))
    items, kills = [], 0
    with forking(UPLOADING) as fork:
        for step in range(1, 40):
            items.append(upload.item(step))
            status = fork(redis_url, tmp_path, step).wait()
            kills += status == -signal.SIGKILL
            found = set(upload.store.refs(INCIDENT)) if (tmp_path / "store").exists() else set()
            assert {item.ref for item in items} <= found | upload.spooled()
            if status == 0:
                break
    assert kills >= 5
    upload.step()
    assert {item.ref: upload.store.read(INCIDENT, item.ref) for item in items} == {
        item.ref: item.sealed for item in items
    }
    assert upload.spooled() == set()


def test_a_worker_s_thread_carries_until_it_stops(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """Evidence would stay in the spool although everything works."""
    settings = Settings.from_mapping(
        {
            "LIVEWARDEN_REDIS_URL": redis_url,
            "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
            "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
        }
    )
    stopping, item = threading.Event(), sealed_item(PAIR)
    spool = Spool.of(settings)
    spool.put([item])
    promote(redis, INCIDENT, item)
    thread = threading.Thread(target=keep_uploading, args=(redis, settings, stopping))
    thread.start()
    try:
        eventually(lambda: not spool.entries(), within_seconds=60, what="the item stays in the spool")
    finally:
        stopping.set()
        thread.join(60)
    assert EvidenceStore(lambda: ObjectStore(settings.store_url)).read(INCIDENT, item.ref) == item.sealed


def test_items_live_in_s3(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment of several hosts, which has an S3 store, would lose its evidence."""
    with s3_server(monkeypatch) as url:
        upload = Upload(redis, tmp_path, url)
        item, copied = upload.item(1), upload.item(2, promoted=False)
        assert upload.step() is None
        upload.step(seconds=COPY_SECONDS)
        assert upload.store.read(INCIDENT, item.ref) == item.sealed
        assert upload.store.incidents() == [INCIDENT]
        (bucket,) = upload.store.buckets()
        upload.spool.remove(copied.ref)
        promote(redis, INCIDENT, copied)
        upload.sweep()
        assert set(upload.store.refs(INCIDENT)) == {item.ref, copied.ref}
        assert upload.store.candidates(bucket) == []
        evict(redis, INCIDENT, item.ref)
        upload.sweep()
        assert upload.store.refs(INCIDENT) == [copied.ref]
        away = upload.item(3)
    assert upload.step() == REST_SECONDS[0]
    assert upload.spooled() == {away.ref}


def test_promotion_is_idempotent_and_ends_the_candidate(redis: Redis, tmp_path: Path) -> None:
    """A script that is sent twice would count a picture as waiting for good, once the store has it."""
    upload = Upload(redis, tmp_path, str(tmp_path / "store"))
    item = upload.item(promoted=False)
    redis.hset(CANDIDATES.of("stream-1"), item.ref, "{}")
    promote(redis, INCIDENT, item)
    upload.step()
    promote(redis, INCIDENT, item)
    assert redis.zcard(EVIDENCE_WAITING.name) == 0
    assert redis.hlen(CANDIDATES.of("stream-1")) == 0
    assert redis.hlen(EVIDENCE.of(INCIDENT)) == 1


def test_the_store_s_errors_are_ours(tmp_path: Path) -> None:
    """The uploading thread would end with a traceback of a library."""
    store = EvidenceStore(lambda: ObjectStore("nonsense://x"))
    with pytest.raises(ObjectStoreError):
        store.put(INCIDENT, "0" * 32, b"")
