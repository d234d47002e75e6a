"""Erasure of a stream's data: nothing is left but what must stay, and of other streams nothing goes."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from admitted import draw_alike
from evidence_items import Pair, recipients_file
from hls_origin import LiveOrigin, segment_bytes
from kept_evidence import LEAD, MODERATOR, KeptEvidence, keys_with
from redis import Redis

from config.policy.retention import Retention
from config.settings import Settings
from worker.errors import BankRequestError, RegistryError, RetentionError
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, unwatch, watch
from worker.ingest.registry.signals import report_signals
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.retention.erasure_plan import plan_erasure
from worker.retention.forget import ErasureStep, ErasureWork, begin_erasure, erasures, go_on, is_due
from worker.retention.holds import hold
from worker.retention.reports import record_report
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms
from worker.verdictlog.erasure import erase_stream
from worker.verdictlog.outcomes import record_outcomes

GONE, OTHER = "cam-to-forget", "cam-that-stays"
TERMS = Retention()


@pytest.fixture
def process(redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path) -> Iterator[WorkerProcess]:
    """The state of a pool child that keeps evidence."""
    draw_alike(redis)
    variables = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_STORE_URL": str(tmp_path / "deployment" / "store"),
        "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "deployment" / "spool"),
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients_file(tmp_path / "recipients", [Pair()])),
    }
    process = WorkerProcess(Settings.from_mapping(variables))
    yield process
    process.close()


@pytest.fixture
def moderated(process: WorkerProcess, origin: LiveOrigin, kept: KeptEvidence) -> KeptEvidence:
    """Two streams that were watched, moderated and decided on as workers do it, and are not watched any more."""
    redis = process.redis
    for number in range(2):
        origin.add(f"{number}.ts", segment_bytes(card=True))
    keys: list[tuple[str, str]] = []
    for stream in (GONE, OTHER):
        watch(redis, register(stream, origin.url, purpose="drill", url_template="", legal_basis=""))
        report_signals(redis, stream, {"viewer-reports": 2.0})
        redis.zadd(DUE, {stream: 0})
    poll_due(redis, process.fetcher, height_pixels=360, send=lambda stream, key, _: keys.append((stream, key)))
    for stream, key in keys:
        moderate_segment(process, stream, key)
    while (claim := take(redis, "mo")) is not None:
        decide_incident(redis, claim.incident_id, "harmless", by="mo", note="a drill", deployment="test")
    process.verdict_log.close()
    for _ in range(2):
        record_outcomes(redis, kept.store)
    for stream in (GONE, OTHER):
        assert unwatch(redis, stream)
        assert redis.hlen(f"lw:incidents:{stream}")
    return kept


def work_of(kept: KeptEvidence, *, late_ms: int = 0) -> ErasureWork:
    return ErasureWork(
        purge=kept.purge(TERMS), erase_log=partial(erase_stream, kept.redis, kept.store), late_ms=late_ms
    )


def rows(kept: KeptEvidence) -> dict[str, int]:
    """Rows of the verdict log, both tables, by stream; each file alone, whatever readers would skip."""
    found: dict[str, int] = {}
    for path in (kept.folder / "store").rglob("*.parquet"):
        for stream in pq.read_table(path).column("stream_id").to_pylist():
            found[stream] = found.get(stream, 0) + 1
    return found


def test_nothing_of_the_stream_is_left(moderated: KeptEvidence, redis_url: str) -> None:
    """A person whose data was to be erased would still be in Redis, in the store or in the verdict log."""
    redis, before = moderated.redis, rows(moderated)
    assert before[GONE] == before[OTHER] > 2
    others = keys_with(redis_url, OTHER)
    assert len(keys_with(redis_url, GONE)) > 5
    assert len(redis.keys("lw:timeline:*")) == 2
    plan = begin_erasure(redis, GONE, LEAD, retention=TERMS)
    incidents = [one.incident_id for one in plan.incidents]
    assert incidents
    assert all(one.records for one in plan.incidents)
    assert is_due(redis)
    (done,) = go_on(work_of(moderated), seconds=60)
    assert (done.stream_id, done.rows, done.events_waiting) == (GONE, before[GONE], 0)
    assert done.pictures > 0
    assert done.events > 2
    assert len(redis.keys("lw:timeline:*")) == 1

    assert keys_with(redis_url, GONE) == {"lw:audit:unlinked"}
    for incident in incidents:
        assert keys_with(redis_url, incident) - {"lw:evidence:unwanted"} == {"lw:audit:unlinked"}
        assert not [path for path in moderated.files() if incident in path]
    assert rows(moderated) == {OTHER: before[OTHER]}
    # Of another stream nothing went.
    assert keys_with(redis_url, OTHER) == others
    begun, ended = moderated.entries("forget")
    assert (begun["details"]["state"], ended["details"]["state"]) == ("begun", "done")
    assert ended["details"]["rows"] == before[GONE]
    assert erasures(redis) == []
    assert go_on(work_of(moderated)) == []


def test_erasure_goes_on_from_every_step(moderated: KeptEvidence, redis_url: str) -> None:
    """A worker that dies, or is out of time, would leave a stream half erased for good."""
    begin_erasure(moderated.redis, GONE, LEAD, retention=TERMS)
    steps = set()
    for _ in range(200):
        steps.add(erasures(moderated.redis)[0].step)
        if go_on(work_of(moderated), seconds=0):
            break
    assert {ErasureStep.INCIDENTS, ErasureStep.LOG} <= steps
    assert keys_with(redis_url, GONE) == {"lw:audit:unlinked"}
    assert GONE not in rows(moderated)
    assert len(moderated.entries("forget")) == 2


def test_rows_that_processes_still_hold_are_waited_for(moderated: KeptEvidence) -> None:
    """What was moderated at the begin would be written into the log after it was erased."""
    begin_erasure(moderated.redis, GONE, LEAD, retention=TERMS)
    assert go_on(work_of(moderated, late_ms=60_000)) == []
    (left,) = erasures(moderated.redis)
    assert left.step is ErasureStep.LOG
    assert GONE in rows(moderated)


def test_erased_stream_may_be_watched_again(moderated: KeptEvidence, origin: LiveOrigin) -> None:
    """A stream's ID could never be used again; or data that is new be erased with the old."""
    again = partial(watch, moderated.redis, register(GONE, origin.url, url_template="", legal_basis=""))
    begin_erasure(moderated.redis, GONE, LEAD, retention=TERMS)
    with pytest.raises(RegistryError, match="is being erased"):
        again()
    with pytest.raises(RetentionError, match="being erased already"):
        begin_erasure(moderated.redis, GONE, LEAD, retention=TERMS)
    assert go_on(work_of(moderated), seconds=60)
    assert again() > 0


def test_unread_events_stay_until_they_are_read(moderated: KeptEvidence) -> None:
    """A platform would never learn of a decision that it has not read yet."""
    moderated.redis.xgroup_create("lw:decisions", "platform", id="0")
    begin_erasure(moderated.redis, GONE, LEAD, retention=TERMS)
    (done,) = go_on(work_of(moderated), seconds=60)
    assert done.events_waiting >= 1
    ((_, entries),) = moderated.redis.xreadgroup("platform", "one", {"lw:decisions": ">"})
    assert [fields for _, fields in entries if GONE in fields["event"]]


def refusal(kept: KeptEvidence, stream: str = "cam-1") -> str:
    with pytest.raises(RetentionError) as refused:
        begin_erasure(kept.redis, stream, LEAD, retention=TERMS)
    assert kept.entries("forget") == []
    assert erasures(kept.redis) == []
    return str(refused.value)


@pytest.mark.parametrize(
    ("outcome", "then", "expected"),
    [
        ("", lambda *_: None, "nobody has decided on it"),
        ("csea_apparent", lambda *_: None, "no report is recorded"),
        ("child_at_risk", lambda *_: None, "no report is recorded"),
        ("harmless", lambda redis, incident: hold(redis, incident, MODERATOR, reason="court"), "it is on hold"),
        (
            "csea_apparent",
            lambda redis, incident: record_report(
                redis, incident, LEAD, authority="NCMEC", report_id="1", retention=TERMS
            ),
            "the report's term runs",
        ),
    ],
)
def test_what_must_stay_keeps_all_of_it(
    kept: KeptEvidence, outcome: str, then: Callable[[Redis, str], object], expected: str
) -> None:
    """Evidence on hold, or of a report, would be erased at a person's request."""
    incident = kept.incident(outcome=outcome)
    kept.incident("cam-2", outcome="harmless")
    then(kept.redis, incident)
    said = refusal(kept)
    assert incident in said
    assert expected in said
    assert plan_erasure(kept.redis, "cam-2", TERMS).obstacles == ()


def test_watched_and_unknown_streams_are_refused(kept: KeptEvidence) -> None:
    """A stream that is live would be erased while it is moderated; or a typing error be told as done."""
    assert "nothing of it is on record" in refusal(kept)
    watch(kept.redis, register("cam-1", "http://o.example/live.m3u8", url_template="", legal_basis=""))
    assert "`livewarden streams remove cam-1` first" in refusal(kept)
    with pytest.raises(BankRequestError, match="only a lead or operator"):
        begin_erasure(kept.redis, "cam-1", MODERATOR, retention=TERMS)


def test_hold_that_comes_first_wins_and_one_that_comes_later_is_refused(kept: KeptEvidence) -> None:
    """A hold would be placed on data that is being erased, and a court be told that it is kept."""
    incident = kept.incident(outcome="harmless")
    begin_erasure(kept.redis, "cam-1", LEAD, retention=TERMS)
    with pytest.raises(RetentionError, match="is being erased"):
        hold(kept.redis, incident, LEAD, reason="court")
    assert go_on(work_of(kept), seconds=60)
    assert kept.refs(incident) == set()


def test_ended_term_of_a_report_lets_it_go(kept: KeptEvidence) -> None:
    """Data would stay for good, though the law does not demand it any more."""
    incident = kept.incident(outcome="csea_apparent")
    done = record_report(kept.redis, incident, LEAD, authority="NCMEC", report_id="1", retention=TERMS)
    case = done.report.case_id
    ((field, text),) = kept.redis.hgetall(f"lw:reports:{case}").items()
    past = now_ms(kept.redis) - 367 * 86_400_000
    kept.redis.hset(f"lw:reports:{case}", field, text.replace(str(done.report.recorded_ms), str(past)))
    begin_erasure(kept.redis, "cam-1", LEAD, retention=TERMS)
    assert go_on(work_of(kept), seconds=60)
    assert not kept.redis.exists(f"lw:reports:{case}", f"lw:case:{case}")


def test_streams_with_alike_ids_stay(kept: KeptEvidence, redis_url: str) -> None:
    """The data of `cam-10` would go with that of `cam-1`."""
    kept.incident("cam-1", outcome="harmless")
    for alike in ("cam-10", "a:cam-1", "cam-1:a", "CAM-1"):
        kept.incident(alike, outcome="harmless")
    before = {alike: keys_with(redis_url, f"lw:incidents:{alike}") for alike in ("cam-10", "a:cam-1", "cam-1:a")}
    begin_erasure(kept.redis, "cam-1", LEAD, retention=TERMS)
    assert go_on(work_of(kept), seconds=60)
    for alike, keys in before.items():
        assert keys_with(redis_url, f"lw:incidents:{alike}") == keys
        assert plan_erasure(kept.redis, alike, TERMS).incidents[0].records
    assert not kept.redis.exists("lw:incidents:cam-1")


def test_store_that_is_away_is_waited_for(kept: KeptEvidence, tmp_path: Path) -> None:
    """An erasure would count as done while the pictures are still in the store."""
    incident = kept.incident(outcome="harmless", pictures=1)
    begin_erasure(kept.redis, "cam-1", LEAD, retention=TERMS)
    (tmp_path / "no-folder").write_text("a file where the store should be")
    away = kept.purge(TERMS, store=ObjectStore(str(tmp_path / "no-folder")))
    waiting = ErasureWork(purge=away, erase_log=partial(erase_stream, kept.redis, kept.store), late_ms=0)
    assert go_on(waiting) == []
    assert len(kept.refs(incident)) == 1
    assert go_on(work_of(kept), seconds=60)
    assert kept.refs(incident) == set()
