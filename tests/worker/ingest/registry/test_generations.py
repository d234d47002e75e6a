"""Watch generations over the life of a deployment: a stream ID that comes back is another watch, always."""

import json

from hls_origin import LiveOrigin, segment_bytes
from redis import Redis

from worker.incidents.keys import incidents_key
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, GENERATIONS, KEPT_AFTER_END_SECONDS, STREAMS, stream_key, watch
from worker.ingest.status import stream_status
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import now_ms

DRILLS = "lw:escalations:high"


def begin(redis: Redis, stream_id: str, url: str = "https://cdn.example/a.m3u8") -> int:
    return watch(redis, register(stream_id, url, purpose="drill", url_template="", legal_basis=""))


def watch_and_moderate(process: WorkerProcess, origin: LiveOrigin) -> None:
    """Watches the stream from registration to the last listed segment."""
    keys: list[str] = []
    begin(process.redis, "s", origin.url)
    process.redis.zadd(DUE, {"s": 0}, xx=True)
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    for key in keys:
        moderate_segment(process, "s", key)


def let_record_pass(redis: Redis, stream_id: str) -> None:
    """Expires the record, as 7 days after the watch's end."""
    redis.delete(stream_key(stream_id))
    redis.zrem(DUE, stream_id)
    redis.zrem(STREAMS, stream_id)
    for rule, text in redis.hgetall(incidents_key(stream_id)).items():
        if rule.startswith("rule:"):
            state = json.loads(text)
            state["decided"]["quiet_until_ms"] -= 1000 * KEPT_AFTER_END_SECONDS
            redis.hset(incidents_key(stream_id), rule, json.dumps(state))


def test_a_stream_that_returns_after_its_record_expired_is_escalated_and_given_once(
    process: WorkerProcess, origin: LiveOrigin
) -> None:
    """The new watch's escalation would have the old one's ID: readers would drop it, and `queue next` would give it for
    ever."""
    origin.add("0.ts", segment_bytes(card=True))
    watch_and_moderate(process, origin)
    first = take(process.redis, "ann")
    assert first is not None
    decide_incident(process.redis, first.incident_id, "harmless", by="ann", note="seen", deployment="test")
    let_record_pass(process.redis, "s")

    watch_and_moderate(process, origin)
    second = take(process.redis, "ann")
    assert second is not None
    assert json.loads(second.event)["id"] != json.loads(first.event)["id"]
    assert second.incident_id != first.incident_id
    assert take(process.redis, "ann", another=True) is None
    assert take(process.redis, "bob") is None
    ids = [json.loads(fields["event"])["id"] for _, fields in process.redis.xrange(DRILLS)]
    assert len(ids) == len(set(ids)) == 3, "raised, closed, raised"
    decide_incident(process.redis, second.incident_id, "harmless", by="ann", note="seen", deployment="test")
    assert take(process.redis, "ann") is None


def test_a_deployment_starts_from_its_first_second_and_counts_on(redis: Redis) -> None:
    """After Redis is set up again, generations would repeat those of events that readers have on file."""
    began = now_ms(redis) // 1000
    first, other = begin(redis, "a"), begin(redis, "b")
    assert began < first <= now_ms(redis) // 1000 + 1
    assert other == first + 1
    let_record_pass(redis, "a")
    assert begin(redis, "a") == first + 2 == int(redis.get(GENERATIONS))


def test_a_watch_of_version_0_1_0_keeps_its_generation(redis: Redis) -> None:
    """An upgrade would moderate all listed segments a second time."""
    began = now_ms(redis) // 1000
    begin(redis, "a")
    redis.hset(stream_key("a"), mapping={"generation": 3, "state": "live"})
    redis.delete(GENERATIONS)
    assert begin(redis, "a") == 3
    assert stream_status(redis, "a")["generation"] == 3
    assert begin(redis, "a", "https://cdn.example/other.m3u8") > began
