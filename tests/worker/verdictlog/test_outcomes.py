"""Outcomes in a real folder, from a real Valkey: the raised and decided incidents, recorded for replays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scene import Scene

from config.facts import Severity
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.revisions import revise
from worker.queue.trimming import trim
from worker.store.lease import leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms
from worker.verdictlog import outcomes, retention
from worker.verdictlog.files import HOUR_MS, folder_of, folders
from worker.verdictlog.outcomes import HELD_MS, LEASE, POSITION, RECORDED, record_outcomes, unrecorded_from
from worker.verdictlog.reading import files_in, read_log
from worker.verdictlog.retention import KEPT, MERGE_MS, keep_log
from worker.verdictlog.tables import OUTCOMES

CRITICAL = "lw:escalations:critical"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(url: str) -> ObjectStore:
    return ObjectStore(url)


def recorded(url: str) -> list[Mapping[str, Any]]:
    return [row for batch in read_log(url, 0, 2**62, of=OUTCOMES) for row in batch.to_pylist()]


def test_raised_changed_and_decided_incidents_are_recorded(scene: Scene, store: ObjectStore, url: str) -> None:
    """A replay could not say what a new policy would have changed."""
    incident = scene.raise_incident("cam-1", Severity.REVIEW, capture_ms=4000)
    scene.rise("cam-1", Severity.CRITICAL)
    made = decide_incident(scene.redis, incident, "harmless", by="ann", note="seen", deployment="test")
    again = revise(scene.redis, incident, "adult_tos", by="ann", note="seen again", deployment="test")
    scene.raise_incident("cam-2", purpose="canary")
    assert not record_outcomes(scene.redis, store)
    rows = sorted(recorded(url), key=lambda row: (row["stream_id"], row["at_ms"]))
    raised, changed, decided, revised, canary = rows
    assert {row["incident_id"] for row in rows[:4]} == {incident}
    assert [row["kind"] for row in rows] == ["raised", "updated", "decided", "revised", "raised"]
    assert [row["severity"] for row in (raised, changed, decided)] == ["review", "critical", "critical"]
    assert (raised["stream_id"], raised["rule"], raised["segment_key"]) == ("cam-1", "nude", "segment-1")
    assert (raised["captured_first_ms"], raised["captured_last_ms"], raised["hits"]) == (4000, 4002, 3)
    assert raised["policy_version"] == scene.policy.version
    assert raised["raised_ms"] == raised["at_ms"] == changed["raised_ms"] <= changed["at_ms"]
    assert (decided["outcome"], decided["at_ms"]) == ("harmless", made.decided_ms)
    assert (revised["outcome"], revised["at_ms"], revised["decided_ms"]) == (
        "adult_tos",
        again.decided_ms,
        made.decided_ms,
    )
    assert (canary["stream_id"], canary["purpose"]) == ("cam-2", "canary")
    assert not any("ann" in str(value) for row in recorded(url) for value in row.values())


def test_each_outcome_is_recorded_once_if_no_process_dies(scene: Scene, store: ObjectStore, url: str) -> None:
    """The store would fill with repeated copies."""
    scene.raise_incident("cam-1")
    for _ in range(3):
        record_outcomes(scene.redis, store)
    scene.raise_incident("cam-2")
    record_outcomes(scene.redis, store)
    assert [row["stream_id"] for row in recorded(url)] == ["cam-1", "cam-2"]


def test_a_death_between_file_and_note_leaves_a_known_copy(scene: Scene, store: ObjectStore, url: str) -> None:
    """An incident would be counted twice, or be lost."""
    scene.raise_incident("cam-1")
    record_outcomes(scene.redis, store)
    scene.redis.delete(POSITION)
    record_outcomes(scene.redis, store)
    one, other = recorded(url)
    assert one["id"] == other["id"]


def test_unrecorded_events_are_not_trimmed(scene: Scene, store: ObjectStore, url: str) -> None:
    """Readers are often faster than the store: events that they have read would be missing from every replay."""
    decide_incident(scene.redis, scene.raise_incident("cam-1"), "harmless", by="ann", note="seen", deployment="test")
    take(scene.redis, "ann")  # skips the decided ones: every group has read everything
    assert trim(scene.redis, held_from=unrecorded_from(scene.redis)) == 0
    record_outcomes(scene.redis, store)
    assert trim(scene.redis, held_from=unrecorded_from(scene.redis)) == 2
    assert [row["kind"] for row in recorded(url)] == ["raised", "decided"]


def test_an_unreachable_store_does_not_fill_redis(scene: Scene, tmp_path: Path) -> None:
    """Events kept for a store that is away for a week would stop moderation."""
    (tmp_path / "file").touch()
    old = now_ms(scene.redis) - HELD_MS - 1000
    scene.redis.xadd(CRITICAL, {"event": "{}"}, id=f"{old}-0")
    scene.raise_incident("cam-1")
    record_outcomes(scene.redis, ObjectStore(str(tmp_path / "file" / "store")))
    assert not scene.redis.exists(POSITION)
    take(scene.redis, "ann")
    assert trim(scene.redis, held_from=unrecorded_from(scene.redis)) == 1


def test_other_events_are_skipped(scene: Scene, store: ObjectStore, url: str) -> None:
    """One irrelevant entry, or one of a newer version, would block all that follow."""
    for text in ("", "[]", "{}", "no json", '{"type": "livewarden.escalation.raised.v1", "id": "1", "data": {}}'):
        scene.redis.xadd(CRITICAL, {"event": text})
    scene.redis.xadd(CRITICAL, {"other": "field"})
    scene.raise_incident("cam-1")
    record_outcomes(scene.redis, store)
    assert [row["stream_id"] for row in recorded(url)] == ["cam-1"]


def test_recording_is_due_when_an_event_is_new(scene: Scene, store: ObjectStore) -> None:
    """Workers would write a file each every two seconds, or none at all."""
    assert not outcomes.is_due(scene.redis)
    scene.raise_incident("cam-1")
    assert outcomes.is_due(scene.redis)
    with leased(scene.redis, LEASE):
        assert not outcomes.is_due(scene.redis)
    record_outcomes(scene.redis, store)
    scene.redis.delete(RECORDED)
    assert not outcomes.is_due(scene.redis)
    scene.raise_incident("cam-2")
    assert outcomes.is_due(scene.redis)
    record_outcomes(scene.redis, store)
    scene.raise_incident("cam-3")
    assert not outcomes.is_due(scene.redis)  # not so soon


@pytest.mark.parametrize("noted", ["9999999999999", "x", "\u0663"])
def test_recording_does_not_wait_for_a_clock_that_went_back(scene: Scene, noted: str) -> None:
    """A deployment whose clock was a year ahead would neither write nor purge its log for a year."""
    scene.raise_incident("cam-1")
    scene.redis.set(RECORDED, noted)
    assert outcomes.is_due(scene.redis)
    scene.redis.set(KEPT, noted)
    assert retention.is_due(scene.redis)
    scene.redis.set(KEPT, now_ms(scene.redis))
    assert not retention.is_due(scene.redis)


def test_files_are_merged_and_purged_like_verdicts(scene: Scene, store: ObjectStore, url: str) -> None:
    """A day would be thousands of files, which would stay indefinitely."""
    for number in range(3):
        scene.raise_incident(f"cam-{number}")
        record_outcomes(scene.redis, store)
    rows = recorded(url)
    now = now_ms(scene.redis)
    ((_, folder),) = folders(store, OUTCOMES.root)
    earlier = (now - 2 * HOUR_MS) // MERGE_MS * MERGE_MS
    for name in store.names(folder):  # as if written two hours ago
        data = store.open(f"{folder}/{name}").read()
        store.remove(f"{folder}/{name}")
        store.write(f"{folder_of(earlier, OUTCOMES.root)}/{earlier}-{name.split('-', 1)[1]}", data)
    store.remove_folder(folder)
    assert not keep_log(scene.redis, store, hours=24, seconds=60)
    (merged,) = files_in(store, folder_of(earlier, OUTCOMES.root))
    assert (merged.merged, merged.rows) == (True, 3)
    assert sorted(row["id"] for row in recorded(url)) == sorted(row["id"] for row in rows)
    assert not keep_log(scene.redis, store, hours=1, seconds=60)
    assert folders(store, OUTCOMES.root) == []


def test_a_position_beyond_its_stream_stops_nothing(scene: Scene, store: ObjectStore, url: str) -> None:
    """After a stream is recreated with a corrected clock, nothing would be copied for a month, and uncopied events
    would be trimmed."""
    scene.redis.hset(POSITION, CRITICAL, "4000000000000-0")
    scene.raise_incident("cam-1", Severity.CRITICAL)
    take(scene.redis, "ann")
    (entry_id, _), *_ = scene.redis.xrange(CRITICAL)
    held = unrecorded_from(scene.redis)[CRITICAL]
    assert tuple(map(int, held.split("-"))) <= tuple(map(int, entry_id.split("-")))
    assert outcomes.is_due(scene.redis)
    record_outcomes(scene.redis, store)
    scene.redis.delete(RECORDED)
    assert not outcomes.is_due(scene.redis)
    assert [row["stream_id"] for row in recorded(url)] == ["cam-1"]
