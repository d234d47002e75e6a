"""Events about watched streams on `lw:streams:events`, for their platform."""

import json
from collections.abc import Callable, Iterator

import pytest
from envelopes import URL, message
from hls_origin import LiveOrigin
from redis import Redis

from config.schemas import check_event
from config.settings import Settings
from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.messages.batches import claim, done
from worker.ingest.messages.keys import CLAIM, QUEUE, REST
from worker.ingest.messages.reader import MessageReader
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.changes import Author
from worker.ingest.registry.platform_events import MAX_EVENTS, STREAM_EVENTS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, DUE_NEW, stream_key, unwatch, watch
from worker.ingest.status import stream_status
from worker.store.redis_client import now_ms

Poll = Callable[[], dict]


@pytest.fixture
def poll(redis: Redis, origin: LiveOrigin) -> Iterator[Poll]:
    """Polls the stream `s`, independent of the schedule, and gives its record."""
    fetcher = Fetcher(AllowedOrigins.parse([origin.host]))

    def go() -> dict:
        if redis.zrem(DUE_NEW, "s"):  # as a tick does
            redis.zadd(DUE, {"s": 0})
        redis.zadd(DUE, {"s": 0}, xx=True)
        poll_due(redis, fetcher, height_pixels=360, send=lambda *_: None, deployment="d")
        return stream_status(redis, "s")

    begin(redis, origin)
    yield go
    fetcher.close()


def begin(redis: Redis, origin: LiveOrigin) -> int:
    return watch(redis, register("s", f"{origin.url}?token=SECRET", url_template="", legal_basis=""))


def fail_for(redis: Redis, seconds: float) -> None:
    """Makes polls appear to have failed for so long."""
    cursor = json.loads(redis.hget(stream_key("s"), "cursor"))
    cursor["failing_since_ms"] -= round(seconds * 1000)
    redis.hset(stream_key("s"), "cursor", json.dumps(cursor))


def published(redis: Redis) -> list[dict]:
    events = [json.loads(fields["event"]) for _, fields in redis.xrange(STREAM_EVENTS)]
    for event in events:
        check_event(event)
    assert "SECRET" not in json.dumps(events)
    assert len({event["id"] for event in events}) == len(events)
    return events


def kinds(redis: Redis) -> list[tuple[str, str]]:
    return [(event["type"].split(".")[2], event["data"]["reason"]) for event in published(redis)]


class TestRefused:
    """A `watch_stream` that is refused."""

    @staticmethod
    def read(redis: Redis, *messages: bytes) -> None:
        for raw in messages:
            redis.lpush(QUEUE, raw)
        reader = MessageReader(redis, Settings(deployment="d"), _Never())
        while claim_again(redis):
            reader.read_batch()

    def test_each_one_is_published_with_the_refused_argument(self, redis: Redis) -> None:
        """A platform would believe that an unwatched stream is watched."""
        secret = "https://me:SECRET@cdn.example/a?token=SECRET"
        self.read(
            redis,
            message(["good", URL]),
            message(["s1", "ftp://cdn.example/a"]),
            message(["s2", secret]),
            message(["s3", URL], {"purpose": secret}),
            message(["s4", URL], {"audience": "private"}),
            message(["s5", URL], {"colour": "red"}),
            message([f"no good/{secret}\x1b[2J", URL]),
            message([["s6"], URL]),
            message(["s7"], task="livewarden.unwatch_stream"),
            message(["s8", {"viewers": 1}], task="livewarden.report_signals"),
        )
        assert [(event["data"]["stream_id"], event["data"]["reason"]) for event in published(redis)] == [
            ("s1", "url"),
            ("s2", "url"),
            ("s3", "purpose"),
            ("s4", "audience"),
            ("s5", "arguments"),
            (None, "stream_id"),
            (None, "stream_id"),
        ]
        first, *_, odd, _ = published(redis)
        assert (first["source"], first["subject"]) == ("/livewarden/d", "s1")
        assert "expected http://host/" in first["data"]["problem"]
        assert "subject" not in odd
        assert odd["data"]["given"].startswith("no good/")
        assert odd["data"]["given"].isprintable()

    def test_a_message_read_twice_is_published_once(self, redis: Redis) -> None:
        """A platform would register a stream again that it corrected long ago."""
        self.read(redis)
        redis.lpush(QUEUE, message(["s1", "ftp://cdn.example/a"]))
        batch = claim(redis).batch
        assert batch is not None
        refused: dict = {}
        dead = MessageReader(redis, Settings(deployment="d"), _Never())
        dead._read(batch, 0, batch.messages[0], refused)
        dead._refuse(refused)
        self.read(redis)
        assert kinds(redis) == [("refused", "url")]
        assert not done(redis, batch, 1)

    def test_a_flood_does_not_fill_redis(self, redis: Redis) -> None:
        """A platform with a bug in a loop would fill Redis, and stop all moderation."""
        with redis.pipeline() as pipe:
            for _ in range(MAX_EVENTS + 200):
                pipe.xadd(STREAM_EVENTS, {"event": "{}"})
            pipe.execute()
        self.read(redis, message(["s1", "ftp://cdn.example/a"]))
        assert redis.xlen(STREAM_EVENTS) <= MAX_EVENTS + 100


class TestUnreachable:
    """A stream that cannot be read."""

    def test_a_wrong_url_is_published_once(self, redis: Redis, origin: LiveOrigin, poll: Poll) -> None:
        """A platform that registers a wrong URL would never learn that its stream is not watched."""
        origin.status["/live/index.m3u8"] = 404
        poll()
        fail_for(redis, 14)
        poll()
        assert published(redis) == []
        assert 0 < redis.zscore(DUE_NEW, "s") - now_ms(redis) <= 1_000, "polled again as soon as it is 15 s"
        fail_for(redis, 2)
        poll()
        poll()
        (event,) = published(redis)
        assert (event["type"], event["subject"]) == ("livewarden.stream.unreachable.v1", "s")
        assert event["data"] == {
            "stream_id": "s",
            "generation": stream_status(redis, "s")["generation"],
            "url": origin.url,
            "reason": "http_404",
            "since": event["data"]["since"],
            "never_read": True,
        }

    def test_each_outage_is_published(self, redis: Redis, origin: LiveOrigin, poll: Poll) -> None:
        """A platform would take the second outage of an evening for the first, which is over."""
        origin.add("0.ts", b"x")
        for _ in range(2):
            origin.status.clear()
            poll()
            origin.status["/live/index.m3u8"] = 503
            poll()
            fail_for(redis, 16)
            poll()
            poll()
        assert kinds(redis) == [("unreachable", "http_503")] * 2
        assert [event["data"]["never_read"] for event in published(redis)] == [False, False]

    def test_a_brief_failure_is_not_published(self, redis: Redis, origin: LiveOrigin, poll: Poll) -> None:
        """Every restart of an origin would publish an event, and platforms would stop reading them."""
        origin.add("0.ts", b"x")
        poll()
        origin.status["/live/index.m3u8"] = 503
        poll()
        origin.status.clear()
        poll()
        assert published(redis) == []

    def test_a_response_that_is_no_playlist_counts_too(self, redis: Redis, origin: LiveOrigin, poll: Poll) -> None:
        """The URL of a web page answers 200, and nobody would learn that there is nothing to watch."""
        origin.playlist = b"<html>"
        poll()
        fail_for(redis, 16)
        poll()
        assert kinds(redis) == [("unreachable", "malformed")]


class TestEnded:
    """A stream that is no longer watched."""

    def test_by_its_playlist(self, redis: Redis, origin: LiveOrigin, poll: Poll) -> None:
        """A platform whose broadcaster goes on elsewhere would think that the stream is still watched."""
        origin.add("0.ts", b"x")
        poll()
        origin.ended = True
        assert poll()["state"] == "ended"
        (event,) = published(redis)
        assert event["type"] == "livewarden.stream.ended.v1"
        assert event["data"] == {
            "stream_id": "s",
            "generation": stream_status(redis, "s")["generation"],
            "reason": "endlist",
            "detail": "",
        }

    def test_by_ten_minutes_without_a_playlist(self, redis: Redis, origin: LiveOrigin, poll: Poll) -> None:
        """Livewarden would give up without the platform knowing."""
        origin.status["/live/index.m3u8"] = 410
        poll()
        fail_for(redis, 700)
        assert poll()["state"] == "ended"
        assert kinds(redis)[-1] == ("ended", "unreachable")
        assert published(redis)[-1]["data"]["detail"] == "http_410"

    def test_by_a_stall(self, redis: Redis, origin: LiveOrigin, poll: Poll) -> None:
        """A broadcaster who comes back after an hour's pause would be unwatched without the platform knowing."""
        origin.add("0.ts", b"x")
        poll()
        cursor = Cursor.from_json(redis.hget(stream_key("s"), "cursor"))
        assert cursor.last_new_ms is not None
        changed = json.loads(cursor.to_json()) | {"last_new_ms": cursor.last_new_ms - 31 * 60_000}
        redis.hset(stream_key("s"), "cursor", json.dumps(changed))
        assert poll()["state"] == "ended"
        assert kinds(redis) == [("ended", "stalled")]

    def test_by_unwatch_once(self, redis: Redis, origin: LiveOrigin) -> None:
        """Two services of one platform would not know of each other's unwatch."""
        begin(redis, origin)
        for _ in range(2):
            unwatch(redis, "s", author=Author(deployment="d"), token="t")
        unwatch(redis, "s")
        assert kinds(redis) == [("ended", "removed")]
        begin(redis, origin)
        unwatch(redis, "s")
        assert kinds(redis) == [("ended", "removed")] * 2
        assert not unwatch(redis, "nobody")
        assert len(published(redis)) == 2


def claim_again(redis: Redis) -> bool:
    """True if a message waits; expires a dead reader's lease before."""
    redis.delete(REST)
    if redis.exists(CLAIM):
        redis.hset(CLAIM, "until_ms", 0)
    return bool(redis.llen(QUEUE) or redis.llen("lw:intake:taken"))


class _Never:
    """An event that is never set."""

    @staticmethod
    def is_set() -> bool:
        return False
