"""Incidents computed from hits, without Redis."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.facts import Hit, ListMatch, Severity, StreamFacts, VideoFrame
from config.policy.persistence import Persistence, RuleHeld
from config.policy.policy import Policy
from config.policy.rules import Rule
from worker.errors import StoreError
from worker.incidents.events import Event, EventType, extent_of
from worker.incidents.incident_end import close
from worker.incidents.incident_rules import advance
from worker.incidents.rule_state import RuleState, StreamIncidents, decode, encode
from worker.incidents.segment_context import SegmentContext, Versions

T0 = 1_800_000_000_000


def policy_with(**fields: object) -> Policy:
    rule = {"name": "rule", "when": "true", "severity": "high"} | fields
    return Policy.model_validate({"version": "1", "rules": [rule]})


def context(segment_key: str = "s1", purpose: str = "live") -> SegmentContext:
    return SegmentContext(
        stream=StreamFacts(stream_id="cam-1", purpose=purpose),
        generation=1,
        segment_key=segment_key,
        deployment="test",
        versions=Versions(policy="1"),
    )


def hit(capture_ms: int, severity: Severity = Severity.HIGH, *, distance: int = 3, lists: tuple[str, ...] = ()) -> Hit:
    return Hit(
        rule="rule",
        severity=severity,
        capture_ms=capture_ms,
        pts_seconds=0.0,
        reason="keyframe",
        principles=(5,),
        matches=tuple(ListMatch(list=name, entry="1", distance=distance) for name in lists),
        scores={"m/a": distance / 31},
    )


class Stream:
    """A stream whose segments end one after another."""

    def __init__(self, policy: Policy, purpose: str = "live") -> None:
        self.policy = policy
        self.purpose = purpose
        self.state = StreamIncidents()
        self.events: list[Event] = []

    @property
    def rule(self) -> RuleState:
        return self.state.rules.get("rule", RuleState())

    def end_segment(self, *hits: Hit, now_ms: int = T0, segment_key: str = "s1") -> list[dict[str, object]]:
        """The published events, as readers see them."""
        step = advance(
            self.state,
            context=context(segment_key, self.purpose),
            hits=hits,
            now_ms=now_ms,
            policy=self.policy,
        )
        self.state = StreamIncidents(rules={**self.state.rules, **step.rules})
        self.events += step.events
        return [json.loads(event.text) | {"stream": event.stream_key} for event in step.events]

    def decide(self, now_ms: int) -> None:
        self.state = StreamIncidents(rules={"rule": close(self.rule, now_ms=now_ms)})


# Captures within 100 s: inside the lateness for which the order must not matter.
captures = st.lists(st.integers(0, 100_000), min_size=1, max_size=25)
severities = st.sampled_from(Severity)


@given(
    found=st.lists(st.tuples(st.integers(0, 100_000), severities, st.integers(0, 31)), min_size=1, max_size=25),
    needed=st.integers(1, 5),
    within=st.sampled_from([1.0, 10.0, 60.0]),
    random=st.randoms(use_true_random=False),
)
def test_order_of_segments_changes_nothing(
    found: list[tuple[int, Severity, int]], needed: int, within: float, random: object
) -> None:
    """One slow worker would change whether a moderator is called, or what the event contains."""
    policy = policy_with(persistence={"hits": needed, "within_seconds": within})
    hits = [hit(at, severity, distance=distance, lists=("known",)) for at, severity, distance in found]
    shuffled = list(hits)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    in_order, out_of_order = Stream(policy), Stream(policy)
    for stream, sequence in ((in_order, hits), (out_of_order, shuffled)):
        for number, one in enumerate(sequence):
            stream.end_segment(one, segment_key=f"s{number}")
    one, other = in_order.rule, out_of_order.rule
    assert one.waiting == other.waiting
    assert (one.incident is None) == (other.incident is None)
    if one.incident is not None and other.incident is not None:
        assert one.incident.finding == other.incident.finding
    # Raised if and only if the rule persists in all that was seen.
    met_at = Persistence(hits=needed, within_seconds=within).met_by(RuleHeld(h.capture_ms) for h in hits)
    assert (one.incident is not None) == (met_at is not None)


@given(
    found=st.lists(
        st.tuples(st.integers(0, 100_000), st.sampled_from("abcde"), st.sampled_from("uv")), min_size=1, max_size=20
    ),
    random=st.randoms(use_true_random=False),
)
def test_order_of_segments_changes_no_run(found: list[tuple[int, str, str]], random: object) -> None:
    """One slow worker would change whether a listed video is detected."""
    policy = policy_with(persistence={"video_frames": 3, "within_seconds": 20})
    hits = [replace(hit(at), frames=(VideoFrame("known", video, entry),)) for at, entry, video in found]
    shuffled = list(hits)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    in_order, out_of_order = Stream(policy), Stream(policy)
    for stream, sequence in ((in_order, hits), (out_of_order, shuffled)):
        for number, found_hit in enumerate(sequence):
            stream.end_segment(found_hit, segment_key=f"s{number}")
            assert decode(encode(stream.rule)) == stream.rule
    one, other = in_order.rule, out_of_order.rule
    assert one.waiting == other.waiting
    assert (one.incident and one.incident.finding) == (other.incident and other.incident.finding)
    persistence = policy.rules[0].persistence
    met_at = persistence.met_by(RuleHeld(found_hit.capture_ms, found_hit.frames) for found_hit in hits)
    assert (one.incident is not None) == (met_at is not None)
    assert one.incident is None or one.incident.finding.frames == ()


def test_a_run_of_weak_matches_raises() -> None:
    """A listed video that is shown blurred would pass for unrelated coincidences."""
    stream = Stream(policy_with(severity="critical", persistence={"video_frames": 3, "within_seconds": 60}))
    weak = [replace(hit(n * 5_000), frames=(VideoFrame("known", "v", str(n)),)) for n in (1, 2, 3)]
    assert stream.end_segment(weak[0], weak[2]) == []
    assert stream.end_segment(weak[0], segment_key="s2") == []
    (event,) = stream.end_segment(weak[1], segment_key="s3")
    assert event["type"] == EventType.RAISED


def test_an_old_run_raises_beside_waiting_hits() -> None:
    """A listed video found by look-back would be dropped because a newer match waits for more hits."""
    stream = Stream(policy_with(persistence={"video_frames": 3, "within_seconds": 60}))
    frames = [replace(hit(n * 5_000), frames=(VideoFrame("known", "v", str(n)),)) for n in (1, 2, 3)]
    assert stream.end_segment(replace(frames[0], capture_ms=T0)) == []
    (event,) = stream.end_segment(*frames, segment_key="back")
    assert event["type"] == EventType.RAISED


def test_a_run_stores_only_matches_of_its_video() -> None:
    """The stored state of an incomplete run would grow by all other entries that its frames match."""
    seen = ListMatch(list="known", entry="1", distance=30, video="v")
    others = tuple(ListMatch(list="known", entry=str(n), distance=31, video="v") for n in range(2, 17))
    one = replace(hit(1), frames=(VideoFrame("known", "v", "1"),), grounds=(seen,), matches=(seen, *others))
    stream = Stream(policy_with(persistence={"video_frames": 3, "within_seconds": 60}))
    stream.end_segment(one)
    assert [finding.matches for finding in stream.rule.waiting] == [(seen,)]


@given(captures)
def test_waiting_hits_are_bounded(captures_ms: list[int]) -> None:
    """A rule that never persists would fill Redis on a stream that runs for weeks."""
    stream = Stream(policy_with(persistence={"hits": 3, "within_seconds": 1}))
    for number, at in enumerate(captures_ms):
        stream.end_segment(hit(at * 100))
        assert len(stream.rule.waiting) <= number + 1
        waiting = [finding.captured_first_ms for finding in stream.rule.waiting]
        assert waiting == sorted(set(waiting))
        if waiting:
            assert waiting[-1] - waiting[0] <= 121_000


def test_late_segment_raises() -> None:
    """A finding would be lost because its segment was decoded last."""
    stream = Stream(policy_with(persistence={"hits": 2, "within_seconds": 5}))
    assert stream.end_segment(hit(100_000)) == []
    assert stream.end_segment(hit(0)) == []
    (event,) = stream.end_segment(hit(96_000))
    assert event["type"] == EventType.RAISED


def test_one_instant_counts_once() -> None:
    """One frame sampled from two renditions would count as persistence."""
    stream = Stream(policy_with(persistence={"hits": 2, "within_seconds": 5}))
    assert stream.end_segment(hit(1000), hit(1000)) == []
    assert stream.end_segment(hit(1000)) == []


def test_repeated_work_gives_the_same_ids() -> None:
    """Readers would see a second escalation for a segment that is moderated again."""
    one, other = Stream(policy_with()), Stream(policy_with())
    (first,) = one.end_segment(hit(1000))
    (again,) = other.end_segment(hit(1000), now_ms=T0 + 999)
    assert first["id"] == again["id"]
    (elsewhere,) = Stream(policy_with()).end_segment(hit(1000), segment_key="s2")
    assert elsewhere["id"] != first["id"]


def test_updates_are_bounded() -> None:
    """A moderator would get a thousand messages for a thousand hits."""
    stream = Stream(policy_with())
    for number in range(1000):
        # Four hits a second of Redis's clock: 250 s.
        stream.end_segment(hit(number * 250), now_ms=T0 + number * 250, segment_key=f"s{number}")
    kinds = [event.type for event in stream.events]
    assert kinds == [EventType.RAISED] + [EventType.UPDATED] * 8
    assert stream.rule.incident is not None
    assert stream.rule.incident.finding.hits == 1000
    assert len({json.loads(event.text)["id"] for event in stream.events}) == len(kinds)
    times = [json.loads(event.text)["data"]["times"]["published"] for event in stream.events]
    assert all(before < after for before, after in pairwise(times))


def test_an_update_shows_the_worse_match() -> None:
    """A moderator who is called again would be shown the picture they already know instead of the nearer match."""
    stream = Stream(policy_with())
    stream.end_segment(matched_hit(0, Severity.HIGH, "a", 9))
    known, nearer = matched_hit(1_000, Severity.HIGH, "a", 9), matched_hit(2_000, Severity.HIGH, "a", 2)
    (event,) = stream.end_segment(known, replace(nearer, pts_seconds=2.0), segment_key="s2")
    assert event["data"]["sample"]["pts_seconds"] == 2.0  # type: ignore[index]


def test_a_rise_in_severity_is_published_immediately() -> None:
    """A moderator would learn half a minute late that an incident became worse."""
    stream = Stream(policy_with(severity="review"))
    stream.end_segment(hit(0, Severity.REVIEW))
    (event,) = stream.end_segment(hit(1, Severity.CRITICAL), segment_key="s2", now_ms=T0 + 1)
    assert event["type"] == EventType.UPDATED
    assert event["stream"] == "lw:escalations:critical"
    assert event["data"]["severity"] == "critical"  # type: ignore[index]
    assert event["data"]["previous_severity"] == "review"  # type: ignore[index]
    assert stream.end_segment(hit(2, Severity.REVIEW), segment_key="s3", now_ms=T0 + 2) == []
    assert stream.rule.incident is not None
    assert stream.rule.incident.finding.severity is Severity.CRITICAL


class TestCooldown:
    def test_captures_until_the_end_of_the_cooldown_are_decided(self) -> None:
        """A moderator would be called again for pictures already decided on."""
        stream = Stream(policy_with(cooldown_seconds=60))
        stream.end_segment(hit(T0))
        stream.decide(T0 + 10_000)
        assert stream.end_segment(hit(T0 + 69_999), now_ms=T0 + 500_000) == []
        (event,) = stream.end_segment(hit(T0 + 70_000), now_ms=T0 + 70_001, segment_key="s9")
        assert event["type"] == EventType.RAISED

    def test_a_late_segment_of_a_decided_incident_is_decided(self) -> None:
        """A slow worker would call the moderator again for an incident that is closed."""
        stream = Stream(policy_with(cooldown_seconds=0))
        stream.end_segment(hit(T0))
        stream.decide(T0 + 10_000)
        assert stream.end_segment(hit(T0 + 9_999), now_ms=T0 + 11_000) == []

    def test_a_segment_listed_after_the_cooldown_raises_whatever_its_capture_time(self) -> None:
        """A broadcaster who claims durations of an hour would have all later pictures covered by one decision."""
        stream = Stream(policy_with(cooldown_seconds=300))
        stream.end_segment(hit(T0))
        stream.decide(T0 + 10_000)
        late = replace(context("s2"), listed_ms=T0 + 400_000)
        hits = [hit(T0 - 3_600_000)]
        step = advance(stream.state, context=late, hits=hits, now_ms=T0 + 401_000, policy=stream.policy)
        assert [event.stream_key for event in step.events] == ["lw:escalations:high"]
        in_time = replace(late, listed_ms=T0 + 300_000)
        assert not advance(stream.state, context=in_time, hits=hits, now_ms=T0 + 401_000, policy=stream.policy).events

    def test_a_past_capture_time_does_not_bypass_persistence(self) -> None:
        """One picture would raise a rule that needs two, because it looked worse than the decided ones."""
        stream = Stream(policy_with(cooldown_seconds=300, persistence={"hits": 2, "within_seconds": 5}))
        stream.end_segment(hit(T0), hit(T0 + 1))
        stream.decide(T0 + 10_000)
        late = replace(context("s2"), listed_ms=T0 + 400_000)
        hits = [hit(T0 - 3_600_000)]
        assert not advance(stream.state, context=late, hits=hits, now_ms=T0 + 401_000, policy=stream.policy).events

    def test_a_worse_match_is_not_covered(self) -> None:
        """Deciding on a harmless match would hide a severe one for the length of the cooldown."""
        stream = Stream(policy_with(severity="review", cooldown_seconds=600))
        stream.end_segment(hit(T0, Severity.REVIEW))
        stream.decide(T0 + 1)
        (event,) = stream.end_segment(hit(T0 + 2, Severity.CRITICAL), segment_key="s2")
        assert event["data"]["severity"] == "critical"  # type: ignore[index]

    def test_a_decision_holds_after_another_decision(self) -> None:
        """A broadcaster who alternates two listed pictures would call a moderator again and again for the same two."""
        stream = Stream(policy_with(cooldown_seconds=600))
        for number, entry in enumerate("ab"):
            (event,) = stream.end_segment(matched_hit(number, Severity.HIGH, entry, 3), segment_key=f"s{number}")
            assert event["type"] == EventType.RAISED
            stream.decide(T0 + number)
        assert stream.end_segment(matched_hit(10, Severity.HIGH, "a", 3), matched_hit(11, Severity.HIGH, "b", 3)) == []
        (event,) = stream.end_segment(matched_hit(12, Severity.HIGH, "a", 2), segment_key="s3")
        assert event["type"] == EventType.RAISED


matched_hits = st.lists(
    st.tuples(st.integers(0, 100_000), severities, st.sampled_from("abcd"), st.integers(0, 4)), min_size=1, max_size=20
)


def matched_hit(at: int, severity: Severity, entry: str, distance: int) -> Hit:
    return replace(hit(T0 + at, severity), matches=(ListMatch(list="known", entry=entry, distance=distance),))


@given(before=matched_hits, after=matched_hits, needed=st.integers(1, 3), random=st.randoms(use_true_random=False))
def test_order_of_segments_changes_nothing_after_a_decision(
    before: list[tuple[int, Severity, str, int]],
    after: list[tuple[int, Severity, str, int]],
    needed: int,
    random: object,
) -> None:
    """One slow worker would change whether anybody is shown a match worse than the decided one."""
    policy = policy_with(persistence={"hits": needed, "within_seconds": 100.0}, cooldown_seconds=50)
    hits = [matched_hit(*one) for one in after]
    shuffled = list(hits)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    in_order, out_of_order = Stream(policy), Stream(policy)
    for stream, sequence in ((in_order, hits), (out_of_order, shuffled)):
        for one in before:
            stream.end_segment(matched_hit(*one))
        if stream.rule.incident is None:
            return
        stream.decide(T0)
        stream.events.clear()
        for number, one_hit in enumerate(sequence):
            stream.end_segment(one_hit, segment_key=f"s{number}")
    one, other = in_order.rule, out_of_order.rule
    assert (one.incident is None) == (other.incident is None)
    assert one.decided == other.decided
    assert one.decided is not None
    if one.incident is not None and other.incident is not None:
        assert one.incident.finding == other.incident.finding
    # Every match worse than the decided one has been published, whenever it was captured.
    severities_decided = min(severity.rank for _, severity, _, _ in before)
    nearest = {entry: min(d for _, _, e, d in before if e == entry) for _, _, entry, _ in before}
    for stream in (in_order, out_of_order):
        shown = [json.loads(event.text)["data"] for event in stream.events]
        for at, severity, entry, distance in after:
            worse = severity.rank < severities_decided or distance < nearest.get(entry, 32)
            if at < 50_000 and worse:
                assert any(Severity(data["severity"]).rank <= severity.rank for data in shown)
                matches = [match for data in shown for match in data["matches"] if match["entry"] == entry]
                assert any(match["distance"] <= distance for match in matches)
        ids = [json.loads(event.text)["id"] for event in stream.events]
        assert len(ids) == len(set(ids))


@given(found=matched_hits, random=st.randoms(use_true_random=False))
def test_all_evidence_of_an_incident_is_published(found: list[tuple[int, Severity, str, int]], random: object) -> None:
    """A moderator would decide on an incident without seeing all of its evidence."""
    stream = Stream(policy_with())
    for number, one in enumerate(found):
        stream.end_segment(matched_hit(*one), segment_key=f"s{number}")
        assert stream.rule.incident is not None
        newest = extent_of(json.loads(stream.events[-1].text)["data"])
        finding = stream.rule.incident.finding
        assert newest.surpassed_by(finding.severity, finding.matches) == ""


def test_the_nearest_match_of_each_list_is_kept() -> None:
    """Twenty nearer matches of one list would displace the only match of another, and nobody would see it."""
    stream = Stream(policy_with())
    crowd = tuple(ListMatch(list="many", entry=str(n), distance=1) for n in range(30))
    stream.end_segment(replace(hit(1), matches=crowd))
    (event,) = stream.end_segment(
        replace(hit(2), matches=(ListMatch(list="rare", entry="1", distance=30),)), segment_key="s2"
    )
    matches = event["data"]["matches"]  # type: ignore[index]
    assert (len(matches), matches[-1]["list"]) == (20, "rare")


def test_updates_of_a_long_listed_video_are_bounded() -> None:
    """A listed video would publish a message for each of its frames."""
    stream = Stream(policy_with())
    for number in range(500):
        match = ListMatch(list="known", entry=str(number), distance=5)
        stream.end_segment(replace(hit(number), matches=(match,)), segment_key=f"s{number}")
    assert len(stream.events) < 60


def test_a_shadow_rule_counts_and_calls_nobody() -> None:
    """An operator could not try a rule without flooding moderators."""
    stream = Stream(policy_with(mode="shadow"))
    assert stream.end_segment(hit(1), hit(2)) == []
    assert stream.rule == RuleState(shadow_hits=2)


class TestInterrupt:
    policy = policy_with(severity="critical", action="interrupt", lists=["confirmed"])

    def interrupts(self, *hits: Hit, purpose: str = "live") -> list[dict[str, object]]:
        stream = Stream(self.policy, purpose)
        events = [
            event
            for number, one in enumerate(hits)
            for event in stream.end_segment(one, segment_key=f"s{number}", now_ms=T0 + number)
        ]
        return [event for event in events if event["type"] == EventType.INTERRUPT_REQUESTED]

    def test_two_frames_ask_once(self) -> None:
        """A stream that shows known material would go on, or the platform would be asked repeatedly."""
        found = [hit(at, Severity.CRITICAL, lists=("confirmed",)) for at in (1, 2, 3)]
        (event,) = self.interrupts(*found)
        assert event["stream"] == "lw:decisions"
        assert len(event["data"]["frames"]) == 2  # type: ignore[index]

    def test_frames_are_bounded(self) -> None:
        """A request, and the stored state of the stream, would grow with each frame."""
        stream = Stream(self.policy)
        (event, _) = stream.end_segment(*(hit(at, Severity.CRITICAL, lists=("confirmed",)) for at in range(50)))
        assert len(event["data"]["frames"]) == 2  # type: ignore[index]

    @pytest.mark.parametrize(
        "hits",
        [
            [hit(1, Severity.CRITICAL, lists=("confirmed",))],
            [hit(1, Severity.CRITICAL, lists=("confirmed",)), hit(1, Severity.CRITICAL, lists=("confirmed",))],
            [hit(1, Severity.CRITICAL, lists=("confirmed",)), hit(2, Severity.CRITICAL, lists=("other",))],
            [hit(1, Severity.CRITICAL), hit(2, Severity.CRITICAL)],
        ],
        ids=["one frame", "one frame twice", "another list", "no list at all"],
    )
    def test_weaker_evidence_asks_nothing(self, hits: list[Hit]) -> None:
        """A stream would be interrupted because of one picture, or of a score."""
        assert self.interrupts(*hits) == []

    def test_canary_asks_nothing(self) -> None:
        """A self-test would interrupt a stream."""
        found = [hit(at, Severity.CRITICAL, lists=("confirmed",)) for at in (1, 2)]
        assert self.interrupts(*found, purpose="canary") == []


@pytest.mark.parametrize(
    ("purpose", "stream_key", "drill"),
    [("live", "lw:escalations:high", False), ("drill", "lw:escalations:high", True), ("canary", "lw:operations", True)],
)
def test_purpose_selects_the_audience(purpose: str, stream_key: str, drill: bool) -> None:
    """A canary would call a moderator, or a drill would be taken for real."""
    (event,) = Stream(policy_with(), purpose).end_segment(hit(1))
    assert event["stream"] == stream_key
    assert event["data"]["drill"] is drill  # type: ignore[index]


def test_evidence_is_bounded() -> None:
    """An incident that lasts a day would grow until it is unreadable."""
    stream = Stream(policy_with())
    many = [replace(hit(n), matches=(ListMatch(list="known", entry=str(n), distance=n % 32),)) for n in range(100)]
    stream.end_segment(*many)
    assert stream.rule.incident is not None
    matches = stream.rule.incident.finding.matches
    assert len(matches) == 20
    assert matches[0].distance == 0
    assert [match.order for match in matches] == sorted(match.order for match in matches)


def test_state_survives_redis() -> None:
    """A stream's state would change by being stored."""
    stream = Stream(policy_with(persistence={"hits": 2, "within_seconds": 5}))
    stream.end_segment(hit(1, lists=("known",)))
    assert decode(encode(stream.rule)) == stream.rule
    stream.end_segment(hit(2, lists=("known",)))
    assert decode(encode(stream.rule)) == stream.rule
    stream.decide(T0)
    assert decode(encode(stream.rule)) == stream.rule


def test_foreign_state_is_one_clear_error() -> None:
    """A hand-edited key in Redis would cause a traceback in a worker's log."""
    with pytest.raises(StoreError, match="expected what livewarden writes"):
        decode('{"waiting": 5}')


def test_default_persistence_is_once() -> None:
    """A rule without `persistence` would wait for further hits."""
    assert Rule(name="a", when="true", severity=Severity.HIGH).persistence.hits == 1
