"""A real worker, and hostile messages in `intake`."""

import json
from pathlib import Path

from celery import Celery
from envelopes import ODD
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis

from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status


def test_no_message_ends_a_worker_or_delays_an_honest_one(
    redis: Redis, redis_url: str, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """A writer to `intake` could end every worker repeatedly: the messages are still there after a restart."""
    origin.add("0.ts", segment_bytes(card=True))
    origin.ended = True
    for index, (_, raw) in enumerate(ODD.values()):
        redis.execute_command("LPUSH", ("intake", "intake\x06\x163", "intake\x06\x166")[index % 3], raw)
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        platform = Celery(broker=redis_url)
        platform.send_task("livewarden.watch_stream", args=["s", origin.url, None, "drill"], queue="intake")
        platform.close()
        eventually(lambda: redis.exists("lw:stream:s"), within_seconds=60, what=worker.text)
        eventually(lambda: stream_status(redis, "s")["moderated_seconds"] == 2, within_seconds=60, what=worker.text)
        eventually(lambda: redis.llen("lw:intake:refused") == len(ODD), within_seconds=60, what=worker.text)
        assert worker.process.poll() is None
        log = worker.text()
    assert [json.loads(text)["reason"] for text in redis.lrange("lw:intake:refused", 0, -1)]
    assert "Traceback" not in log
    assert "SECRET" not in log
    assert not [character for character in log if not character.isprintable() and character != "\n"]


def test_odd_messages_in_celerys_own_queues_end_no_worker_either(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """Only workers write there; but a bug in one, or a program with its password, could end all others."""
    origin.add("0.ts", segment_bytes(card=True))
    origin.ended = True
    for queue in ("control", "segments"):
        for index, (_, raw) in enumerate(ODD.values()):
            redis.lpush(queue, raw.replace(b'"4f3e"', f'"{queue}{index}"'.encode()))
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        eventually(lambda: stream_status(redis, "s")["moderated_seconds"] == 2, within_seconds=60, what=worker.text)
        eventually(lambda: not redis.exists("control", "segments"), within_seconds=60, what=worker.text)
        assert worker.process.poll() is None
        assert "a message in Celery's queues is dropped: JSONDecodeError" in worker.text()
    assert redis.hlen("unacked") == 0
