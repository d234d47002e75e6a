"""Polls of a real origin, written into a real Valkey."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hls_origin import LiveOrigin
from redis import Redis

from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resource import Validators
from worker.ingest.pending.segments import pending_key
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.poll.poll import poll_due
from worker.ingest.poll.validators import keep_validators
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, stream_key, unwatch, watch
from worker.ingest.registry.signals import stream_facts
from worker.ingest.status import stream_status


class Poller:
    """Polls on demand, independent of the schedule."""

    def __init__(self, redis: Redis, origin: LiveOrigin) -> None:
        self.redis, self.origin = redis, origin
        self.fetcher = Fetcher(AllowedOrigins.parse([origin.host]))
        self.sent: list[str] = []
        watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))

    def poll(self) -> dict:
        self.redis.zadd(DUE, {"s": 0}, xx=True)
        poll_due(self.redis, self.fetcher, height_pixels=360, send=lambda _, key, __: self.sent.append(key))
        return stream_status(self.redis, "s")


@pytest.fixture
def poller(redis: Redis, origin: LiveOrigin) -> Iterator[Poller]:
    poller = Poller(redis, origin)
    yield poller
    poller.fetcher.close()


def accounted(record: dict) -> float:
    return sum(record[f"{kind}_seconds"] for kind in ("moderated", "skipped", "failed", "missed", "pending"))


def test_admits_each_segment_once(poller: Poller):
    """A segment that stays in the window over many polls would be moderated repeatedly, or be overlooked."""
    for index in range(8):
        poller.origin.add(f"{index}.ts?token={index}", b"x")
        poller.poll()
        record = poller.poll()
    assert len(poller.sent) == len(set(poller.sent)) == 8
    assert poller.redis.hlen(pending_key("s")) == 8
    assert record["state"] == "live"
    assert record["elapsed_seconds"] == accounted(record) == 16


def test_a_watch_begins_with_the_newest_segment(poller: Poller):
    """The current picture of a new stream would be moderated after all earlier ones."""
    for index in range(4):
        poller.origin.add(f"{index}.ts", b"x")
    poller.poll()
    assert [int(key.split(".")[3]) for key in poller.sent] == [3, 0, 1, 2]
    for index in range(4, 6):
        poller.origin.add(f"{index}.ts", b"x")
    poller.poll()
    assert [int(key.split(".")[3]) for key in poller.sent[4:]] == [4, 5]


def test_segments_that_the_origin_declares_missing_are_all_missed(poller: Poller):
    """Of several gaps found by one poll only the last would be in the ledger."""
    for index in range(4):
        poller.origin.add(f"{index}.ts", b"x")
        if index in (1, 3):
            poller.origin.extra[f"{index}.ts"] = "#EXT-X-GAP"
    record = poller.poll()
    assert record["reasons"] == {"missed: gap": 4.0}
    assert record["elapsed_seconds"] == accounted(record) == 8


def test_a_recording_is_admitted_from_its_start_in_portions(poller: Poller):
    """A recording longer than the bound of pending segments would lose its middle, or fill the queue."""
    for index in range(300):
        poller.origin.add(f"{index}.ts", b"x", window=300)
    poller.origin.ended = True
    admitted: list[int] = []
    while (record := poller.poll())["state"] != "ended":
        assert poller.redis.hlen(pending_key("s")) <= 64
        assert poller.redis.zscore(DUE, "s") - poller.redis.time()[0] * 1000 > 500
        admitted += [int(key.split(".")[3]) for key in poller.sent]
        # As their settlement does.
        poller.redis.hincrby("lw:coverage:s", "moderated", 2_000 * len(poller.sent))
        poller.redis.delete(pending_key("s"))
        poller.sent.clear()
    admitted += [int(key.split(".")[3]) for key in poller.sent]
    assert admitted == list(range(300))
    assert record["elapsed_seconds"] == accounted(record) == 600
    assert record["skipped_seconds"] == 0


def test_counts_segments_that_left_the_window_unseen(poller: Poller):
    """After a pause of the workers the ledger would not show the time that nobody can see any more."""
    poller.origin.add("0.ts", b"x")
    poller.poll()
    for index in range(1, 12):
        poller.origin.add(f"{index}.ts", b"x")
    record = poller.poll()
    assert record["reasons"] == {"missed: left_window": 10.0}
    assert record["elapsed_seconds"] == accounted(record) == 24


@pytest.mark.parametrize(
    ("playlist", "state"), [(b"<html>no</html>", "malformed"), (b"", "malformed"), (b"\x00\xff" * 50, "malformed")]
)
def test_a_response_that_is_no_playlist_is_reported(poller: Poller, playlist: bytes, state: str):
    """An operator could not see that an origin answers with something other than a playlist."""
    poller.origin.playlist = playlist
    record = poller.poll()
    assert (record["state"], record["reason"]) == (state, "malformed")


def test_the_reason_for_an_unreadable_playlist_is_reported(poller: Poller):
    """An operator could not see the status with which an origin answers."""
    poller.origin.status["/live/index.m3u8"] = 404
    record = poller.poll()
    assert (record["state"], record["reason"]) == ("unreachable", "http_404")


def test_fetches_nothing_from_hosts_that_are_not_allowed(poller: Poller):
    """A playlist, or a platform's mistake, would make workers fetch from the internal network."""
    watch(poller.redis, register("s", "http://127.0.0.1:1/x.m3u8", url_template="", legal_basis=""))
    assert poller.poll()["reason"] == "refused_origin"


def test_follows_a_master_playlist_to_the_wanted_rendition(poller: Poller):
    """Moderating the largest rendition would cost many times as much."""
    poller.origin.add("0.ts", b"x")
    poller.origin.bodies["/live/master.m3u8"] = (
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=1920x1080\nno.m3u8\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=5,RESOLUTION=640x360\nindex.m3u8\n"
    )
    watch(poller.redis, register("s", poller.origin.url.replace("index", "master"), url_template="", legal_basis=""))
    record = poller.poll()
    assert (record["rendition"], len(poller.sent)) == ("640x360", 1)
    poller.origin.add("1.ts", b"x")
    poller.poll()
    assert poller.origin.requests.count("GET /live/master.m3u8") == 1
    assert len(poller.sent) == 2


def test_an_origin_that_restarts_is_a_new_epoch(poller: Poller):
    """After a restart numbers begin at 0 again: new segments would pass for moderated ones."""
    for index in range(4):
        poller.origin.add(f"{index}.ts", b"x")
    poller.poll()
    poller.origin.restart()
    poller.origin.add("new-0.ts", b"x")
    record = poller.poll()
    assert record["epoch"] == 1
    assert len(poller.sent) == len(set(poller.sent)) == 5


def test_a_restart_with_the_same_names_is_detected_by_validators(poller: Poller):
    """nginx numbers its files from 0 after each restart: other pictures under the same names would not be moderated."""
    for index in range(3):
        poller.origin.add(f"{index}.ts", b"old")
    poller.poll()
    for key in poller.sent:
        keep_validators(poller.redis, "s", key, Validators(length_bytes=3))
    poller.origin.restart()
    poller.origin.add("0.ts", b"newer")
    poller.origin.add("1.ts", b"newer")
    record = poller.poll()
    assert record["epoch"] == 1
    assert len(poller.sent) == 5


def test_an_ended_stream_is_no_longer_polled(poller: Poller):
    """A recording would be moderated again and again, or stay on the schedule for good."""
    poller.origin.add("0.ts", b"x")
    poller.origin.ended = True
    record = poller.poll()
    assert (record["state"], record["reason"], len(poller.sent)) == ("ended", "endlist", 1)
    assert poller.redis.zscore(DUE, "s") - poller.redis.time()[0] * 1000 <= 10_000
    record = poller.poll()
    assert (record["state"], len(poller.sent), record["elapsed_seconds"]) == ("ended", 1, 2)
    key = stream_key("s")
    cursor = json.loads(poller.redis.hget(key, "cursor"))
    poller.redis.hset(key, "cursor", json.dumps(cursor | {"last_new_ms": cursor["last_new_ms"] - 301_000}))
    poller.redis.hincrby(key, "registered_ms", -301_000)
    record = poller.poll()
    assert (record["state"], len(poller.sent)) == ("ended", 1)
    assert poller.redis.zcard(DUE) == 0
    assert poller.redis.ttl(key) > 0


def test_a_broadcaster_who_comes_back_is_watched(poller: Poller):
    """A new broadcast that begins while the old ENDLIST playlist is still served would be unseen."""
    poller.origin.add("0.ts", b"x")
    poller.origin.ended = True
    assert poller.poll()["state"] == "ended"
    assert poller.poll()["state"] == "ended"
    poller.origin.restart()
    poller.origin.ended = False
    poller.origin.add("new-0.ts", b"x")
    record = poller.poll()
    assert (record["epoch"], len(poller.sent), record["missed_seconds"]) == (1, 2, 0)
    poller.origin.add("new-1.ts", b"x")
    assert poller.poll()["state"] == "live"
    assert len(poller.sent) == 3
    assert poller.redis.ttl(stream_key("s")) == -1


def test_a_poll_of_a_removed_stream_writes_nothing(poller: Poller):
    """A stream removed while it is polled would come back."""
    poller.origin.add("0.ts", b"x")
    gate = poller.origin.hold("index.m3u8")
    polling = threading.Thread(target=poller.poll)
    polling.start()
    assert gate.reached.wait(60)
    unwatch(poller.redis, "s")
    gate.opened.set()
    polling.join()
    record = stream_status(poller.redis, "s")
    assert (record["state"], record["elapsed_seconds"], poller.sent) == ("removed", 0, [])
    assert stream_facts(poller.redis, "s").drill


def test_the_end_of_a_watch_keeps_no_token_of_a_segment(poller: Poller):
    """A signed URL of a broadcast that is over would stay readable in Redis for days."""
    poller.origin.add("0.ts", b"x")
    poller.origin.playlist = poller.origin.playlist_text().replace(b"0.ts", b"0.ts?signature=s3cret},{&x=%5D")
    poller.poll()
    kept = poller.redis.hget(stream_key("s"), "cursor")
    assert "s3cret" in kept
    unwatch(poller.redis, "s")
    after = Cursor.from_json(poller.redis.hget(stream_key("s"), "cursor"))
    assert "s3cret" not in str(poller.redis.hgetall(stream_key("s")))
    assert after == replace(Cursor.from_json(kept), seen=(), newest=None)
