"""Streams of real origins that are polled on demand; time passes by backdating their records."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hls_origin import LiveOrigin, serving
from redis import Redis

from config.schemas import check_event
from worker.events.operations import OPERATIONS
from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.pending.segments import pending_key
from worker.ingest.poll.origin_gaps import publish_origin_gaps
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, DUE_NEW, stream_key, watch
from worker.ingest.status import stream_status


class Platform:
    """Registers streams of real origins and polls them on demand; time passes by backdating their records."""

    def __init__(self, redis: Redis, origins: list[LiveOrigin]) -> None:
        self.redis, self.origins = redis, origins
        self.fetcher = Fetcher(AllowedOrigins.parse([origin.host for origin in origins]))

    def watch(self, stream_id: str, origin: LiveOrigin, *, path: str = "index.m3u8") -> None:
        url = origin.url.replace("index.m3u8", path)
        watch(self.redis, register(stream_id, url, purpose="drill", url_template="", legal_basis=""))

    def poll(self, stream_id: str) -> dict:
        if self.redis.zrem(DUE_NEW, stream_id):  # as a tick does
            self.redis.zadd(DUE, {stream_id: 0})
        self.redis.zadd(DUE, {stream_id: 0}, xx=True)
        poll_due(self.redis, self.fetcher, height_pixels=360, send=lambda *_: None)
        return self.show(stream_id)

    def show(self, stream_id: str) -> dict:
        record = stream_status(self.redis, stream_id)
        parts = ("moderated", "skipped", "failed", "missed", "pending")
        assert sum(record[f"{part}_seconds"] for part in parts) == pytest.approx(record["elapsed_seconds"], abs=1e-6)
        return record

    def let_pass(self, stream_id: str, ms: int) -> None:
        """Backdates all records of the stream by `ms`."""
        key = stream_key(stream_id)
        fields = self.redis.hgetall(key)
        for name in ("registered_ms", "last_poll_ms", "missing_since_ms", "missing_from_ms", "gap_since_ms"):
            if fields.get(name):
                self.redis.hset(key, name, int(fields[name]) - ms)
        if "cursor" in fields:
            cursor = json.loads(fields["cursor"])
            moved = {
                name: value - ms
                for name, value in cursor.items()
                if name.endswith("_ms") and value and name not in {"window_ms", "mean_ms", "outage_ms", "unseen_ms"}
            }
            self.redis.hset(key, "cursor", json.dumps(cursor | moved))
        for member in self.redis.zrange("lw:streams:missing", 0, -1):
            if member.endswith(f" {stream_id}"):
                self.redis.zincrby("lw:streams:missing", -ms, member)

    def settle(self, stream_id: str) -> None:
        """Ends pending segments, as their settlement does."""
        pending = self.redis.hvals(pending_key(stream_id))
        self.redis.hincrby(f"lw:coverage:{stream_id}", "moderated", sum(json.loads(p)["duration_ms"] for p in pending))
        self.redis.delete(pending_key(stream_id))

    def events(self) -> list[dict]:
        publish_origin_gaps(self.redis, deployment="test")
        events = [json.loads(fields["event"]) for _, fields in self.redis.xrange(OPERATIONS)]
        for event in events:
            check_event(event)
        return [event for event in events if "origin" in event["type"]]

    def close(self) -> None:
        self.fetcher.close()


@contextmanager
def origins_of_a_platform(number: int) -> Iterator[list[LiveOrigin]]:
    """This many origins, each on its own port."""
    with ExitStack() as stack:
        yield [stack.enter_context(serving(LiveOrigin())) for _ in range(number)]
