"""Records of other versions, and damaged ones, in Redis: they affect nothing else.

records-0.1.0 contains records as version 0.1.0 wrote them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hls_origin import LiveOrigin, segment_bytes, serving
from redis import Redis
from scene import Scene

from worker.bank.inspection import stats
from worker.bank.keys import FOLLOWERS, QUARANTINE
from worker.bank.quarantine import quarantines
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.incidents.keys import groups_owner, incidents_key, windows_key
from worker.incidents.order_store import read_in_order
from worker.incidents.store import read_groups, read_incidents, state_field
from worker.ingest.pending.segments import OVERDUE, SegmentRecord, pending_key
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.poll.poll import poll_due
from worker.ingest.poll.schedule import reconcile
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, stream_key, watch
from worker.ingest.status import stream_status
from worker.lookback.jobs import JOBS, look_backs, next_bulk_job, next_job
from worker.moderation.gate import GateState
from worker.policyload.refusals import REFUSING, report_policy_file
from worker.policyload.watch import IN_FORCE, policy_reports
from worker.runtime.segment_end import gate_key
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import now_ms

RECORDS = Path(__file__).parent / "records-0.1.0"
DRILLS = "lw:escalations:high"
PARTS = ("moderated", "skipped", "failed", "missed", "pending")


def kept(name: str) -> Any:
    return json.loads((RECORDS / f"{name}.json").read_text())


def newer(text: str) -> str:
    """The record with an additional field that this version does not know."""
    return text.replace("{", '{"of_a_later_version":[{"a":1}],', 1)


def test_records_of_version_0_1_0_are_read():
    """An upgrade, or a downgrade, would stop every stream."""
    cursor = Cursor.from_json(kept("cursor"))
    assert (cursor.next_sequence, cursor.state, len(cursor.seen)) == (3, "live", 3)
    assert Cursor.from_json(newer(kept("cursor"))) == cursor
    record = SegmentRecord.from_json(kept("segment"))
    assert (record.sequence, record.duration_ms, record.damaged) == (0, 2_000, False)
    assert SegmentRecord.read(record.key, newer(kept("segment"))) == record
    # Its block means are no projections: the next picture is classified.
    assert GateState.read(kept("gate")) is None
    fields = json.loads(kept("gate"))
    fields |= {"key": "0a1b2c3d", "projections": fields.pop("blocks"), "classified_ms": fields["capture_ms"]}
    gate = GateState.read(json.dumps(fields))
    assert gate is not None
    assert gate.scores == {"open-nsfw/nsfw": 0.25}
    assert GateState.read(newer(json.dumps(fields))) == gate


@pytest.mark.parametrize("of", [str, newer])
def test_incidents_of_version_0_1_0_go_on(of: Any, redis: Redis):
    """Open incidents would be raised again after an upgrade, and decided ones reopened."""
    put = {name: of(text) if name.startswith("rule:") else text for name, text in kept("incidents").items()}
    redis.hset(incidents_key("cam"), mapping=put)
    rules = read_incidents(redis, "cam", "live").rules
    assert rules["known"].incident is not None
    assert rules["known"].decided is not None
    assert len(rules["nude"].waiting) == 1
    ((_, groups),) = kept("groups").items()
    put = {name: of(text) if name.startswith("rule:") else text for name, text in groups.items()}
    redis.hset(incidents_key(groups_owner("live")), mapping=put)
    (group,) = read_groups(redis, "live").rules.values()
    assert group.incident is not None
    assert group.hashes
    ((series, windows),) = kept("windows").items()
    redis.hset(windows_key("cam"), series, of(windows))
    redis.hset(pending_key("cam"), mapping=kept("segments"))
    read = read_in_order(redis, "cam", series, purpose="live", but="")
    assert len(read.order.waiting) + len(read.order.past) == 2
    assert read.earliest_pending is not None


@pytest.mark.parametrize("of", [str, newer])
def test_look_backs_of_version_0_1_0_go_on(of: Any, redis: Redis):
    """Hashes that arrived before an upgrade would never be looked back for."""
    redis.hset(JOBS, mapping={"5a5a": of(kept("job")), "damaged": '{"id": "dam'})
    job = next_job(redis, hours=1.0)
    assert job is not None
    assert job.id == "5a5a"
    assert next_bulk_job(redis) is None


@pytest.fixture
def origin() -> Iterator[LiveOrigin]:
    with serving(LiveOrigin()) as served:
        for index in range(3):
            served.add(f"{index}.ts", segment_bytes(card=index == 1))
        yield served


@pytest.fixture
def keys(process: WorkerProcess, origin: LiveOrigin) -> list[str]:
    """Keys of the stream's pending segments, in stream order."""
    keys: list[str] = []
    watch(process.redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    process.redis.zadd(DUE, {"s": 0}, xx=True)
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    return sorted(keys, key=lambda key: int(key.split(".")[3]))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text.replace('"url"', '"uri"'),
        lambda text: "x",
        lambda text: "[]",
        lambda text: text.replace('"duration_ms":', '"duration_ms":"a'),
        lambda text: text.replace('"purpose":"drill"', '"purpose":7'),
    ],
)
def test_a_damaged_segment_is_closed_with_its_time(damage: Any, process: WorkerProcess, keys: list[str]):
    """Its message would circulate for ever, its time be lost, and the stream's other segments never be settled."""
    redis = process.redis
    text = str(redis.hget(pending_key("s"), keys[0]))
    redis.hset(pending_key("s"), keys[0], damage(text))
    for key in keys:
        moderate_segment(process, "s", key)
    record = stream_status(redis, "s")
    assert record["reasons"] == {"failed: damaged_record": 2.0}
    assert record["moderated_seconds"] == 4.0
    assert sum(record[f"{part}_seconds"] for part in PARTS) == record["elapsed_seconds"] == 6.0
    assert redis.hlen(pending_key("s")) == 0
    assert redis.xlen(DRILLS) == 1


def test_other_damaged_records_stop_no_segment(process: WorkerProcess, keys: list[str]):
    """A finding would be lost because of an unreadable record."""
    redis = process.redis
    series = ".".join(keys[0].split(".")[:2])
    redis.hset(gate_key("s"), series, '{"capture_ms"')
    damaged = ("rule:testcard", state_field("testcard", "drill"))
    redis.hset(incidents_key("s"), mapping=dict.fromkeys(damaged, '{"waiting"'))
    redis.hset(windows_key("s"), series, "[")
    redis.hset(stream_key("s"), mapping={"metadata": "{", "risk_prior": "high", "settled_until_ms": "late"})
    redis.hset("lw:signals:s", "reports", "many")
    redis.zadd(OVERDUE, {"nonsense": 0, f"s {keys[0]}": 0})
    sent: list[str] = []
    assert reconcile(redis, lambda _, key, __: sent.append(key)) == 1
    assert sent == [keys[0]]
    for key in keys:
        moderate_segment(process, "s", key)
    assert redis.xlen(DRILLS) == 1
    assert redis.hlen(pending_key("s")) == 0
    assert GateState.read(str(redis.hget(gate_key("s"), series))) is not None


def test_process_reports_are_read_beside_damaged_ones(redis: Redis, tmp_path: Path):
    """`doctor` and `bank stats` would end in a traceback, or reports of processes would be ignored."""
    now = now_ms(redis)
    damaged = {"a": "{", "b": "[]", "c": '{"at_ms": "soon"}', "d": "7"}
    redis.hset(IN_FORCE, mapping=damaged | {"e": json.dumps({"at_ms": now, "version": "1", "problem": "", "more": 1})})
    assert [report.process for report in policy_reports(redis)] == ["e"]
    redis.hset(FOLLOWERS, mapping=damaged | {"e": json.dumps({"at_ms": now, "position": "5-0"})})
    shared = follow(redis, SnapshotStorage(root=tmp_path / "bank", dedicated=True))
    assert stats(redis, shared.bank, shared, look_backs=look_backs(redis))["processes"] == 1
    redis.hset(QUARANTINE, mapping={f"known/{name}": text for name, text in damaged.items()})
    assert quarantines(redis) == ()


def test_a_damaged_report_of_one_worker_does_not_block_others(redis: Redis, scene: Scene):
    """Operators would not learn that the policy file is refused."""
    redis.hset(REFUSING, mapping={"other:1": "{", "other:2": "[]", "other:3": '{"refused": "x"}'})
    told = {"file": "policy.yaml", "refused": "5a" * 32, "problem": "line 3", "in_force": "1", "deployment": "test"}
    assert report_policy_file(redis, worker="host:1", **told)
    assert redis.hkeys(REFUSING) == ["host:1"]
