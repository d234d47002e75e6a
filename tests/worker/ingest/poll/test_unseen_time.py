"""Time that cannot be seen, in a real Valkey: in the ledger while it grows, and published by origin."""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from hls_origin import eventually
from polled_platform import Platform, origins_of_a_platform
from redis import Redis
from typer.testing import CliRunner

from worker.cli.streams import app
from worker.health.redis_epoch import EPOCH
from worker.ingest.coverage.ledger import pay_owed
from worker.ingest.poll.origin_gaps import publish_origin_gaps
from worker.ingest.registry.registry import stream_key, unwatch
from worker.store.redis_client import now_ms

MINUTE_MS = 60_000


@pytest.fixture
def platform(redis: Redis) -> Iterator[Platform]:
    with origins_of_a_platform(2) as origins, closing(Platform(redis, origins)) as platform:
        yield platform


def test_a_wrong_url_counts_its_seconds(platform: Platform):
    """A stream registered with a wrong URL would show no missed second."""
    platform.watch("s", platform.origins[0], path="nothing.m3u8")
    registered_ms = int(platform.redis.hget(stream_key("s"), "registered_ms"))
    record = platform.poll("s")
    assert record["provisional"]["reason"] == "unreachable"
    assert record["provisional"]["since_ms"] == registered_ms
    assert record["reasons"]["missed: unreachable"] == record["missed_seconds"] == record["provisional"]["seconds"]
    # Between two polls too, and whether anybody polls or not.
    eventually(
        lambda: platform.show("s")["missed_seconds"] > record["missed_seconds"], within_seconds=60, what="it grows"
    )
    platform.let_pass("s", 9 * MINUTE_MS)
    assert platform.show("s")["elapsed_seconds"] >= 540
    platform.let_pass("s", 2 * MINUTE_MS)
    record = platform.poll("s")
    assert (record["state"], record["provisional"]) == ("ended", None)
    assert 660 <= record["missed_seconds"] < 690, "for good, and once"
    assert platform.show("s")["missed_seconds"] == record["missed_seconds"]


def test_an_outage_is_replaced_by_the_skipped_numbers(platform: Platform):
    """The ledger would show an outage twice, or nothing while it lasts."""
    origin = platform.origins[0]
    for index in range(6):
        origin.add(f"{index}.ts", b"x")
    platform.watch("s", origin)
    assert platform.poll("s")["provisional"] is None
    origin.status["/live/index.m3u8"] = 503
    platform.let_pass("s", 30_000)
    record = platform.poll("s")
    assert record["reasons"]["missed: unreachable"] >= 30
    assert record["elapsed_seconds"] >= 42
    platform.settle("s")
    del origin.status["/live/index.m3u8"]
    for index in range(6, 15):
        origin.add(f"{index}.ts", b"x")
    record = platform.poll("s")
    assert record["provisional"] is None
    assert record["reasons"] == {"missed: left_window": 6.0}
    assert record["elapsed_seconds"] == 30


def test_a_stall_is_shown_and_withdrawn(platform: Platform):
    """A hanging stream would look watched; an ended one would leave a gap."""
    origin = platform.origins[0]
    origin.add("0.ts", b"x")
    platform.watch("s", origin)
    platform.poll("s")
    platform.let_pass("s", 20_000)
    record = platform.poll("s")
    assert (record["state"], record["provisional"]["reason"]) == ("stalled", "stalled")
    assert record["reasons"]["missed: stalled"] >= 20
    platform.let_pass("s", 31 * MINUTE_MS)
    record = platform.poll("s")
    assert (record["state"], record["missed_seconds"], record["elapsed_seconds"]) == ("ended", 0, 2)
    assert record["counts"]["after_end"] == 1


@pytest.mark.parametrize("how", ["unwatch", "another url"])
def test_missed_time_stays_when_the_platform_gives_up(platform: Platform, how: str):
    """Minutes lost to a wrong URL would vanish from the ledger when it is corrected."""
    platform.watch("s", platform.origins[0], path="nothing.m3u8")
    platform.poll("s")
    platform.let_pass("s", 60_000)
    if how == "unwatch":
        unwatch(platform.redis, "s")
    else:
        platform.origins[1].add("0.ts", b"x")
        platform.watch("s", platform.origins[1])
    record = platform.show("s")
    assert record["provisional"] is None
    assert 60 <= record["reasons"]["missed: unreachable"] < 75
    assert (pay_owed(platform.redis), pay_owed(platform.redis)) == (1, 0)
    assert platform.show("s")["reasons"] == record["reasons"], "in the ledger now, once"
    assert int(platform.redis.hget("lw:coverage:s", "missed: unreachable")) >= 60_000
    assert platform.redis.zcard("lw:streams:missing") == 0


def test_an_ended_broadcast_leaves_no_gap_when_it_is_removed(platform: Platform):
    """Each broadcast removed after its playlist is gone would leave a gap."""
    origin = platform.origins[0]
    origin.add("0.ts", b"x")
    platform.watch("s", origin)
    platform.poll("s")
    origin.status["/live/index.m3u8"] = 404
    platform.let_pass("s", 60_000)
    assert platform.poll("s")["missed_seconds"] >= 60
    unwatch(platform.redis, "s")
    record = platform.show("s")
    assert (record["missed_seconds"], record["counts"]["after_end"]) == (0, 1)
    pay_owed(platform.redis)
    assert platform.show("s")["counts"] == record["counts"]


def test_time_that_failed_before_a_404_stays_missed_after_removal(platform: Platform):
    """An origin that refuses livewarden for minutes and answers 404 in the end would leave nothing in the ledger."""
    origin = platform.origins[0]
    origin.add("0.ts", b"x")
    platform.watch("s", origin)
    platform.poll("s")
    origin.status["/live/index.m3u8"] = 503
    platform.poll("s")
    platform.let_pass("s", 5 * MINUTE_MS)
    platform.poll("s")
    origin.status["/live/index.m3u8"] = 404
    platform.poll("s")
    platform.let_pass("s", MINUTE_MS)
    platform.poll("s")
    unwatch(platform.redis, "s")
    pay_owed(platform.redis)
    record = platform.show("s")
    assert 300 <= record["reasons"]["missed: unreachable"] < 330, "not the minute of 404"
    assert record["counts"]["after_end"] == 1


def test_a_stream_counts_for_one_gap_at_a_time(platform: Platform):
    """An origin whose streams hang and then fail would be published with twice as many streams, and never as
    recovered."""
    origin = platform.origins[0]
    origin.add("0.ts", b"x")
    platform.watch("s", origin)
    platform.poll("s")
    platform.let_pass("s", 20_000)
    platform.poll("s")
    assert platform.redis.zrange("lw:streams:missing", 0, -1) == [f"{origin.host} stalled s"]
    origin.status["/live/index.m3u8"] = 502
    platform.poll("s")
    assert platform.redis.zrange("lw:streams:missing", 0, -1) == [f"{origin.host} unreachable s"]
    del origin.status["/live/index.m3u8"]
    origin.add("1.ts", b"x")
    assert platform.poll("s")["provisional"] is None
    assert platform.redis.zcard("lw:streams:missing") == 0


def test_an_error_of_ours_counts_as_missed_too(platform: Platform):
    """A damaged record would stop a stream's polls, and the ledger would show no missed time."""
    platform.watch("s", platform.origins[0])
    platform.redis.hset(stream_key("s"), "cursor", "{broken")
    record = platform.poll("s")
    assert (record["reason"], record["provisional"]["reason"]) == ("poll_error", "unreachable")
    platform.redis.hdel(stream_key("s"), "cursor")
    platform.origins[0].add("0.ts", b"x")
    assert platform.poll("s")["provisional"] is None


def test_an_error_after_a_pause_between_two_watches_counts_from_the_second(platform: Platform):
    """Days without a watch would be in the ledger as missed."""
    platform.origins[0].add("0.ts", b"x")
    platform.watch("s", platform.origins[0])
    platform.poll("s")
    unwatch(platform.redis, "s")
    platform.let_pass("s", 60 * MINUTE_MS)
    platform.watch("s", platform.origins[0])
    platform.redis.hset(stream_key("s"), "cursor", "{broken")
    record = platform.poll("s")
    assert record["provisional"]["reason"] == "unreachable"
    assert record["missed_seconds"] < 60


def test_an_origins_outage_is_published_once(platform: Platform):
    """An origin's outage would cause an event for each of its streams, or none."""
    down, other = platform.origins
    other.add("0.ts", b"x")
    platform.watch("fine", other)
    platform.poll("fine")
    for index in range(25):
        platform.watch(f"s{index:02}", down, path="nothing.m3u8")
    platform.poll("s00")
    assert platform.events() == [], "what is over within seconds concerns nobody"
    for index in range(25):
        platform.let_pass(f"s{index:02}", 15_000)
    [event] = platform.events()
    assert event["type"] == "livewarden.operations.origin_gap.v1"
    assert event["subject"] == f"127.0.0.1:{down.port}"
    assert (event["data"]["streams"], event["data"]["unreachable"], event["data"]["stalled"]) == (25, 25, 0)
    assert event["data"]["stream_ids"] == [f"s{index:02}" for index in range(20)]
    platform.watch("later", down, path="nothing.m3u8")
    platform.poll("later")
    platform.let_pass("later", 20_000)
    assert len(platform.events()) == 1, "updated at a bounded rate"
    told = json.loads(platform.redis.hget("lw:missing:told", event["subject"]))
    platform.redis.hset("lw:missing:told", event["subject"], json.dumps(told | {"told_ms": told["told_ms"] - 60_000}))
    assert platform.events()[-1]["data"]["streams"] == 26
    told = json.loads(platform.redis.hget("lw:missing:told", event["subject"]))
    platform.redis.hset("lw:missing:told", event["subject"], json.dumps(told | {"told_ms": told["told_ms"] - 90_000}))
    assert len(platform.events()) == 2, "what has not changed is no news"
    for stream_id in ("later", *(f"s{index:02}" for index in range(25))):
        unwatch(platform.redis, stream_id)
    recovered = platform.events()[-1]
    assert recovered["type"] == "livewarden.operations.origin_recovered.v1"
    assert recovered["data"]["origin"] == event["subject"]
    assert recovered["data"]["seconds"] >= 15
    assert len(platform.events()) == 3, "and once"


def test_an_outage_seen_by_two_workers_is_published_once(platform: Platform):
    """Each worker would publish the same outage."""
    platform.watch("s", platform.origins[0], path="nothing.m3u8")
    platform.poll("s")
    platform.let_pass("s", 20_000)
    assert publish_origin_gaps(platform.redis, deployment="test") == 1
    assert publish_origin_gaps(platform.redis, deployment="test") == 0
    assert len(platform.events()) == 1


def test_the_start_of_an_outage_is_shown(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    """An operator would see that a stream misses time, but not since when."""
    platform.watch("s", platform.origins[0], path="nothing.m3u8")
    platform.poll("s")
    kwargs = platform.redis.connection_pool.connection_kwargs
    where = kwargs.get("path")
    url = f"unix://{where}" if where else f"redis://{kwargs['host']}:{kwargs['port']}/{kwargs.get('db', 0)}"
    monkeypatch.setenv("LIVEWARDEN_REDIS_URL", url)
    shown = CliRunner().invoke(app, ["show", "s"])
    assert shown.exit_code == 0, shown.output
    assert "unreachable since" in shown.output
    assert "missed: unreachable" in shown.output


def lost(platform: Platform, *, since_ms: int, begun_ms: int) -> None:
    """Marks that Redis lost its state: time last seen and time noticed, in ms before now."""
    now = now_ms(platform.redis)
    platform.redis.hset(EPOCH, mapping={"id": "b", "since_ms": now - since_ms, "begun_ms": now - begun_ms, "lost": "a"})


def test_time_of_a_lost_state_is_missed_once(platform: Platform):
    """After its platform registers a stream again, nobody would know for how long it was not watched."""
    origin = platform.origins[0]
    for index in range(100):
        origin.add(f"{index}.ts", b"x")
    lost(platform, since_ms=MINUTE_MS, begun_ms=20_000)
    platform.watch("s", origin)
    platform.watch("wrong", origin, path="nothing.m3u8")
    record = platform.poll("s")
    assert set(record["reasons"]) == {"missed: state_lost"}
    assert 47 <= record["missed_seconds"] < 55, "but for the twelve seconds that are listed"
    assert record["elapsed_seconds"] == pytest.approx(record["missed_seconds"] + 12)
    platform.settle("s")
    origin.add("100.ts", b"x")
    assert platform.poll("s")["missed_seconds"] == record["missed_seconds"]
    # A stream registered again that cannot be read is missed for its own reason from then on.
    platform.poll("wrong")
    platform.let_pass("wrong", MINUTE_MS)
    assert set(platform.show("wrong")["reasons"]) == {"missed: unreachable"}
    # Removed and registered again it is another watch, which lost nothing before.
    unwatch(platform.redis, "s")
    platform.watch("s", origin)
    assert platform.poll("s")["reasons"]["missed: state_lost"] == record["missed_seconds"]


def test_a_late_first_poll_is_not_counted_as_lost_state(platform: Platform):
    """The ledger would blame Redis for a fault of the origin."""
    origin = platform.origins[0]
    for index in range(100):
        origin.add(f"{index}.ts", b"x")
    lost(platform, since_ms=MINUTE_MS, begun_ms=MINUTE_MS)
    platform.watch("s", origin)
    platform.let_pass("s", 30_000)
    reasons = platform.poll("s")["reasons"]
    assert 17 <= reasons["missed: unreachable"] < 20
    assert 29 <= reasons["missed: state_lost"] < 33


@pytest.mark.parametrize("listed", [4, 6])
def test_a_broadcast_that_began_later_lost_nothing(platform: Platform, listed: int):
    """Each broadcast that begins after a loss would show minutes of missed time."""
    origin = platform.origins[0]
    for index in range(listed):
        origin.add(f"{index}.ts", b"x")
    lost(platform, since_ms=5 * MINUTE_MS, begun_ms=5 * MINUTE_MS)
    platform.watch("s", origin)
    assert platform.poll("s")["missed_seconds"] == 0


def test_a_stream_registered_long_after_a_loss_lost_nothing(platform: Platform):
    """Every new stream of the following weeks would count time for which no watch was requested."""
    origin = platform.origins[0]
    for index in range(1_000):
        origin.add(f"{index}.ts", b"x")
    lost(platform, since_ms=12 * MINUTE_MS, begun_ms=11 * MINUTE_MS)
    platform.watch("s", origin)
    assert platform.poll("s")["missed_seconds"] == 0
