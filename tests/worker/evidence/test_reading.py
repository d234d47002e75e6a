"""Opening an incident's item: what was altered, cut or swapped is named, and never shown."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from evidence_items import Pair, head_of, picture, promote, sealed_item
from redis import Redis

from worker.errors import EvidenceError, ObjectStoreError
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.item import MAX_SEALED_BYTES, SealedItem, new_ref
from worker.evidence.item_states import note_place, records_of, texts_of
from worker.evidence.picture import MAX_SIDE_PIXELS, to_jpeg, to_png
from worker.evidence.reading import EvidenceReader
from worker.evidence.record import EvidenceRecord, stored_path
from worker.evidence.sealing import seal
from worker.evidence.spool import Spool
from worker.store.object_store import ObjectStore
from worker.store.redis_keys import EVIDENCE

PAIR = Pair()
INCIDENT = "i-1"


@pytest.fixture
def reader(redis: Redis, tmp_path: Path) -> EvidenceReader:
    """A reader of a local store and spool."""
    store = EvidenceStore(lambda: ObjectStore(str(tmp_path / "store")))
    return EvidenceReader(redis=redis, store=store, spool=Spool(tmp_path / "spool", 10_000_000))


def stored(reader: EvidenceReader, seed: int = 0, **fields: object) -> SealedItem:
    """An incident's item in the store."""
    item = sealed_item(PAIR, seed, **fields)
    promote(reader.redis, INCIDENT, item, rule="known")
    reader.store.put(INCIDENT, item.ref, item.sealed)
    note_place(reader.redis, INCIDENT, item.ref, "stored")
    return item


def path_of(tmp_path: Path, item: SealedItem) -> Path:
    return tmp_path / "store" / stored_path(INCIDENT, item.ref)


def test_an_item_is_read_from_store_and_spool(reader: EvidenceReader) -> None:
    """A person would wait for a picture that this machine has; or not see one that is stored."""
    item = stored(reader)
    found, head, jpeg = reader.open(item.ref, PAIR.identity)
    assert (found.incident, head, found.sealed) == (INCIDENT, item.head, item.sealed)
    assert jpeg == to_jpeg(picture())
    waiting = sealed_item(PAIR, 1)
    promote(reader.redis, INCIDENT, waiting)
    with pytest.raises(EvidenceError, match="waits in the spool of the worker"):
        reader.open(waiting.ref, PAIR.identity)
    reader.spool.put([waiting])
    assert reader.open(waiting.ref, PAIR.identity)[1] == waiting.head


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda sealed: sealed[:-100], "altered, cut or replaced"),
        (lambda sealed: sealed[:300] + bytes([sealed[300] ^ 1]) + sealed[301:], "altered, cut or replaced"),
        (lambda _: b"", "altered, cut or replaced"),
        (lambda _: b"\0" * (MAX_SEALED_BYTES + 1), "larger in the store than an item may be"),
    ],
)
def test_an_altered_or_cut_item_is_refused(
    reader: EvidenceReader, tmp_path: Path, change: Callable[[bytes], bytes], text: str
) -> None:
    """A person would decide on a picture that somebody with access to the store has put there."""
    item = stored(reader)
    path_of(tmp_path, item).write_bytes(change(item.sealed))
    with pytest.raises(EvidenceError, match=text) as caught:
        reader.open(item.ref, PAIR.identity)
    assert item.ref in str(caught.value)
    with pytest.raises(EvidenceError):
        reader.find(item.ref)


def test_items_swapped_in_the_store_are_named(reader: EvidenceReader, tmp_path: Path) -> None:
    """The picture of one stream would be shown for the incident of another."""
    one, other = stored(reader, 1), stored(reader, 2, stream_id="stream-2")
    path_of(tmp_path, one).write_bytes(other.sealed)
    with pytest.raises(EvidenceError, match=f"item {other.ref} of stream stream-2 is in its place") as caught:
        reader.open(one.ref, PAIR.identity)
    assert caught.value.reason == "swapped"


def test_a_head_must_agree_with_the_record(reader: EvidenceReader) -> None:
    """Whoever can write to Redis and the store could put any sealed picture into any incident."""
    jpeg = to_jpeg(picture())
    for field, value in {
        "ref": new_ref(),
        "stream_id": "stream-2",
        "segment": "other",
        "capture_ms": 1,
        "incident": "i-2",
    }.items():
        item = stored(reader)
        forged = seal(replace(head_of(jpeg, **vars(item.head)), **{field: value}), jpeg, PAIR.recipients)
        (record,) = [one for one in records_of(reader.redis, INCIDENT) if one.ref == item.ref]
        changed = replace(record, sha256=forged.sha256)
        reader.redis.hset(EVIDENCE.of(INCIDENT), item.ref, changed.to_json())
        reader.store.put(INCIDENT, item.ref, forged.sealed)
        with pytest.raises(EvidenceError, match="holds another item: its head has the") as caught:
            reader.open(item.ref, PAIR.identity)
        assert caught.value.reason == "swapped"


def test_what_is_not_there_is_said(reader: EvidenceReader, tmp_path: Path) -> None:
    """A person would see a traceback, and not learn that a picture was purged."""
    for ref in (new_ref(), "nonsense", "../../etc/passwd", ""):
        with pytest.raises(EvidenceError, match=r"there is none|expected a reference") as caught:
            reader.open(ref, PAIR.identity)
        assert caught.value.reason == "missing"
    item = stored(reader)
    path_of(tmp_path, item).unlink()
    with pytest.raises(EvidenceError, match="the store does not have it"):
        reader.open(item.ref, PAIR.identity)
    note_place(reader.redis, INCIDENT, item.ref, "damaged")
    with pytest.raises(EvidenceError, match="altered before it reached the store"):
        reader.open(item.ref, PAIR.identity)


def test_the_wrong_identity_is_said(reader: EvidenceReader) -> None:
    """A person would take an item that is sealed to a colleague for a damaged one."""
    item = stored(reader)
    with pytest.raises(EvidenceError, match=f"item {item.ref}: is sealed to other keys") as caught:
        reader.open(item.ref, Pair().identity)
    assert caught.value.reason == "not-for-you"


def test_a_store_that_is_away_is_said(redis: Redis, tmp_path: Path) -> None:
    """A person would be told that evidence does not exist while a network is down."""
    (tmp_path / "file").touch()
    store = EvidenceStore(lambda: ObjectStore(str(tmp_path / "file")))
    reader = EvidenceReader(redis=redis, store=store, spool=Spool(tmp_path / "spool", 10_000_000))
    item = sealed_item(PAIR)
    promote(redis, INCIDENT, item)
    note_place(redis, INCIDENT, item.ref, "stored")
    with pytest.raises((ObjectStoreError, EvidenceError)):
        reader.open(item.ref, PAIR.identity)


def test_malformed_records_leave_the_others_readable(reader: EvidenceReader) -> None:
    """One damaged record would hide all evidence of an incident."""
    item = stored(reader)
    for number, text in enumerate(["", "{}", "[]", "null", '{"kind":"hit"}', '{"kind":"other"}']):
        reader.redis.hset(EVIDENCE.of(INCIDENT), f"{number:032x}", text)
    assert [record.ref for record in records_of(reader.redis, INCIDENT)] == [item.ref]


def test_a_record_of_another_version_is_read_and_kept() -> None:
    """During a rollout records would lose what the newer version wrote, or be unreadable for it."""
    record = EvidenceRecord.of(sealed_item(PAIR), rule="known", score=0.5)
    newer = record.to_json().replace("{", '{"of_tomorrow":[1],', 1)
    assert EvidenceRecord.read(newer) == record
    assert '"of_tomorrow":[1]' in EvidenceRecord.read(newer).to_json()
    older = '{"ref":"%s","sha256":"a","picture_sha256":"b","kind":"hit","capture_ms":1,"stream_id":"s",' % ("0" * 32)
    older += '"segment":"x","pts_seconds":1,"size_bytes":2}'
    assert EvidenceRecord.read(older).rule == ""


def test_texts_are_read_as_they_are_stored(reader: EvidenceReader) -> None:
    """A rotation would take each record of another version for a changed one, and never end."""
    reader.redis.hset(EVIDENCE.of(INCIDENT), "x", '{"b": 1, "a":2}')
    assert texts_of(reader.redis, INCIDENT) == {"x": '{"b": 1, "a":2}'}


def test_a_blurred_picture_shows_no_detail() -> None:
    """People would be shown what they need not see."""
    detail = np.zeros((720, 1280, 3), np.uint8)
    detail[::2, ::2] = 255
    detail[300:420, 500:780] = (255, 0, 0)
    blurred = cv2.imdecode(np.frombuffer(to_png(to_jpeg(detail), clear=False), np.uint8), cv2.IMREAD_UNCHANGED)
    assert blurred.shape == (720, 1280)
    assert int(np.abs(np.diff(blurred.astype(int), axis=1)).max()) <= 8
    clear = cv2.imdecode(np.frombuffer(to_png(to_jpeg(detail), clear=True), np.uint8), cv2.IMREAD_UNCHANGED)
    assert clear.shape == (720, 1280, 3)
    assert int(clear[360, 640, 2]) > 150 > int(clear[360, 640, 0])


@pytest.mark.parametrize("size", [(1, 1), (1280, 1), (3, 1280)])
def test_pictures_of_any_size_can_be_blurred(size: tuple[int, int]) -> None:
    """A picture of an odd size could be seen by nobody."""
    jpeg = to_jpeg(np.full((size[1], size[0], 3), 99, np.uint8))
    for clear in (False, True):
        decoded = cv2.imdecode(np.frombuffer(to_png(jpeg, clear=clear), np.uint8), cv2.IMREAD_UNCHANGED)
        assert decoded.shape[:2] == (size[1], size[0])


def test_a_hostile_picture_is_refused_before_it_is_decoded() -> None:
    """A worker that a stream has taken over could seal a picture that fills the reviewer's memory."""
    huge = bytearray(to_jpeg(picture()))
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xf0\xff\xf0"
    with pytest.raises(EvidenceError, match=f"at most {MAX_SIDE_PIXELS}"):
        to_png(bytes(huge), clear=False)
    for jpeg in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xd9", b""):
        with pytest.raises(EvidenceError):
            to_png(jpeg, clear=True)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    """A worker that was taken over could occupy a moderator's machine for minutes with one picture."""
    jpeg = to_jpeg(picture())
    with pytest.raises(EvidenceError, match="more than 10 scans"):
        to_png(jpeg[:-2] + b"\xff\xda" * 10 + jpeg[-2:], clear=False)
