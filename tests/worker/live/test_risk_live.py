"""A real worker: signals choose the queue, and a report of imminent danger calls a person at once."""

import json
from datetime import datetime
from pathlib import Path

from celery import Celery
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis

from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.registry.signals import report_signals

CRITICAL = "lw:escalations:critical"
WITHIN_SECONDS = 2.0
"""Between report and publication, by Redis's clock."""


def test_signals_choose_the_queue_and_danger_waits_for_nothing(
    redis: Redis, redis_url: str, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """A reported stream would wait behind all others, and a child in danger behind every segment of a busy worker."""
    origin.add("0.ts", segment_bytes(card=False))
    origin.ended = True
    for stream_id, url in (("calm", origin.url), ("reported", origin.url), ("unread", f"{origin.url}.missing")):
        watch(redis, register(stream_id, url, purpose="drill", url_template="", legal_basis=""))
    report_signals(redis, "reported", {"viewer-reports": 50.0, "chat-risk": 1.0})
    # No process of this worker takes segments, so that they stay where they were sent.
    with celery("worker", environment, tmp_path, "--concurrency=1", "-Q", "control") as worker:
        eventually(lambda: redis.exists("lw:lane:order:shared"), within_seconds=60, what=worker.text)
        eventually(lambda: redis.exists("lw:lane:order:urgent"), within_seconds=60, what=worker.text)
        assert redis.zrange("lw:lane:order:urgent", 0, -1) == ["reported"]
        assert redis.zrange("lw:lane:order:shared", 0, -1) == ["calm"]
        platform = Celery(broker=redis_url)
        platform.send_task("livewarden.report_signals", args=["unread", {"imminent-danger": 1}], queue="intake")
        platform.close()
        eventually(lambda: redis.exists(CRITICAL), within_seconds=60, what=worker.text)
    ((_, fields),) = redis.xrange(CRITICAL)
    event = json.loads(fields["event"])
    assert (event["subject"], event["data"]["rule"], event["data"]["ask"]) == ("unread", "imminent-danger", "phone")
    reported = datetime.fromisoformat(event["data"]["signal"]["reported"])
    assert (datetime.fromisoformat(event["time"]) - reported).total_seconds() < WITHIN_SECONDS
