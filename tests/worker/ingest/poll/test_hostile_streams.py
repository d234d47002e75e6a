"""Hostile streams in one batch with honest ones: real polls of a real origin, written into a real Valkey."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from hls_origin import LiveOrigin, eventually, serving
from redis import Redis

from worker.errors import OutOfTimeError
from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resource import Validators
from worker.ingest.pending.segments import pending_key
from worker.ingest.playlist.parse_window import MAX_RENDITIONS
from worker.ingest.playlist.poll_pace import SHORTEST_DELAY_MS
from worker.ingest.poll.due import offered
from worker.ingest.poll.failures import publish_poll_failed
from worker.ingest.poll.poll import BUDGET_SECONDS, PollFailure, poll_due
from worker.ingest.poll.validators import keep_validators
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, LONGEST_DUE_MS, stream_key, watch
from worker.ingest.status import stream_status, stream_statuses
from worker.store.redis_client import now_ms

HOSTILE = [f"hostile-{number}" for number in range(8)]
HONEST = [f"honest-{number}" for number in range(4)]
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
BAD_URL = "http://[v1.::1]:8080/x"
"""A URL library raises another error than ValueError for it."""


class Batch:
    """Streams with their own playlists, hostile ones before honest ones, polled on demand."""

    def __init__(self, redis: Redis, origin: LiveOrigin) -> None:
        self.redis, self.origin = redis, origin
        self.fetcher = Fetcher(AllowedOrigins.parse([origin.host]))
        self.sent: list[tuple[str, str]] = []
        self.failures: list[PollFailure] = []
        for name in HONEST:
            self.list(name, HEAD + f"#EXTINF:2,\n{name}.ts\n")
        for name in [*HOSTILE, *HONEST]:
            self.list(name, HEAD + f"#EXTINF:2,\n{name}.ts\n")
            watch(redis, register(name, f"http://{origin.host}/live/{name}.m3u8", url_template="", legal_basis=""))

    def list(self, name: str, text: str) -> None:
        self.origin.bodies[f"/live/{name}.m3u8"] = text.encode()
        self.origin.bodies[f"/live/{name}.ts"] = b"x"

    def send(self, stream_id: str, key: str, _: float) -> None:
        self.sent.append((stream_id, key))

    def poll(
        self, send: Callable[[str, str, float], None] | None = None, *, budget_seconds: float = BUDGET_SECONDS
    ) -> int:
        self.order()
        return poll_due(
            self.redis,
            self.fetcher,
            height_pixels=360,
            send=send or self.send,
            report=self.failures.append,
            budget_seconds=budget_seconds,
        )

    def order(self) -> None:
        """Makes the hostile streams due first; streams registered within one millisecond are ordered by name."""
        self.redis.zadd(DUE, {name: place for place, name in enumerate([*HOSTILE, *HONEST])}, xx=True)

    def make_doubtful(self) -> None:
        """Reads all streams, and lets the hostile ones fail once: their next reading asks for a comparison."""
        self.poll()
        for stream_id, key in self.sent:
            if stream_id in HOSTILE:
                keep_validators(self.redis, stream_id, key, Validators(length_bytes=1))
        for name in HOSTILE:
            self.origin.status[f"/live/{name}.m3u8"] = 503
        self.poll()
        self.origin.status.clear()
        self.sent.clear()

    @property
    def honest_admitted(self) -> bool:
        return {stream_id for stream_id, _ in self.sent} >= set(HONEST)

    def check_equations(self) -> None:
        for record in stream_statuses(self.redis):
            parts = ("moderated", "skipped", "failed", "missed", "pending")
            total_ms = sum(round(record[f"{part}_seconds"] * 1000) for part in parts)
            assert total_ms == round(record["elapsed_seconds"] * 1000), record


@pytest.fixture
def batch(redis: Redis) -> Iterator[Batch]:
    with serving(LiveOrigin()) as origin:
        batch = Batch(redis, origin)
        yield batch
        batch.fetcher.close()


def damaged_cursor(batch: Batch, name: str) -> None:
    batch.redis.hset(stream_key(name), "cursor", '{"generation": 1, "seen": 5')


def odd_cursor(batch: Batch, name: str) -> None:
    batch.redis.hset(stream_key(name), "cursor", '{"generation": [1], "state": "dancing"}')


def odd_token(batch: Batch, name: str) -> None:
    batch.redis.hset(stream_key(name), "poll_token", "x")


def odd_record(batch: Batch, name: str) -> None:
    batch.redis.delete(stream_key(name))
    batch.redis.set(stream_key(name), "x")


def odd_pending(batch: Batch, name: str) -> None:
    batch.redis.set(pending_key(name), "x")


def redirect(batch: Batch, name: str) -> None:
    batch.origin.redirects[f"/live/{name}.m3u8"] = BAD_URL


def rendition(batch: Batch, name: str) -> None:
    batch.list(name, f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{BAD_URL}\n")


def segment(batch: Batch, name: str) -> None:
    batch.list(name, HEAD + f"#EXTINF:2,\n{BAD_URL}\n")


def flood(batch: Batch, name: str) -> None:
    batch.list(name, HEAD + "".join(f"#EXTINF:2,\n{name}-{number}.ts\n" for number in range(19_000)))


def giant_line(batch: Batch, name: str) -> None:
    batch.list(name, HEAD + "#EXTINF:2,\n" + "a" * 2_000_000)


def giant_comments(batch: Batch, name: str) -> None:
    batch.list(name, HEAD + "#aaa\n" * 400_000)


def giant_master(batch: Batch, name: str) -> None:
    batch.list(name, "#EXTM3U\n" + "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n" * 60_000)


def giant_keys(batch: Batch, name: str) -> None:
    batch.list(name, HEAD + "".join(f"#EXT-X-KEY:METHOD=K{number}\n" for number in range(80_000)) + "#EXTINF:2,\na\n")


@pytest.mark.parametrize("harm", [damaged_cursor, odd_cursor, odd_pending])
def test_a_damaged_record_fails_only_its_own_stream(batch: Batch, harm: Callable[[Batch, str], None]):
    """One damaged record would stop the watch of up to 49 other streams, unnoticed."""
    for name in HOSTILE:
        harm(batch, name)
    batch.poll()
    assert batch.honest_admitted
    assert {failure.stream_id for failure in batch.failures} == set(HOSTILE)
    delays = []
    for _ in range(3):
        delays.append(batch.redis.zscore(DUE, "hostile-0") - now_ms(batch.redis))
        batch.poll()
    assert delays == sorted(delays)
    assert delays[2] > 3_000
    stream = batch.redis.hgetall(stream_key("hostile-0"))
    assert (stream["state"], stream["reason"]) == ("unreachable", "poll_error")
    assert batch.redis.hget("lw:coverage:hostile-0", "count: poll_errors") == "4"
    assert stream_status(batch.redis, "honest-0")["state"] == "live"


def test_a_damaged_risk_fails_no_poll(batch: Batch):
    """What only decides who goes first would keep a stream from being moderated at all."""
    batch.redis.hset(stream_key("honest-0"), "risk_prior", "high")
    batch.redis.hset(stream_key("honest-0"), "signal_times", "[1")
    for key in ("lw:risk:honest-0", "lw:signals:honest-0"):
        batch.redis.set(key, "foreign")
    batch.poll()
    assert batch.honest_admitted
    assert not batch.failures


def test_a_failed_poll_is_published_to_operators_once(batch: Batch, caplog: pytest.LogCaptureFixture):
    """A stream that can never be polled would go unnoticed, or flood the operators' stream."""
    damaged_cursor(batch, "hostile-0")
    for _ in range(3):
        batch.poll()
    for failure in batch.failures:
        publish_poll_failed(batch.redis, failure, deployment="here")
    events = [json.loads(fields["event"]) for _, fields in batch.redis.xrange("lw:operations")]
    assert [(event["type"], event["subject"]) for event in events] == [
        ("livewarden.operations.poll_failed.v1", "hostile-0")
    ]
    assert events[0]["data"]["error"] == "JSONDecodeError"
    assert "Traceback" not in caplog.text
    assert "stream hostile-0: its poll failed: JSONDecodeError in cursor.py:" in caplog.text
    batch.redis.hdel(stream_key("hostile-0"), "cursor")
    batch.poll()
    assert stream_status(batch.redis, "hostile-0")["state"] == "live"
    assert batch.redis.hget(stream_key("hostile-0"), "poll_errors") is None


def damaged_all_over(batch: Batch, name: str) -> None:
    damaged_cursor(batch, name)
    batch.redis.hset(stream_key(name), mapping={"poll_errors": "x", "polls_begun": "x", "tried": "[1]"})


@pytest.mark.parametrize("harm", [odd_token, odd_record, damaged_all_over])
def test_an_invalid_stream_id_is_skipped(batch: Batch, harm: Callable[[Batch, str], None]):
    """A record whose name is no stream ID would stop all polls."""
    for name in HOSTILE:
        harm(batch, name)
    batch.poll()
    assert batch.honest_admitted
    assert {stream_id for stream_id, _ in batch.sent} == set(HONEST)


@pytest.mark.parametrize("harm", [redirect, rendition, segment])
def test_a_hostile_url_fails_only_its_own_stream(batch: Batch, harm: Callable[[Batch, str], None]):
    """One redirect to a URL that cannot be parsed would stop the watch of a whole batch."""
    for name in HOSTILE:
        harm(batch, name)
    for _ in range(2):
        batch.poll()
    assert batch.honest_admitted
    assert stream_status(batch.redis, "honest-0")["state"] == "live"


@pytest.mark.parametrize("harm", [flood, giant_line, giant_comments, giant_master, giant_keys])
def test_a_giant_playlist_costs_the_others_nothing(batch: Batch, harm: Callable[[Batch, str], None]):
    """Giant playlists would use up a batch's time, so that none of its streams is admitted."""
    for name in HOSTILE:
        harm(batch, name)
    assert batch.poll() == 12
    assert batch.honest_admitted
    batch.check_equations()


def test_a_playlist_whose_names_all_change_does_not_flood_the_queue(batch: Batch):
    """A hostile origin would create thousands of tasks in seconds, and the ledger would not show what was skipped."""
    for poll in range(4):
        for name in HOSTILE:
            entries = (f"#EXTINF:2,\n{name}-{poll}-{number}.ts\n" for number in range(2_000))
            batch.list(name, HEAD + "".join(entries))
        batch.poll()
    for name in HOSTILE:
        assert batch.redis.hlen(pending_key(name)) == 64
        polled_ms = int(batch.redis.hget(stream_key(name), "last_poll_ms"))
        assert batch.redis.zscore(DUE, name) - polled_ms >= SHORTEST_DELAY_MS
        record = stream_status(batch.redis, name)
        assert record["epoch"] == 3
        assert record["pending_seconds"] == 128
        # 200 of the first playlist were parsed, and the rest was from before the watch; of the others all elapsed.
        assert record["reasons"] == {"skipped: stream_backlog": 2.0 * (200 + 3 * 2_000 - 64)}
    assert len({key for stream_id, key in batch.sent if stream_id == "hostile-0"}) == 64
    batch.check_equations()


def test_streams_are_admitted_as_their_answers_arrive(batch: Batch):
    """A stream would wait for the slowest origin of its batch."""
    gates = [batch.origin.hold(f"{name}.m3u8") for name in HOSTILE]
    polling = threading.Thread(target=batch.poll)
    polling.start()
    eventually(lambda: batch.honest_admitted, within_seconds=4, what="honest streams wait for hostile ones")
    assert all(gate.reached.is_set() for gate in gates)
    # The waiting process takes other streams that come due meanwhile, and announces it.
    assert offered(batch.redis) > 0
    batch.list("honest-0", HEAD + "#EXTINF:2,\nhonest-0.ts\n#EXTINF:2,\nlater.ts\n")
    batch.redis.zadd(DUE, {"honest-0": 0})
    eventually(lambda: len(batch.sent) == 5, within_seconds=3, what="a stream that is due waits for others' batch")
    for gate in gates:
        gate.opened.set()
    polling.join()
    # Ordinary polls leave slow playlists to slow polls.
    poll_due(batch.redis, batch.fetcher, height_pixels=360, send=batch.send, slow=True)
    assert {stream_id for stream_id, _ in batch.sent} == {*HOSTILE, *HONEST}
    assert offered(batch.redis) == 0


def test_comparisons_of_a_batch_run_concurrently(batch: Batch):
    """Four origins that are slow to answer HEAD would keep the rest of a batch from being admitted."""
    batch.make_doubtful()
    for name in [*HOSTILE, *HONEST]:
        batch.list(name, HEAD + f"#EXTINF:2,\n{name}.ts\n#EXTINF:2,\nnext.ts\n")
    gates = [batch.origin.hold(f"{name}.ts", head=True) for name in HOSTILE]
    polling = threading.Thread(target=batch.poll)
    polling.start()
    eventually(lambda: batch.honest_admitted, within_seconds=4, what="honest streams wait for others' HEAD")
    eventually(lambda: all(gate.reached.is_set() for gate in gates), within_seconds=4, what="HEADs one by one")
    for gate in gates:
        gate.opened.set()
    polling.join()
    assert len(batch.sent) == 12
    batch.check_equations()


def test_streams_beyond_a_batchs_budget_are_due_immediately(batch: Batch):
    """Origins that answer just within each time-out would hold a poll beyond its task's time limit, with all its
    streams."""
    held = [batch.origin.hold(f"{name}.m3u8") for name in HOSTILE]
    assert batch.poll(budget_seconds=1.2) == len(HONEST)
    now = now_ms(batch.redis)
    assert all(batch.redis.zscore(DUE, name) <= now for name in HOSTILE)
    assert batch.honest_admitted
    for gate in held:
        gate.opened.set()
    batch.poll()
    assert {stream_id for stream_id, _ in batch.sent} == {*HOSTILE, *HONEST}
    batch.check_equations()


def test_a_comparison_beyond_a_batchs_budget_is_given_up(batch: Batch):
    """An origin that never answers HEAD would keep its stream from ever being admitted again."""
    batch.make_doubtful()
    for name in HOSTILE:
        batch.list(name, HEAD + f"#EXTINF:2,\n{name}.ts\n#EXTINF:2,\nnext.ts\n")
    gates = [batch.origin.hold(f"{name}.ts", head=True) for name in HOSTILE]
    assert batch.poll(budget_seconds=1.2) == 12
    assert {stream_id for stream_id, _ in batch.sent} == set(HOSTILE)
    assert all(gate.reached.is_set() for gate in gates)
    for gate in gates:
        gate.opened.set()
    batch.check_equations()


def test_streams_that_a_batch_does_not_reach_are_due_immediately(batch: Batch):
    """A poll that runs out of time would leave its streams unread until its lease expires, the same ones each time."""

    def out_of_time(stream_id: str, key: str, _: float) -> None:
        raise OutOfTimeError

    held = [batch.origin.hold(f"{name}.m3u8") for name in HOSTILE]
    with pytest.raises(OutOfTimeError):
        batch.poll(out_of_time)
    now = now_ms(batch.redis)
    assert sum(batch.redis.zscore(DUE, name) <= now for name in [*HOSTILE, *HONEST]) == 11
    for gate in held:
        gate.opened.set()
    batch.poll()
    pending = [name for name in [*HOSTILE, *HONEST] if batch.redis.hlen(pending_key(name))]
    assert len(pending) == 12
    batch.check_equations()


def test_streams_whose_polls_kill_their_process_are_set_apart(batch: Batch):
    """A playlist that kills the process that reads it would stop 49 other streams each time."""
    for name in HOSTILE:
        batch.redis.hset(stream_key(name), "polls_begun", 5)
    batch.order()
    polled = []
    while not batch.honest_admitted:
        polled.append(
            poll_due(batch.redis, batch.fetcher, height_pixels=360, send=batch.send, report=batch.failures.append)
        )
    assert polled == [1] * 8 + [4]
    assert {failure.error for failure in batch.failures} == {"worker_lost"}


@pytest.mark.parametrize("letter", ["a", "\x9b", "\U0001f600"], ids=["ascii", "control", "emoji"])
def test_long_names_of_one_stream_take_little_of_redis(batch: Batch, letter: str) -> None:
    """A few streams would fill Redis, and stop all others."""
    named = "".join(f"#EXTINF:2,\n{index}{letter * 4_000}\n" for index in range(64))
    batch.list(HOSTILE[0], f'{HEAD}#EXT-X-MAP:URI="{letter * 4_000}"\n{named}')
    batch.poll()
    records = batch.redis.hgetall(pending_key(HOSTILE[0]))
    assert sum(len(key) + len(record) for key, record in records.items()) < 2_000_000
    assert batch.honest_admitted
    batch.check_equations()


def test_renditions_renamed_at_each_poll_are_forgotten(batch: Batch) -> None:
    """A stream's record, which each poll reads, would grow for an hour."""
    for number in range(150):
        batch.list(HOSTILE[0], f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH={number}\nnone.m3u8\n")
        batch.redis.zadd(DUE, dict.fromkeys([*HOSTILE, *HONEST], now_ms(batch.redis) + LONGEST_DUE_MS - 1_000))
        batch.redis.zadd(DUE, {HOSTILE[0]: 0})
        assert poll_due(batch.redis, batch.fetcher, height_pixels=360, send=batch.send) == 1
    assert len(json.loads(batch.redis.hget(stream_key(HOSTILE[0]), "tried"))) <= MAX_RENDITIONS + 1
