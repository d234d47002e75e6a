"""Evidence from a segment to the spool and the queue: real pipeline, keys, disk and Valkey."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from clips import card, clip, held, photo
from evidence_items import Pair, recipients_file, sealed_item
from hls_origin import LiveOrigin, segment_bytes

from worker.evidence.item import EvidenceKind, SealedItem
from worker.evidence.recipients_file import RecipientsFile
from worker.evidence.record import EvidenceRecord
from worker.evidence.sealing import open_sealed
from worker.evidence.spool import Spool
from worker.incidents.segment_evidence import SegmentEvidence
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, watch
from worker.runtime.evidence_writer import SPOOL_SECONDS, EvidenceWriter
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess


@pytest.fixture
def pair() -> Pair:
    """The keys of a reviewer."""
    return Pair()


@pytest.fixture
def keeping(process: WorkerProcess, pair: Pair, tmp_path: Path) -> WorkerProcess:
    """A process that seals to the reviewer."""
    changes = {"evidence_recipients": recipients_file(tmp_path / "recipients", [pair]), "spool_dir": tmp_path / "spool"}
    process.__dict__["settings"] = process.settings.model_copy(update=changes)
    return process


def moderated(process: WorkerProcess, origin: LiveOrigin, *segments: bytes) -> dict[str, Any]:
    """Moderates segments of a drill, in order; gives the data of its newest event."""
    for number, data in enumerate(segments):
        origin.add(f"{number}.ts", data, window=30)
    watch(process.redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    process.redis.zadd(DUE, {"s": 0}, xx=True)
    keys: list[str] = []
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    for key in keys:
        moderate_segment(process, "s", key)
    assert not process.redis.exists("lw:pending:s")
    *_, (_, fields) = process.redis.xrange("lw:escalations:high")
    data = json.loads(fields["event"])["data"]
    assert isinstance(data, dict)
    return data


def test_the_picture_that_an_event_names_is_in_the_spool(
    keeping: WorkerProcess, origin: LiveOrigin, pair: Pair, tmp_path: Path
) -> None:
    """A moderator would follow a reference to nothing, or to another picture."""
    data = moderated(keeping, origin, segment_bytes(card=False), segment_bytes(card=True))
    (named,) = data["evidence"]
    assert data["degraded"] == []
    head, jpeg = open_sealed(Spool(tmp_path / "spool", 10**9).read(named["ref"]), pair.identity)
    assert (head.ref, head.stream_id, head.rules) == (named["ref"], "s", ("selftest",))
    assert head.segment == data["sample"]["segment"]
    assert head.capture_ms == named["capture_ms"]
    assert head.picture_sha256 == named["picture_sha256"]
    assert head.versions == data["versions"]
    assert jpeg.startswith(b"\xff\xd8")
    record = EvidenceRecord.read(str(keeping.redis.hget(f"lw:evidence:{data['incident_id']}", named["ref"])))
    assert (record.rule, record.purpose, record.known, record.named) == ("selftest", "drill", True, True)


def test_what_no_incident_takes_leaves_the_spool_at_once(
    keeping: WorkerProcess, origin: LiveOrigin, tmp_path: Path
) -> None:
    """One broadcaster who shows nothing but hits would fill the spool, and no other stream's picture be kept."""
    data = moderated(keeping, origin, *[segment_bytes(card=True, shade=number) for number in range(5)])
    assert [entry.ref for entry in Spool(tmp_path / "spool", 10**9).entries()] == [data["evidence"][0]["ref"]]


def test_without_recipients_the_event_says_so(process: WorkerProcess, origin: LiveOrigin) -> None:
    """A deployment that was set up halfway would look as if it had nothing to show."""
    data = moderated(process, origin, segment_bytes(card=True))
    assert (data["evidence"], data["evidence_none"]) == ([], "no-recipients")
    assert data["degraded"] == []


@pytest.mark.parametrize("broken", ["AGE-SECRET-KEY-1", "nonsense"])
def test_a_broken_file_of_recipients_costs_no_escalation(
    keeping: WorkerProcess, origin: LiveOrigin, broken: str
) -> None:
    """One wrong line would silence a deployment."""
    path = keeping.settings.evidence_recipients
    assert path is not None
    path.write_text(broken)
    data = moderated(keeping, origin, segment_bytes(card=True))
    assert (data["evidence_none"], data["degraded"]) == ("recipients", ["evidence-recipients"])


def test_a_spool_that_cannot_be_written_costs_no_escalation(
    keeping: WorkerProcess, origin: LiveOrigin, tmp_path: Path
) -> None:
    """A full or broken disk would silence a deployment."""
    (tmp_path / "spool").write_text("a file where the folder should be")
    data = moderated(keeping, origin, segment_bytes(card=True))
    assert (data["evidence_none"], data["degraded"]) == ("spool", ["evidence-spool"])


def test_benign_segments_leave_nothing_in_the_spool(keeping: WorkerProcess, origin: LiveOrigin, tmp_path: Path) -> None:
    """Pictures of people who did nothing would lie on disks."""
    with pytest.raises(ValueError, match="unpack"):  # no event
        moderated(keeping, origin, segment_bytes(card=False))
    assert not (tmp_path / "spool").exists()


def evidence_of(*items: SealedItem) -> SegmentEvidence:
    records = [EvidenceRecord.of(item, rule=f"rule-{number // 2}") for number, item in enumerate(items)]
    return SegmentEvidence(items=items, candidates=tuple(records))


def test_a_full_spool_keeps_one_picture_of_each_rule(pair: Pair, tmp_path: Path) -> None:
    """An incident would have no picture, since there was no room for three."""
    items = [sealed_item(pair) for _ in range(4)]
    spool = Spool(tmp_path, sum(len(item.sealed) for item in items[:3]))
    kept = EvidenceWriter(RecipientsFile(None), spool).keep(evidence_of(*items))
    assert [record.ref for record in kept.candidates] == [items[0].ref, items[2].ref]
    assert (kept.missing, kept.degraded) == ("spool-full", ("evidence-spool-full",))
    assert {entry.ref for entry in spool.entries()} == {items[0].ref, items[2].ref}


def test_a_disk_that_hangs_holds_an_escalation_back_for_a_second_and_the_next_not_at_all(
    pair: Pair, tmp_path: Path
) -> None:
    """Escalations of all streams would wait for a disk that answers no more."""

    class HangingSpool(Spool):
        """A spool on a disk that answers only when it is told to."""

        answers = threading.Event()

        def put(self, items: Any) -> Any:
            """Waits for the disk."""
            assert self.answers.wait(60)
            return super().put(items)

    spool = HangingSpool(tmp_path, 10**9)
    item = sealed_item(pair)

    def held_seconds(writer: EvidenceWriter) -> float:
        started = time.monotonic()
        assert writer.keep(evidence_of(item)).missing == "spool-slow"
        return time.monotonic() - started

    writers = [EvidenceWriter(RecipientsFile(None), spool) for _ in range(3)]
    # The shortest of three: a busy machine may hold one back itself.
    assert min(held_seconds(writer) for writer in writers) < SPOOL_SECONDS + 1
    assert min(held_seconds(writer) for writer in writers) < SPOOL_SECONDS / 2
    spool.answers.set()
    started = time.monotonic()
    while writers[0].keep(evidence_of(item)).missing:
        assert time.monotonic() - started < 60
        os.sched_yield()
    assert spool.read(item.ref) == item.sealed


SCORED = """
version: "1"
rules:
  - {name: shown, when: 'score("testcard/card") > 0.5', severity: high}
"""


@pytest.fixture
def scoring(keeping: WorkerProcess, tmp_path: Path) -> WorkerProcess:
    """The same, with a rule that a score makes hold: its material is not known."""
    path = tmp_path / "policy.yaml"
    path.write_text(SCORED)
    keeping.__dict__["settings"] = keeping.settings.model_copy(update={"policy_file": path})
    return keeping


def kept_of(process: WorkerProcess, incident: str) -> list[EvidenceRecord]:
    """The incident's pictures, by capture time."""
    texts = process.redis.hvals(f"lw:evidence:{incident}")
    return sorted((EvidenceRecord.read(str(text)) for text in texts), key=lambda record: record.capture_ms)


def test_an_event_names_the_picture_before_the_hit(
    scoring: WorkerProcess, origin: LiveOrigin, pair: Pair, tmp_path: Path
) -> None:
    """A reviewer could not see what led to it."""
    data = moderated(scoring, origin, clip(held(photo("coffee"), 1) + held(card(), 1), gop_seconds=1))
    assert [named["kind"] for named in data["evidence"]] == ["context", "hit"]
    for named in data["evidence"]:
        head, _ = open_sealed(Spool(tmp_path / "spool", 10**9).read(named["ref"]), pair.identity)
        assert head.reason == ("before" if named["kind"] == "context" else str(data["sample"]["reason"]))


def test_an_open_incident_gets_a_picture_each_ten_seconds_and_no_other(
    scoring: WorkerProcess, origin: LiveOrigin, tmp_path: Path
) -> None:
    """A reviewer would not see what became of it, or everything that was shown would be kept."""
    plain = [segment_bytes(card=False, shade=shade) for shade in range(5)]
    for segment in range(0, 15, 5):
        cards = [segment_bytes(card=True)] if segment == 0 else []
        for number, data in enumerate([*cards, *plain]):
            origin.add(f"{segment}-{number}.ts", data, window=30)
    data = moderated(scoring, origin)
    hit, *context = kept_of(scoring, data["incident_id"])
    assert (hit.kind, {record.kind for record in context}) == (EvidenceKind.HIT, {EvidenceKind.CONTEXT})
    slots = [(record.capture_ms - hit.capture_ms) // 10_000 for record in context]
    assert slots == [1, 2]
    assert len(Spool(tmp_path / "spool", 10**9).entries()) == 3
