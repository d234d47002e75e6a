"""Retention in Redis: nothing grows without bound, and what people need outlives a stream."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import process_time
from typing import NoReturn

import pytest
from hls_origin import LiveOrigin, segment_bytes
from redis import Redis
from redis_clock import ServerWithClock, let_clock_count, server_with_clock
from scene import Scene

from config.facts import Severity
from config.policy.policy import Policy
from worker.bank.own_lists import forget_past
from worker.errors import StoreError
from worker.events.operations import OPERATIONS
from worker.incidents.due_ends import end_incidents
from worker.incidents.keys import DECISIONS, ENDS, ESCALATION_KEYS, ids_key, incident_key, incidents_key
from worker.ingest.coverage.ledger import coverage_key, pay_owed
from worker.ingest.coverage.totals import totals
from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.pending.segments import pending_key
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, DUE_NEW, DUE_SLOW, STREAMS, forget_gone, stream_key, unwatch, watch
from worker.ingest.status import stream_status
from worker.queue.decisions import decide_incident
from worker.queue.lookup import find_incident
from worker.queue.open_incidents import open_incidents
from worker.queue.trimming import trim
from worker.runtime.key_retention import MOST_KEYS, give_lives
from worker.store.key_pattern import DAY, Key
from worker.store.redis_client import connect
from worker.store.redis_keys import COVERAGE, DAY_TOTALS, ONCE, SWEPT, key_of

STREAMS_WATCHED = 1_000
TOKEN = "signature=s3cret"


@pytest.fixture
def server(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[ServerWithClock]:
    with server_with_clock(tmp_path / "server", ci_or_skip) as running:
        yield running


def look_after(redis: Redis) -> None:
    """Runs all retention steps of upkeep with a correct clock, until there is nothing left to do."""
    let_clock_count(redis)
    while pay_owed(redis):
        pass
    for _ in range(2):  # an expiry set in the first round may defer another key's
        while give_lives(redis) or redis.get(SWEPT.name) != "0":
            pass
    while redis.zcard(STREAMS) and forget_gone(redis):
        pass
    forget_past(redis)
    trim(redis, held_from={})


def all_keys(redis: Redis) -> dict[str, Key]:
    """Every key, by its pattern in the table of keys."""
    names = [str(name) for name in redis.scan_iter(count=1_000)]
    found = {name: key_of(name) for name in names}
    assert not [name for name, key in found.items() if key is None]
    return {name: key for name, key in found.items() if key is not None}


def of_streams(redis: Redis) -> list[str]:
    return sorted(name for name, key in all_keys(redis).items() if "{stream}" in key.pattern)


@pytest.mark.alone
def test_a_thousand_streams_leave_only_what_the_table_lists(
    server: ServerWithClock, origin: LiveOrigin, policy: Policy
) -> None:
    """10,000 streams a day would fill Redis within a year, and stop moderation."""
    origin.add("0.ts", segment_bytes(card=False))
    every = ids = [f"s{number}" for number in range(STREAMS_WATCHED)]
    for stream_id in ids:
        origin.bodies[f"/live/{stream_id}.m3u8"] = origin.playlist_text()
    fetcher = Fetcher(AllowedOrigins.parse([origin.host]))
    with connect(server.url) as redis, closing(fetcher):

        def poll() -> None:
            for slow in (False, True):  # a busy machine makes a playlist slow
                poll_due(redis, fetcher, height_pixels=360, send=lambda *_: None, slow=slow)

        def poll_all(*states: str) -> None:
            while others := [one for one in ids if redis.hget(stream_key(one), "state") not in states]:
                redis.zrem(DUE_NEW, *others)
                redis.zadd(DUE, dict.fromkeys(others, 0))
                poll()

        for stream_id in ids:
            url = origin.url.replace("index.m3u8", f"{stream_id}.m3u8?{TOKEN}")
            watch(redis, register(stream_id, url, url_template="", legal_basis=""))
        poll_all("live", "stalled")  # the first may stall until the last is polled
        scene = Scene(redis=redis, policy=policy)
        for number, stream_id in enumerate(ids):
            (key,) = redis.hkeys(pending_key(stream_id))
            hits = scene.hits([1_000], lists=["known"]) if number < 30 else ()
            scene.settle_pending(stream_id, str(key), hits)
        opened = [one.incident_id for one in open_incidents(redis)]
        for incident_id in opened[1:]:
            decide_incident(redis, incident_id, "csea_apparent", by="kim", deployment="test")
        undecided = opened[0]
        look_after(redis)
        assert all(redis.exists(coverage_key(one), stream_key(one)) == 2 for one in ids)
        assert all(redis.ttl(coverage_key(one)) == redis.ttl(stream_key(one)) == -1 for one in ids)

        for stream_id in ids[::2]:
            unwatch(redis, stream_id)
        ids = ids[1::2]
        for stream_id in ids:
            origin.bodies[f"/live/{stream_id}.m3u8"] += b"#EXT-X-ENDLIST\n"
        poll_all("ended")
        server.set_ahead(600)
        while redis.zcard(DUE) or redis.zcard(DUE_SLOW):  # for five minutes after ENDLIST a broadcaster may come back
            poll()
        look_after(redis)
        lasting = [
            name
            for name, key in all_keys(redis).items()
            # One may expire at this moment: its life is 0, or it is gone.
            if key.seconds and ((life := redis.ttl(name)) == -1 or life > key.seconds)
            if name not in {incident_key(undecided), incidents_key(redis.hget(incident_key(undecided), "stream_id"))}
        ]
        assert lasting == []
        texts = [str(redis.hgetall(stream_key(stream_id))) for stream_id in ("s0", "s1")]
        assert [TOKEN in text for text in texts] == [False, False]
        assert all('"seen":[]' in text for text in texts)
        kept_bytes = sum(redis.memory_usage(name) for name in (stream_key("s0"), coverage_key("s0")))
        assert kept_bytes < 4_000  # 10,000 streams a day, of a week: 280 MB

        elapsed_ms = sum(int(redis.hget(coverage_key(one), "elapsed")) for one in every)

        server.set_ahead(31 * DAY)
        look_after(redis)
        owner = redis.hget(incident_key(undecided), "stream_id")
        assert of_streams(redis) == [incidents_key(owner)]
        assert not redis.exists(STREAMS)
        kept = sorted(name for name in redis.scan_iter("lw:incident:*") if name.count(":") == 2)
        assert kept == sorted(incident_key(one) for one in opened)
        assert [redis.xlen(key) for key in (DECISIONS, OPERATIONS, STREAM_EVENTS)] == [0, 0, 0]
        # What a report needs is still there.
        (day,) = totals(redis, days=40)
        assert (day.streams, day.seconds["elapsed"]) == (STREAMS_WATCHED, elapsed_ms / 1000)
        assert day.counts["decided"] == (
            {"rule": "known", "severity": "critical", "outcome": "csea_apparent", "count": len(opened) - 1},
        )
        assert sum(int(row["count"]) for row in day.counts["raised"]) == len(opened)

        decide_incident(redis, undecided, "harmless", by="kim", note="a puppet", deployment="test")
        server.set_ahead(31 * DAY + 401 * DAY)
        look_after(redis)
        server.set_ahead(31 * DAY + 432 * DAY)
        look_after(redis)
        left = all_keys(redis)
        assert [name for name, key in left.items() if key.seconds and key not in (DAY_TOTALS, ONCE)] == []


def test_keys_without_expiry_from_an_older_version_expire(redis: Redis) -> None:
    """Upgraded deployments would keep years of them."""
    redis.hset(coverage_key("gone"), "elapsed", 1)
    redis.hset(stream_key("ended"), mapping={"state": "ended", "stream_id": "ended"})
    redis.hset(coverage_key("watched"), "elapsed", 1)
    watch(redis, register("watched", "https://origin.example/x.m3u8", url_template="", legal_basis=""))
    redis.expire(coverage_key("watched"), 60)
    look_after(redis)
    assert redis.ttl(coverage_key("gone")) > 0
    assert redis.ttl(stream_key("ended")) > 0
    assert redis.ttl(coverage_key("watched")) == redis.ttl(stream_key("watched")) == -1


@pytest.mark.parametrize(
    "damage",
    [
        ("SET", incidents_key("odd"), "x"),
        ("SET", ids_key("abcd-1"), "x"),
        ("SET", SWEPT.name, "x"),
        ("SET", SWEPT.name, b"\xff"),
        ("HSET", SWEPT.name, "x", 1),
        ("SET", b"lw:coverage:\xff", "x"),
        ("SET", "lw:incident:abcd-2:streams", "x"),
    ],
    ids=repr,
)
def test_a_damaged_key_does_not_affect_the_expiry_of_others(
    redis: Redis, damage: tuple[str | bytes | int, ...]
) -> None:
    """All keys listed with it would stay for good, with nothing but a log line about it."""
    redis.hset(coverage_key("gone"), "elapsed", 1)
    redis.hset(incident_key("abcd-1"), mapping={"raised_ms": 1, "outcome": "harmless"})
    redis.execute_command(*damage)
    look_after(redis)
    assert redis.ttl(coverage_key("gone")) > 0
    assert redis.ttl(incident_key("abcd-1")) > 0


def test_names_of_one_call_are_grouped_quickly(redis: Redis) -> None:
    """The call runs every two seconds: half a second for each once took a third of a processor."""
    names = [coverage_key(f"s{number}") for number in range(MOST_KEYS)]
    key_of(names[0])
    began = process_time()
    assert {key_of(name) for name in names} == {COVERAGE}
    assert process_time() - began < 0.25


def test_an_undecided_canary_is_gone_in_a_month(redis: Redis, policy: Policy) -> None:
    """A canary each minute would leave half a million incidents a year."""
    watch(redis, register("canary", "https://origin.example/x.m3u8", purpose="canary", url_template="", legal_basis=""))
    scene = Scene(redis=redis, policy=policy)
    scene.settle("canary", scene.hits([1_000], lists=["known"], purpose="canary"), purpose="canary")
    (incident,) = [name for name in redis.scan_iter("lw:incident:*") if name.count(":") == 2]
    assert 0 < redis.ttl(incident) <= 30 * DAY
    unwatch(redis, "canary")
    look_after(redis)
    assert 0 < redis.ttl(incidents_key("canary")) <= 30 * DAY


def test_an_incident_that_lasts_for_days_keeps_its_newest_entries(redis: Redis, policy: Policy) -> None:
    """A stream that shows known material all day would add an entry every half minute without bound."""
    scene = Scene(redis=redis, policy=policy)
    scene.raise_incident("s", Severity.REVIEW)
    (incident,) = open_incidents(redis)
    entries = f"{incident_key(incident.incident_id)}:entries"
    for number in range(99):
        redis.rpush(entries, f"lw:escalations:review 1-{number}")
    scene.rise("s", Severity.CRITICAL)
    assert redis.llen(entries) == 100
    assert redis.lindex(entries, -1).startswith("lw:escalations:critical ")


def test_entries_of_decided_incidents_expire_while_an_older_one_waits(redis: Redis, policy: Policy) -> None:
    """One incident that nobody can decide would keep all later ones in memory."""
    scene = Scene(redis=redis, policy=policy)
    for stream_id in ("waits", "decided"):
        scene.settle(stream_id, scene.hits([1_000], lists=["known"]))
    by_stream = {one.stream_id: one.incident_id for one in open_incidents(redis)}
    key = "lw:escalations:critical"
    redis.xreadgroup("moderators", "kim", {key: ">"})
    decide_incident(redis, by_stream["decided"], "csea_apparent", by="kim", deployment="test")
    redis.xreadgroup("moderators", "kim", {key: ">"})
    (closed,) = [entry for entry, fields in redis.xrange(key) if "closed.v1" in fields["event"]]
    redis.xack(key, "moderators", closed)
    trim(redis, held_from={})
    left = [json.loads(fields["event"])["subject"] for _, fields in redis.xrange(key)]
    assert left == ["waits"]


def test_decisions_stay_for_a_month_whoever_has_read_them(server: ServerWithClock, policy: Policy) -> None:
    """A platform whose reader was set up late, or lost its data, would miss decisions."""
    with connect(server.url) as redis:
        scene = Scene(redis=redis, policy=policy)
        scene.settle("s", scene.hits([1_000], lists=["known"]))
        (incident,) = open_incidents(redis)
        decide_incident(redis, incident.incident_id, "csea_suspected", by="kim", deployment="test")
        redis.xgroup_create(DECISIONS, "platform", id="0")
        ((_, ((entry, _),)),) = redis.xreadgroup("platform", "one", {DECISIONS: ">"})
        redis.xack(DECISIONS, "platform", entry)
        for days, there in ((0, 1), (29, 1), (31, 0)):
            server.set_ahead(days * DAY)
            let_clock_count(redis)
            trim(redis, held_from={})
            assert redis.xlen(DECISIONS) == there, days


def test_a_damaged_stream_key_does_not_stop_trimming_of_others(redis: Redis) -> None:
    """Redis would fill up over one damaged key."""
    redis.set(ESCALATION_KEYS[0], "x")
    redis.set(DECISIONS, "x")
    redis.xadd(OPERATIONS, {"event": "{}"}, id="1-1")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        trim(redis, held_from={})
    assert redis.xlen(OPERATIONS) == 0


def test_an_incident_of_an_older_version_is_found_by_its_beginning(redis: Redis, policy: Policy) -> None:
    """A moderator would decide another incident, the only one indexed under the typed beginning."""
    incident_id = Scene(redis=redis, policy=policy).raise_incident("s")
    redis.delete(ids_key(incident_id))
    look_after(redis)
    assert find_incident(redis, incident_id[:6]) == incident_id


def test_an_open_incident_of_an_older_version_ends_with_its_stream(redis: Redis, policy: Policy) -> None:
    """An incident raised before an upgrade would be open for ever, and take the hits of next month's broadcast."""
    scene = Scene(redis=redis, policy=policy)
    incident, decided = scene.raise_incident("cam-1"), scene.raise_incident("cam-2")
    decide_incident(redis, decided, "csea_suspected", by="kim", note="seen", deployment="test")
    redis.delete(ENDS)  # an older version keeps no such set
    give_lives(redis)
    assert redis.zrange(ENDS, 0, -1) == ["cam-1"]
    assert end_incidents(redis, deployment="test") == 1
    assert redis.hget(incident_key(incident), "ended") == "stream-ended"
    assert redis.exists(ENDS) == 0


def test_state_of_a_watched_stream_does_not_expire(redis: Redis, policy: Policy) -> None:
    """On a stream watched for months a moderator would not see the decisions of the first."""
    watch(redis, register("s", "https://origin.example/x.m3u8", url_template="", legal_basis=""))
    incident_id = Scene(redis=redis, policy=policy).raise_incident("s")
    decide_incident(redis, incident_id, "csea_apparent", by="kim", deployment="test")
    look_after(redis)
    assert redis.ttl(incidents_key("s")) == -1


def test_totals_count_the_purpose_at_admission(redis: Redis, policy: Policy) -> None:
    """A drill that becomes a live stream would be counted as moderated live time."""
    watch(redis, register("s", "https://origin.example/x.m3u8", url_template="", legal_basis=""))
    Scene(redis=redis, policy=policy).settle("s", (), purpose="drill")
    (day,) = totals(redis, days=1)
    assert day.purpose == "drill"


def test_an_ended_stream_shows_its_url_without_token(redis: Redis) -> None:
    """Signed tokens would outlive the stream, and a reader of Redis's disk could use them."""
    watch(redis, register("s", f"https://origin.example/x.m3u8?{TOKEN}", url_template="", legal_basis=""))
    assert redis.hget(stream_key("s"), "url") == f"https://origin.example/x.m3u8?{TOKEN}"
    unwatch(redis, "s")
    assert redis.hget(stream_key("s"), "url") == "https://origin.example/x.m3u8"
    assert stream_status(redis, "s")["state"] == "removed"
