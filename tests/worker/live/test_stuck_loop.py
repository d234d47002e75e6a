"""Workers whose event loops ask for no work, while their other threads give signs of life."""

import json
from contextlib import ExitStack
from pathlib import Path

import broken_loop
import pytest
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import CeleryProcess, celery
from redis import Redis

from worker.doctor.diagnosis import State
from worker.doctor.live import examine_live
from worker.events.operations import OPERATIONS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.runtime.loop_guard import ENDED_EVERY_MS


def told(redis: Redis) -> dict[str, tuple[int, dict]]:
    """Milliseconds at which operators were told, and what, by the state of the event loop."""
    found = [(int(entry.partition("-")[0]), json.loads(fields["event"])) for entry, fields in redis.xrange(OPERATIONS)]
    return {
        event["data"]["loop"]: (at_ms, event["data"])
        for at_ms, event in found
        if event["type"] == "livewarden.operations.worker_idle.v1"
    }


def moderated(redis: Redis) -> float:
    return float(stream_status(redis, "s")["moderated_seconds"])


@pytest.mark.timeout(400)
def test_workers_that_ask_for_no_work_end_one_after_the_other(
    redis: Redis, environment: dict[str, str], origin: LiveOrigin, tmp_path: Path
) -> None:
    """Workers would be idle for ever while all their signs of life go on, and no stream would be watched."""
    watch(redis, register("s", origin.url, url_template="", legal_basis=""))
    faults = {fault: tmp_path / fault for fault in ("blocked", "places")}

    def variables(fault: str) -> dict[str, str]:
        broken = {broken_loop.VARIABLE: str(faults[fault]), "PYTHONPATH": str(Path(broken_loop.__file__).parent)}
        return environment | broken

    with ExitStack() as running:
        workers: dict[str, CeleryProcess] = {
            fault: running.enter_context(
                celery("worker", variables(fault), tmp_path, "--concurrency=2", "--include=broken_loop")
            )
            for fault in faults
        }

        def logs() -> str:
            return "\n".join(worker.text() for worker in workers.values())

        def row_of_doctor() -> bool:
            (row,) = [row for row in examine_live(redis) if row.name == "workers"]
            return row.state is State.FAIL and row.found.count("asks for no work") == 1

        origin.add("0.ts", segment_bytes(card=False))
        eventually(lambda: "GET /live/0.ts" in origin.requests, within_seconds=90, what=logs)
        eventually(lambda: moderated(redis) == 2, within_seconds=60, what=logs)
        gate = origin.hold("1.ts")
        origin.add("1.ts", segment_bytes(card=False))
        eventually(gate.reached.is_set, within_seconds=60, what=logs)
        for fault, file in faults.items():
            file.write_text(fault)
        eventually(row_of_doctor, within_seconds=90, what=logs)
        gate.opened.set()
        for worker in workers.values():
            eventually(lambda worker=worker: worker.process.poll() is not None, within_seconds=200, what=logs)
            assert worker.process.returncode == 1
            assert "this worker ends: it asks for no work" in worker.text()
    events = told(redis)
    assert all(data["idle_seconds"] >= broken_loop.IDLE_SECONDS for _, data in events.values())
    assert abs(events["blocked"][0] - events["runs"][0]) >= ENDED_EVERY_MS
    assert "broken_loop.py" in events["blocked"][1]["place"]
    faults["places"].unlink()
    with celery("worker", variables("places"), tmp_path, "--concurrency=2", "--include=broken_loop") as worker:
        origin.add("2.ts", segment_bytes(card=False))
        origin.ended = True
        eventually(lambda: moderated(redis) == 6, within_seconds=90, what=worker.text)
    assert stream_status(redis, "s")["elapsed_seconds"] == 6
