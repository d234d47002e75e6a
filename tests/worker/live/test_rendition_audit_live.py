"""Audits of other renditions on real workers, which are killed in the middle of one."""

import os
import signal
from pathlib import Path

from hls_origin import SEGMENT_SECONDS, LiveOrigin, eventually
from ledgers import check_equation, escalated
from live_stack import celery
from redis import Redis
from two_renditions import ALWAYS, large, serve, small

from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status


def test_a_worker_killed_during_an_audit_costs_its_segment_nothing(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
):
    """What another rendition does to a decoder, or to a worker's memory, would cost the watched one its verdict; or its
    segments would end one process after another."""
    (tmp_path / "policy.yaml").write_text(ALWAYS)
    settings = environment | {"LIVEWARDEN_POLICY_FILE": str(tmp_path / "policy.yaml")}
    serve(origin, {"low": [small("astronaut"), small("coffee")], "high": [large("card")] * 2})
    gate = origin.hold("high/index.m3u8")
    with celery("worker", settings, tmp_path, "--concurrency=1") as worker:
        watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
        eventually(gate.reached.is_set, within_seconds=60, what=worker.text)
        for pid in worker.children():
            os.kill(pid, signal.SIGKILL)
        gate.opened.set()
        eventually(
            lambda: stream_status(redis, "s")["moderated_seconds"] == 2 * SEGMENT_SECONDS,
            within_seconds=60,
            what=worker.text,
        )
    assert origin.requests.count("GET /live/high/index.m3u8") == 1
    assert escalated(redis) == set()
    check_equation(redis, "s")
