"""Single streams that cannot be seen call moderators once a gap; outages do not."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hls_origin import LiveOrigin, segment_bytes
from hypothesis import given
from hypothesis import strategies as st
from polled_platform import Platform, origins_of_a_platform
from redis import Redis
from typer.testing import CliRunner

from config.facts import COVERAGE_GAP_RULE, Severity
from config.policy.policy import Policy, load_policy, parse_policy
from config.schemas import check_event
from worker.cli.queue import app as queue
from worker.events.operations import OPERATIONS
from worker.incidents.commit import settle
from worker.incidents.coverage_gaps import COUNTED, raise_coverage_gaps
from worker.incidents.segment_context import SegmentContext, Versions
from worker.ingest.poll.stream_gaps import BLIND, Gap, LastingGap, PolledStream, alone_among
from worker.ingest.registry.registry import stream_key, unwatch
from worker.ingest.registry.signals import stream_facts
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.open_incidents import open_incidents
from worker.verdictlog.outcome_rows import outcome_row

MINUTE_MS = 60_000


class Site(Platform):
    """An origin at which each stream has its own playlist and status."""

    def __init__(self, redis: Redis, origins: list[LiveOrigin], *, policy: Policy) -> None:
        super().__init__(redis, origins)
        self.policy = policy

    def live(self, *stream_ids: str, at: int = 0) -> None:
        origin = self.origins[at]
        origin.add("0.ts", segment_bytes(card=False))
        for stream_id in stream_ids:
            origin.bodies[f"/live/{stream_id}.m3u8"] = origin.playlist_text()
            self.watch(stream_id, origin, path=f"{stream_id}.m3u8")
            assert self.poll(stream_id)["state"] == "live"

    def answer(self, status: int, *stream_ids: str, at: int = 0, since_ms: int = 2 * MINUTE_MS) -> None:
        """Sets the status of the streams' playlists, as if for `since_ms`."""
        for stream_id in stream_ids:
            self.origins[at].status[f"/live/{stream_id}.m3u8"] = status
            self.poll(stream_id)
            self.let_pass(stream_id, since_ms)

    def go_on(self, stream_id: str, *, at: int = 0) -> None:
        origin = self.origins[at]
        origin.add(f"{len(origin.bodies)}.ts", segment_bytes(card=False))
        origin.bodies[f"/live/{stream_id}.m3u8"] = origin.playlist_text()
        del origin.status[f"/live/{stream_id}.m3u8"]
        assert self.poll(stream_id)["state"] == "live"

    def raised(self) -> list[dict[str, Any]]:
        """Publishes all due incidents, and gives their events."""
        self.redis.delete(COUNTED)
        raise_coverage_gaps(self.redis, deployment="test", policy=self.policy)
        entries = [entry for severity in Severity for entry in self.redis.xrange(f"lw:escalations:{severity}")]
        found = [json.loads(fields["event"]) for _, fields in entries]
        for event in found:
            check_event(event)
        return [event for event in found if event["type"].endswith("raised.v1")]


@pytest.fixture
def site(redis: Redis) -> Iterator[Site]:
    with origins_of_a_platform(3) as origins, closing(Site(redis, origins, policy=load_policy())) as site:
        yield site


def test_a_single_unreadable_stream_calls_a_moderator(site: Site) -> None:
    """A broadcaster whose server refuses only livewarden would be seen by viewers and by no moderator."""
    site.live("a", "b", "c", "d", "e")
    site.answer(503, "c", since_ms=50_000)
    assert site.raised() == [], "it may be over in a moment"
    site.let_pass("c", 20_000)
    (event,) = site.raised()
    assert event["subject"] == "c"
    data = event["data"]
    assert (data["rule"], data["severity"], data["purpose"], data["hits"]) == ("coverage-gap", "review", "drill", 1)
    assert data["gap"]["reason"] == "http_503"
    assert data["times"]["captured_first"] == data["gap"]["since"]
    assert (data["matches"], data["scores"], data["principles"]) == ([], {}, [5])
    assert site.raised() == [event], "once"
    (incident,) = open_incidents(site.redis)
    assert (incident.incident_id, incident.rule) == (data["incident_id"], COVERAGE_GAP_RULE)


def test_a_lasting_outage_is_checked_rarely(site: Site) -> None:
    """Ten thousand unreachable streams would be read every two seconds for as long as the outage lasts."""
    site.live("a", "b", "c", "d", "e")
    site.answer(503, "a", "b", "c")
    assert site.raised() == []
    site.redis.config_resetstat()
    assert raise_coverage_gaps(site.redis, deployment="test", policy=site.policy) == 0
    assert "cmdstat_hmget" not in site.redis.info("commandstats")


def test_an_outage_is_reported_to_operators_only(site: Site) -> None:
    """A hundred incidents in the moderators' queue would be about one server that is down."""
    site.live("a", "b", "c", "d", "e")
    site.live("f", "g", at=1)
    site.answer(503, "a", "b", "c")
    assert site.raised() == []
    assert [event["type"] for event in site.events()] == ["livewarden.operations.origin_gap.v1"]


def test_wrong_urls_and_ended_streams_do_not_make_an_outage(site: Site) -> None:
    """Some wrong URLs and ended broadcasts would keep every hidden stream of a CDN from moderators."""
    site.live("a", "b", "c", "over-1", "over-2")
    site.answer(404, "over-1", "over-2", since_ms=5 * MINUTE_MS)
    for status in (403, 404, 503):
        site.watch(f"wrong-{status}", site.origins[0], path=f"wrong-{status}.m3u8")
        site.answer(status, f"wrong-{status}", since_ms=5 * MINUTE_MS)
    site.answer(503, "b")
    assert [event["subject"] for event in site.raised()] == ["b"]


def test_an_outage_in_which_most_streams_look_ended_is_reported_to_operators_only(site: Site) -> None:
    """A CDN that loses its files answers 404 for most streams and 503 for some: each of these would call a
    moderator."""
    site.live("a", "b", "c", "d", "e")
    site.answer(404, "a", "c", "d")
    site.answer(503, "b")
    assert site.raised() == []


def test_streams_that_were_never_readable_are_compared_with_each_other(site: Site) -> None:
    """An origin missing in LIVEWARDEN_ALLOWED_ORIGINS would call a moderator for each of its streams."""
    site.live("a", "b", "c", "d", "e", at=1)
    for name in ("first", "second", "third"):
        site.watch(name, site.origins[0], path=f"{name}.m3u8")
        site.answer(403, name, since_ms=3 * MINUTE_MS)
    assert site.raised() == []


def test_an_origin_with_one_stream_is_compared_with_other_origins(site: Site) -> None:
    """A broadcaster with an own server could hide; or an outage of our own connection would call moderators."""
    site.live("own", at=0)
    site.live("a", "b", "c", "d", at=1)
    site.answer(502, "own")
    (event,) = site.raised()
    assert event["subject"] == "own"
    site.live("second", at=2)
    site.answer(502, "a", "b", "c", "d", at=1)
    site.answer(502, "second", at=2)
    assert site.raised() == [event]


@pytest.mark.parametrize("status", [503, 404])
def test_short_repeated_outages_are_one_gap(site: Site, status: int) -> None:
    """A server that refuses livewarden for 59 s of each minute, with continuous numbering, would stay unseen: no second
    missed, nobody called."""
    site.live("a", "b", "c", "d")
    for _ in range(3):
        site.answer(status, "c", since_ms=59_000)
        site.go_on("c")
    assert site.show("c")["counts"]["outage_seconds_unshown"] >= 3 * 54
    site.answer(status, "c", since_ms=15_000)
    assert [event["subject"] for event in site.raised()] == ["c"]
    assert [event["type"] for event in site.events()] == ["livewarden.operations.origin_gap.v1"]


def test_an_outage_ends_when_the_sequence_continues_through_it(site: Site) -> None:
    """An origin whose load balancer fails now and then, without losing segments, would call moderators."""
    site.live("a", "b", "c")
    for _ in range(4):
        site.answer(503, "b", since_ms=30_000)
        for _ in range(15):
            site.origins[0].add(f"{len(site.origins[0].bodies)}.ts", segment_bytes(card=False))
        site.go_on("b")
    assert "outage_seconds_unshown" not in site.show("b")["counts"]
    site.answer(503, "b", since_ms=40_000)
    assert site.raised() == []


@pytest.mark.parametrize("status", [404, 410])
def test_a_stream_that_may_have_ended_calls_nobody(site: Site, status: int) -> None:
    """Each broadcast that ends without ENDLIST would be an incident."""
    site.live("a", "b", "c")
    site.answer(status, "b")
    assert site.raised() == []


def test_a_stream_that_never_existed_calls_nobody(site: Site) -> None:
    """A platform that registers streams before they begin would call a moderator for each."""
    site.live("a", "b", "c")
    site.watch("early", site.origins[0], path="early.m3u8")
    site.poll("early")
    site.let_pass("early", 5 * MINUTE_MS)
    assert site.raised() == []


def test_a_stream_that_was_never_readable_calls_a_moderator(site: Site) -> None:
    """A server that refuses livewarden from the beginning would escape, while one that refuses later would not."""
    site.live("a", "b", "c")
    site.watch("hidden", site.origins[0], path="hidden.m3u8")
    site.answer(403, "hidden")
    assert [event["subject"] for event in site.raised()] == ["hidden"]


def test_a_gap_after_a_decision_is_a_new_incident(site: Site) -> None:
    """A decision would hide every later gap; or the same gap would be raised repeatedly."""
    site.live("a", "b", "c")
    site.answer(503, "b")
    (first,) = site.raised()
    taken = take(site.redis, "ann")
    assert taken is not None
    decide_incident(site.redis, taken.incident_id, "cannot_judge", by="ann", note="", deployment="test")
    site.let_pass("b", MINUTE_MS)
    assert site.raised() == [first], "a person has decided on this gap"
    site.go_on("b")
    # As if the decision had been made ten minutes ago.
    key = "rule:drill:coverage-gap"
    state = json.loads(site.redis.hget("lw:incidents:b", key) or "")
    state["decided"]["quiet_until_ms"] -= 10 * MINUTE_MS
    site.redis.hset("lw:incidents:b", key, json.dumps(state))
    site.answer(503, "b")
    second = site.raised()[-1]
    assert (second["subject"], second["data"]["incident_id"] != first["data"]["incident_id"]) == ("b", True)


def test_a_second_gap_joins_the_open_incident(site: Site) -> None:
    """A stream that comes and goes would fill the queue."""
    site.live("a", "b", "c")
    site.answer(503, "b")
    (first,) = site.raised()
    site.go_on("b")
    site.answer(503, "b")
    assert site.raised() == [first]
    (incident,) = open_incidents(site.redis)
    assert incident.hits == 2


def test_a_finished_watch_raises_nothing(site: Site) -> None:
    """A stream that the platform stopped watching would call a moderator."""
    site.live("a", "b", "c")
    site.answer(503, "b")
    unwatch(site.redis, "b")
    assert site.raised() == []


def test_a_canary_calls_nobody(site: Site) -> None:
    """A probe would call a moderator."""
    site.live("a", "b", "c")
    site.redis.hset(stream_key("b"), "purpose", "canary")
    site.answer(503, "b")
    assert site.raised() == []
    published = [json.loads(fields["event"]) for _, fields in site.redis.xrange(OPERATIONS)]
    assert [event["data"]["rule"] for event in published if "escalation" in event["type"]] == ["coverage-gap"]


def test_the_policy_sets_delay_and_cooldown(site: Site) -> None:
    """A team could neither call its moderators earlier nor spare them."""
    text = "version: '1'\nrules: [{name: a, severity: high, when: 'true'}]\ncoverage_gap: "
    site.live("a", "b", "c")
    site.answer(503, "b", since_ms=40_000)
    site.policy = parse_policy(f"{text}null".encode(), "policy")
    assert site.raised() == []
    site.policy = parse_policy(f"{text}{{after_seconds: 30, severity: critical}}".encode(), "policy")
    assert [event["data"]["severity"] for event in site.raised()] == ["critical"]


def test_gaps_are_in_the_recorded_outcomes(site: Site) -> None:
    """A replay, or a report on why moderators were called, would lack them."""
    site.live("a", "b", "c")
    site.answer(503, "b")
    (event,) = site.raised()
    row = outcome_row(json.dumps(event))
    assert row is not None
    assert (row["kind"], row["rule"], row["segment_key"]) == ("raised", COVERAGE_GAP_RULE, "")
    assert row["captured_ms"] == row["captured_first_ms"]


def test_the_event_gives_the_reason(site: Site, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moderator would look for a picture that does not exist."""
    site.live("a", "b", "c")
    site.answer(503, "b")
    (event,) = site.raised()
    monkeypatch.setenv("LIVEWARDEN_REDIS_URL", redis_url)
    shown = CliRunner().invoke(queue, ["next", "--by", "ann"])
    assert shown.exit_code == 0, shown.output
    assert f"not seen  since {event['data']['gap']['since']}: http_503" in shown.output
    assert "pictures" not in shown.output


def settle_segment(site: Site, stream_id: str, **parts_ms: int) -> None:
    """Settles a segment of the stream with these ledger parts."""
    site.redis.hset(f"lw:pending:{stream_id}", "k", "{}")
    facts = stream_facts(site.redis, stream_id)
    settle(
        site.redis,
        context=SegmentContext(
            stream=facts, generation=1, segment_key="k", deployment="test", versions=Versions(policy="1")
        ),
        hits=[],
        policy=site.policy,
        coverage_increments={name.replace("_", ": ", 1): ms for name, ms in parts_ms.items()},
        stream_fields={},
    )


def blind(site: Site, *stream_ids: str, for_ms: int = 70_000) -> None:
    for stream_id in stream_ids:
        settle_segment(site, stream_id, failed_encrypted=2_000)
        since_ms = int(site.redis.hget(stream_key(stream_id), "blind_since_ms") or 0) - for_ms
        site.redis.hset(stream_key(stream_id), "blind_since_ms", since_ms)
        site.redis.zadd(BLIND, {stream_id: since_ms})
        settle_segment(site, stream_id, failed_encrypted=2_000)


def test_a_stream_whose_segments_cannot_be_moderated_calls_a_moderator(site: Site) -> None:
    """A broadcaster who encrypts a stream, or breaks it for our decoder only, would be seen by viewers and by no
    moderator."""
    site.live("a", "b", "c", "d")
    blind(site, "b", for_ms=50_000)
    assert site.raised() == [], "it may be over in a moment"
    blind(site, "b", for_ms=20_000)
    (event,) = site.raised()
    assert (event["subject"], event["data"]["rule"], event["data"]["gap"]["reason"]) == (
        "b",
        "coverage-gap",
        "encrypted",
    )
    assert site.raised() == [event], "once"


def test_moderated_segments_end_the_gap(site: Site) -> None:
    """A stream would be reported as unseen for the one segment a minute that its origin lost."""
    site.live("a", "b", "c", "d")
    blind(site, "b")
    settle_segment(site, "b", moderated=1_500, failed_short=500)
    assert site.raised() == []
    assert site.redis.zcard(BLIND) == 0
    blind(site, "c")
    settle_segment(site, "c", moderated=500, failed_undecodable=1_500)
    assert [event["subject"] for event in site.raised()] == ["c"], "a picture now and then is not enough"


def pass_by(site: Site, stream_id: str, ms: int) -> None:
    """As if the stream's latest records were from `ms` before."""
    site.let_pass(stream_id, ms)
    for name in ("blind_since_ms", "blind_noted_ms"):
        if kept := site.redis.hget(stream_key(stream_id), name):
            site.redis.hset(stream_key(stream_id), name, int(kept) - ms)
    if since := site.redis.hget(stream_key(stream_id), "blind_since_ms"):
        site.redis.zadd(BLIND, {stream_id: int(since)})


@pytest.mark.parametrize("lost", [{"failed_encrypted": 2_000}, {"skipped_budget": 2_000}, {"failed_timeout": 2_000}])
def test_a_segment_now_and_then_does_not_hide_that_the_others_are_lost(site: Site, lost: dict[str, int]) -> None:
    """A broadcaster who encrypts two segments of three would be seen by viewers and by no moderator."""
    site.live("a", "b", "c", "d")
    for _ in range(25):
        for parts in (lost, lost, {"moderated": 2_000}):
            settle_segment(site, "b", **parts)
            pass_by(site, "b", 2_000)
    assert site.raised() == [], "it was moderated just now"
    settle_segment(site, "b", **lost)
    assert [(event["subject"], event["data"]["rule"]) for event in site.raised()] == [("b", "coverage-gap")]


@pytest.mark.parametrize("moderated", [1, 2])
def test_losses_that_alternate_with_what_is_seen_add_up(site: Site, moderated: int) -> None:
    """A broadcaster who encrypts every other segment would be seen by viewers and by no moderator: each loss was the
    first one, and counted nothing."""
    site.live("a", "b", "c", "d")
    for _ in range(65):
        for parts in ({"failed_encrypted": 2_000}, *[{"moderated": 2_000}] * moderated):
            settle_segment(site, "b", **parts)
            pass_by(site, "b", 2_000)
    settle_segment(site, "b", failed_encrypted=2_000)
    assert [(event["subject"], event["data"]["rule"]) for event in site.raised()] == [("b", "coverage-gap")]


def test_one_lost_segment_of_five_calls_nobody(site: Site) -> None:
    """A stream whose origin loses some segments would call a moderator again and again."""
    site.live("a", "b", "c", "d")
    for _ in range(100):
        for parts in ({"failed_lost": 2_000}, *[{"moderated": 2_000}] * 4):
            settle_segment(site, "b", **parts)
            pass_by(site, "b", 2_000)
    settle_segment(site, "b", failed_lost=2_000)
    assert site.raised() == []


def list_more(site: Site, stream_id: str, *segments: tuple[str, str], from_sequence: int) -> None:
    """Lists these segments, (lines before EXTINF, name), and polls the stream two seconds later."""
    head = f"#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{from_sequence}\n"
    listed = "".join(f"{before}#EXTINF:2,\n{name}\n" for before, name in segments)
    site.origins[0].bodies[f"/live/{stream_id}.m3u8"] = (head + listed).encode()
    pass_by(site, stream_id, 2_000)
    site.poll(stream_id)


def test_segments_that_their_origin_marks_as_missing_call_a_moderator(site: Site) -> None:
    """A broadcaster who writes EXT-X-GAP, which some players ignore, would be seen by viewers and by no moderator."""
    site.live("a", "b", "c", "d")
    for sequence in range(1, 30):
        list_more(site, "b", ("#EXT-X-GAP\n", f"{sequence}.ts"), from_sequence=sequence)
    assert site.raised() == [], "it may be over in a moment"
    for sequence in range(30, 40):
        list_more(site, "b", ("#EXT-X-GAP\n", f"{sequence}.ts"), from_sequence=sequence)
    (event,) = site.raised()
    assert (event["subject"], event["data"]["gap"]["reason"]) == ("b", "gap")


def test_segments_that_are_listed_between_two_polls_only_call_a_moderator(site: Site) -> None:
    """A broadcaster whose playlist runs past ours would be seen by viewers and by no moderator."""
    site.live("a", "b", "c", "d")
    for sequence in range(10, 410, 10):
        list_more(site, "b", ("", f"{sequence}.ts"), from_sequence=sequence)
        site.settle("b")
    list_more(site, "b", ("", "500.ts"), from_sequence=500)
    (event,) = site.raised()
    assert (event["subject"], event["data"]["gap"]["reason"]) == ("b", "left_window")


def test_a_flood_of_segments_calls_a_moderator(site: Site) -> None:
    """A broadcaster who lists more than a stream may have waiting would be seen by viewers and by no moderator."""
    site.live("a", "b", "c", "d")
    for sequence in range(10, 410, 10):
        names = [("", f"{one}.ts") for one in range(sequence, sequence + 10)]
        list_more(site, "b", *names, from_sequence=sequence)
    (event,) = site.raised()
    assert (event["subject"], event["data"]["gap"]["reason"]) == ("b", "stream_backlog")


def test_segments_that_left_the_window_while_nobody_polled_call_nobody(site: Site) -> None:
    """A restart of all workers would call a moderator for each stream."""
    site.live("a", "b", "c", "d")
    for sequence in (40, 80, 120):
        pass_by(site, "b", 90_000)
        list_more(site, "b", ("", f"{sequence}.ts"), from_sequence=sequence)
    assert site.show("b")["reasons"]["missed: left_window"] > 100
    assert site.raised() == []


def test_two_unreadable_streams_of_one_server_do_not_hide_each_other(site: Site) -> None:
    """A broadcaster with two encrypted streams on one server would pass for an outage."""
    site.live("a", "b", "c", "d", "e", "f", "g")
    site.live("x", "y", at=1)
    blind(site, "x", "y")
    assert sorted(event["subject"] for event in site.raised()) == ["x", "y"]


def test_many_unreadable_streams_are_not_raised_singly(site: Site) -> None:
    """Our own decoder's failure would fill the queue with every stream."""
    site.live("a", "b", "c", "d")
    blind(site, "a", "b")
    assert site.raised() == []


def test_a_new_watch_starts_without_a_gap(site: Site) -> None:
    """A stream that is fixed and registered again would be raised for the gap before."""
    site.live("a", "b", "c", "d")
    blind(site, "b")
    unwatch(site.redis, "b")
    assert site.raised() == []
    site.watch("b", site.origins[0], path="b.m3u8")
    site.redis.hset(stream_key("b"), "state", "live")
    assert site.raised() == []
    assert site.redis.zcard(BLIND) == 0


def gap(stream_id: str = "s", origin: str = "o:80") -> LastingGap:
    return LastingGap(stream_id=stream_id, generation=1, origin=origin, gap=Gap(since_ms=0, reason="timeout"))


@pytest.mark.parametrize(
    ("seen", "missing", "elsewhere_seen", "elsewhere_missing", "alone"),
    [
        (0, 0, 0, 0, True),
        (4, 1, 0, 9, True),
        (3, 2, 9, 0, False),
        (0, 1, 9, 0, False),
        (0, 0, 3, 1, True),
        (0, 0, 2, 1, False),
    ],
)
def test_a_gap_is_raised_while_up_to_a_quarter_of_the_others_are_missing(
    seen: int, missing: int, elsewhere_seen: int, elsewhere_missing: int, alone: bool
) -> None:
    """One other stream that ends just then would hide an evading one; or an outage would be raised stream by stream."""
    here, elsewhere = (
        PolledStream(stream_id="", origin="o:80", missing=False),
        PolledStream(stream_id="", origin="p:80", missing=False),
    )
    others = [here] * seen + [replace(here, missing=True)] * missing
    others += [elsewhere] * elsewhere_seen + [replace(elsewhere, missing=True)] * elsewhere_missing
    others = [replace(one, stream_id=f"{index}") for index, one in enumerate(others)]
    itself = PolledStream(stream_id="s", origin="o:80", missing=True)
    assert bool(alone_among([gap()], [itself, *others])) is alone


WATCHED = st.builds(
    PolledStream,
    stream_id=st.just(""),
    origin=st.sampled_from(["o:80", "p:80"]),
    missing=st.booleans(),
    since_ms=st.sampled_from([-60_000, -30_001, -30_000, 0, 5]),
    seen_before=st.booleans(),
    may_be_over=st.booleans(),
)


@given(st.lists(WATCHED, max_size=12), st.booleans(), st.booleans(), st.sampled_from([None, 0, 1]))
def test_counting_in_bulk_agrees_with_counting_one_by_one(
    watched: list[PolledStream], seen_before: bool, blind: bool, own: int | None
) -> None:
    """Depending on how streams are counted, an outage would call a moderator, or a gap would not."""
    watched = [replace(one, stream_id=f"{index}") for index, one in enumerate(watched)]
    name = "elsewhere" if own is None else f"{own}"
    lasts = replace(gap(name), seen_before=seen_before, blind=blind)

    def says_something(one: PolledStream) -> bool:
        together = one.since_ms >= -30_000
        if not one.missing:
            return True
        if one.may_be_over:
            return one.seen_before and together
        return one.seen_before or not seen_before or together

    others = [one for one in watched if one.stream_id != name and says_something(one)]
    same = [] if blind else [one for one in others if one.origin == lasts.origin]
    compared = same or others
    alone = sum(one.missing for one in compared) <= len(compared) / 4
    assert bool(alone_among([lasts], watched)) is alone
