"""Sealing again, and exports: a new key opens old evidence, and whoever is handed some needs no Livewarden."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from evidence_items import Pair, evict, identity_file, picture, promote, sealed_item
from redis import Redis

from worker.errors import EvidenceError, LocalFileError, StoreError
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.export import export_incident
from worker.evidence.item import SealedItem
from worker.evidence.item_states import note_place, record_of
from worker.evidence.key_pair import make_key_pair
from worker.evidence.picture import to_jpeg
from worker.evidence.reading import EvidenceReader
from worker.evidence.record import stored_path
from worker.evidence.rotation import Rotation, RotationCounts
from worker.evidence.sealing import Identity, Recipients
from worker.evidence.spool import Spool
from worker.store.object_store import ObjectStore
from worker.store.redis_keys import EVIDENCE

OLD, NEW = Pair(), Pair()
INCIDENT = "i-1"


class StoppedError(Exception):
    """Stands for a kill."""


class Places:
    """A store, a spool and what reads them."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis, self.folder = redis, folder
        self.store = EvidenceStore(lambda: ObjectStore(str(folder / "store")))
        self.reader = EvidenceReader(redis=redis, store=self.store, spool=Spool(folder / "spool", 10_000_000))

    def stored(self, seed: int = 0, *, incident: str = INCIDENT, pair: Pair = OLD) -> SealedItem:
        item = sealed_item(pair, seed)
        promote(self.redis, incident, item)
        self.store.put(incident, item.ref, item.sealed)
        note_place(self.redis, incident, item.ref, "stored")
        return item

    def rotate(self, identity: Pair = OLD, *recipients: Pair) -> RotationCounts:
        keys = [pair.public for pair in recipients or (NEW,)]
        return Rotation(reader=self.reader, identity=identity.identity, recipients=Recipients(keys)).run()


@pytest.fixture
def places(redis: Redis, tmp_path: Path) -> Places:
    """Empty ones."""
    return Places(redis, tmp_path)


def test_a_new_key_opens_old_evidence_and_the_old_one_no_more(places: Places) -> None:
    """A new custodian could judge nothing from before, and one who left could go on seeing it."""
    items = [places.stored(1), places.stored(2, incident="i-2")]
    counts = places.rotate()
    assert (counts.resealed, counts.already, counts.failed) == (2, 0, [])
    for seed, item in enumerate(items, 1):
        found, head, jpeg = places.reader.open(item.ref, NEW.identity)
        assert (head, jpeg) == (item.head, to_jpeg(picture(seed)))
        assert found.record.former_sha256 == (item.sha256,)
        assert found.record.picture_sha256 == item.picture_sha256
        with pytest.raises(EvidenceError, match="other keys"):
            places.reader.open(item.ref, OLD.identity)


def test_a_rotation_leaves_what_is_done_as_it_is(places: Places) -> None:
    """A rotation of years of evidence that is killed would never end."""
    item = places.stored(1)
    places.rotate()
    before = places.store.read(INCIDENT, item.ref)
    counts = places.rotate(NEW)
    assert (counts.resealed, counts.already) == (0, 1)
    assert places.store.read(INCIDENT, item.ref) == before


def test_what_others_hold_and_what_waits_is_counted(places: Places) -> None:
    """A custodian would take evidence that he cannot open for rotated."""
    places.stored(1)
    places.stored(2, pair=Pair())
    promote(places.redis, INCIDENT, sealed_item(OLD, 3))
    counts = places.rotate()
    assert (counts.resealed, counts.not_for_you, counts.waiting, counts.failed) == (1, 1, 1, [])


def test_a_damaged_item_costs_no_other_and_is_never_sealed_again(places: Places) -> None:
    """A forged picture would come out of a rotation as a genuine one."""
    one, other, swapped = places.stored(1), places.stored(2), places.stored(3)
    (places.folder / "store" / stored_path(INCIDENT, one.ref)).write_bytes(other.sealed)
    (record,) = [record_of(places.redis, INCIDENT, swapped.ref)]
    assert record is not None
    places.redis.hset(EVIDENCE.of(INCIDENT), swapped.ref, replace(record, stream_id="other").to_json())
    counts = places.rotate()
    assert counts.resealed == 1
    assert sorted("altered" in text for text in counts.failed) == [False, True]


class SleptStore(EvidenceStore):
    """A store of a process that sleeps before it writes, until others have taken its lease and done its work."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def put(self, incident: str, ref: str, sealed: bytes) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        super().put(incident, ref, sealed)


def test_a_rotation_that_slept_loses_nothing(places: Places) -> None:
    """A laptop that is closed during a rotation, and opened after another one, would make evidence unreadable."""
    item = places.stored(1)
    store = SleptStore(lambda: ObjectStore(str(places.folder / "store")))
    store.meanwhile = places.rotate
    reader = replace(places.reader, store=store)
    Rotation(reader=reader, identity=OLD.identity, recipients=Recipients([NEW.public, OLD.public])).run()
    assert places.reader.open(item.ref, NEW.identity)[1] == item.head
    assert places.rotate(NEW).failed == []
    with pytest.raises(EvidenceError, match="other keys"):
        places.reader.open(item.ref, OLD.identity)
    assert places.reader.open(item.ref, NEW.identity)[2] == to_jpeg(picture(1))


@pytest.mark.parametrize("kill_at", ["before the store", "after the store"])
def test_a_rotation_killed_at_its_worst_moment_goes_on(places: Places, kill_at: str) -> None:
    """Redis and the store would disagree for good, and the item count as forged."""
    item = places.stored(1)

    class Killed(EvidenceStore):
        def put(self, incident: str, ref: str, sealed: bytes) -> None:
            if kill_at == "after the store":
                super().put(incident, ref, sealed)
            raise StoppedError

    killed = replace(places.reader, store=Killed(lambda: ObjectStore(str(places.folder / "store"))))
    with pytest.raises(StoppedError):
        Rotation(reader=killed, identity=OLD.identity, recipients=NEW.recipients).run()
    opener = NEW if kill_at == "after the store" else OLD
    assert places.reader.open(item.ref, opener.identity)[1] == item.head
    # Another set of recipients than the one that was begun with.
    counts = places.rotate(opener, NEW, Pair())
    assert (counts.resealed, counts.failed) == (1, [])
    found, head, _ = places.reader.open(item.ref, NEW.identity)
    assert head == item.head
    assert found.record.former_sha256[0] == item.sha256
    assert found.record.next_sha256 == ""


def test_an_item_purged_during_a_rotation_stays_gone(places: Places) -> None:
    """A purge would prove that nothing is left, and a rotation bring it back."""
    item = places.stored(1)

    class Purging(EvidenceStore):
        def put(self, incident: str, ref: str, sealed: bytes) -> None:
            evict(places.redis, incident, ref)
            super().put(incident, ref, sealed)

    purging = replace(places.reader, store=Purging(lambda: ObjectStore(str(places.folder / "store"))))
    counts = Rotation(reader=purging, identity=OLD.identity, recipients=NEW.recipients).run()
    assert counts.resealed == 0
    assert places.store.refs(INCIDENT) == []
    assert not places.redis.hexists(EVIDENCE.of(INCIDENT), item.ref)


def export(places: Places, folder: Path, acts: list[tuple[str, int]] | None = None):  # type: ignore[no-untyped-def]
    noted = [] if acts is None else acts
    return export_incident(
        places.reader, INCIDENT, folder, facts={"exported_by": "kim"}, record_act=lambda *act: noted.append(act)
    )


def test_an_export_is_opened_by_the_standard_tool(
    places: Places, tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]
) -> None:
    """An authority that is handed an export would need Livewarden, its Redis and its store."""
    item, folder, acts = places.stored(1), tmp_path / "export", []
    done = export(places, folder, acts)
    assert (done.files, done.missing) == (1, ())
    manifest = json.loads((folder / "manifest.json").read_text())
    (listed,) = manifest["items"]
    assert (listed["ref"], listed["sha256"]) == (item.ref, item.sha256)
    assert manifest["exported_by"] == "kim"
    assert acts == [(hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest(), 1)]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    key = identity_file(tmp_path / "key", OLD)
    try:
        opened = subprocess.run(
            ["sh", "-c", f"age --decrypt --identity {key} {listed['file']} | tail --lines +2"],
            cwd=folder,
            capture_output=True,
            check=True,
        )
        subprocess.run(["age", "--version"], check=True, capture_output=True)
    except FileNotFoundError:
        ci_or_skip("age is not installed")
    assert opened.stdout == to_jpeg(picture(1))
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_an_export_names_what_it_lacks(places: Places, tmp_path: Path) -> None:
    """An authority would take half of the evidence for all of it."""
    one, other = places.stored(1), places.stored(2)
    (tmp_path / "store" / stored_path(INCIDENT, one.ref)).write_bytes(b"?")
    waiting = sealed_item(OLD, 3)
    promote(places.redis, INCIDENT, waiting)
    done = export(places, tmp_path / "export")
    assert done.files == 1
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert [listed["ref"] for listed in manifest["items"]] == [other.ref]
    assert len(manifest["missing"]) == len(done.missing) == 2
    assert any(waiting.ref in text for text in done.missing)


def test_an_export_is_never_mixed_with_other_files(places: Places, tmp_path: Path) -> None:
    """Evidence of two incidents would be handed over as that of one."""
    places.stored(1)
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "notes").touch()
    acts: list[tuple[str, int]] = []
    with pytest.raises(LocalFileError, match="new or empty"):
        export(places, folder, acts)
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "export"):
        with pytest.raises(LocalFileError):
            export(places, wrong, acts)
    with pytest.raises(EvidenceError, match="no evidence"):
        export_incident(places.reader, "i-9", tmp_path / "new", facts={}, record_act=lambda *act: acts.append(act))
    assert acts == []


def test_an_export_that_cannot_be_recorded_does_not_happen(places: Places, tmp_path: Path) -> None:
    """Evidence would leave the deployment, and nobody know."""
    places.stored(1)

    def refuse(_digest: str, _items: int) -> None:
        raise StoreError("Redis is away")

    with pytest.raises(StoreError):
        export_incident(places.reader, INCIDENT, tmp_path / "export", facts={}, record_act=refuse)
    assert list((tmp_path / "export").iterdir()) == []


def test_a_key_pair_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """A second run would destroy the key of all evidence; or another user of the machine read it."""
    path = tmp_path / "key"
    public = make_key_pair(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Identity.read(path).public_keys == (public,)
    before = path.read_bytes()
    for there in (path, tmp_path):
        with pytest.raises(LocalFileError, match="not overwritten"):
            make_key_pair(there)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalFileError, match="not overwritten"):
        make_key_pair(tmp_path / "link")
    assert path.read_bytes() == before
    with pytest.raises(LocalFileError, match="No such file"):
        make_key_pair(tmp_path / "missing" / "key")
