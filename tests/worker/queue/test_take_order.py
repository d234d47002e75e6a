"""The order in which `take` gives cases: that of `case_order`, kept in Redis."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.incidents.keys import OPEN_KEYS, incident_key, open_key
from worker.queue.case_order import TURNS, LongestWaits, order_cases
from worker.queue.claims import take, take_case
from worker.queue.decisions import decide_incident
from worker.queue.holds import hand_over
from worker.queue.open_cases import read_open_cases
from worker.store.redis_keys import QUEUE_ORDER, QUEUE_TURNS

ORDER, TURN = QUEUE_ORDER.name, QUEUE_TURNS.name
PATIENT = LongestWaits(critical=3600, high=3600, review=3600)
LATE = LongestWaits(critical=3600, high=3600, review=0)


def given(redis: Redis, by: Any, **options: Any) -> str | None:
    claim = take(redis, by, **options)
    return None if claim is None else claim.incident_id


def end(redis: Redis, incident: str) -> None:
    """As an older version ends an incident: without its place in the order."""
    redis.hset(incident_key(incident), "ended", "stream-ended")


def known(redis: Redis, incident: str, kind: str) -> None:
    redis.hset(incident_key(incident), "ground", json.dumps({"kind": kind}))


def many(redis: Redis, count: int, now_ms: int) -> None:
    """Open incidents of as many cases, as an older version wrote them."""
    event = json.dumps({"data": {"incident_id": "x", "text": "y" * 2000}})
    with redis.pipeline(transaction=False) as pipe:
        for number in range(count):
            incident, raised_ms = f"{number:024x}", now_ms - number
            ground = json.dumps({"kind": ("known", "score")[number % 2], "list": "l", "distance": 4})
            fields = {
                "stream_id": f"s{number}",
                "case": f"c{number:05}",
                "raised_ms": raised_ms,
                "event": event,
                "ground": ground,
            }
            if number % 5:
                fields["ended"] = "silence"
            pipe.hset(incident_key(incident), mapping=fields)
            pipe.zadd(f"lw:case:c{number:05}", {incident: raised_ms})
            pipe.zadd(OPEN_KEYS[number % 3], {incident: raised_ms})
        pipe.execute()


class TestOrder:
    def test_live_then_severe_then_sure_then_old(self, scene: Scene) -> None:
        """A person would judge what is over while something goes on."""
        redis = scene.redis
        over, first, second = (scene.raise_incident(f"critical-{number}") for number in range(3))
        review = scene.raise_incident("review", Severity.REVIEW)
        scored = scene.raise_incident("scored", Severity.HIGH)
        matched = scene.raise_incident("matched", Severity.HIGH)
        known(redis, matched, "known")
        end(redis, over)
        for incident in (over, matched):
            redis.zrem(ORDER, incident)
        taken = [given(redis, f"p{number}", waits=PATIENT) for number in range(7)]
        assert taken == [first, second, matched, scored, review, over, None]

    def test_a_place_that_an_older_version_left_behind_is_moved(self, scene: Scene) -> None:
        """While workers are updated one by one, people would be given what has ended."""
        over, live = scene.raise_incident("cam-1"), scene.raise_incident("cam-2", Severity.REVIEW)
        end(scene.redis, over)
        assert given(scene.redis, "ann") == live

    @pytest.mark.parametrize("loss", ["lost", "of another kind", "foreign members", "of decided incidents"])
    def test_a_lost_or_damaged_order_costs_no_case(self, scene: Scene, loss: str) -> None:
        """After the loss of one key nobody would be given anything, or only what is raised since."""
        raised = [scene.raise_incident("cam-1", Severity.REVIEW), scene.raise_incident("cam-2")]
        if loss == "foreign members":
            scene.redis.zadd(ORDER, {"foreign": 0})
        elif loss == "of decided incidents":
            scene.redis.zadd(ORDER, {scene.raise_incident("cam-3"): 0})
            for incident in scene.redis.zrange(ORDER, 0, 0):
                scene.redis.zrem(open_key(Severity.CRITICAL), incident)
        else:
            scene.redis.delete(ORDER)
            if loss == "of another kind":
                scene.redis.set(ORDER, "x")
        assert [given(scene.redis, name) for name in ("ann", "bob", "cyd")] == [*raised[::-1], None]
        decide_incident(scene.redis, raised[0], "adult_tos", by="bob", deployment="test")
        scene.raise_incident("cam-4")
        assert given(scene.redis, "cyd") is not None

    def test_one_that_is_missing_is_found_beside_one_that_is_left_over(self, scene: Scene) -> None:
        """Both counts are alike while an older version raises and decides: nobody would be given the case."""
        decided, raised = scene.raise_incident("cam-1"), scene.raise_incident("cam-2")
        scene.redis.zrem(ORDER, raised)
        scene.redis.zrem(open_key(Severity.CRITICAL), decided)
        scene.redis.hset(incident_key(decided), "outcome", "harmless")
        assert given(scene.redis, "ann") == raised
        assert scene.redis.zrange(ORDER, 0, -1) == [raised]

    def test_one_that_is_missing_among_many_is_found_within_the_turns(self, scene: Scene) -> None:
        """In a long queue it would wait until it is past its wait."""
        now_ms = round(time.time() * 1000)
        many(scene.redis, 1200, now_ms)
        for number in range(3):
            given(scene.redis, f"first-{number}")  # puts 500 in their places, each
        decided, raised = scene.raise_incident("cam-1"), scene.raise_incident("cam-2")
        known(scene.redis, raised, "known")
        scene.redis.hset(incident_key(raised), "raised_ms", 1)
        scene.redis.zadd(open_key(Severity.CRITICAL), {raised: 1})
        scene.redis.zrem(ORDER, raised)
        scene.redis.zrem(open_key(Severity.CRITICAL), decided)
        scene.redis.hset(incident_key(decided), "outcome", "harmless")
        assert raised in [given(scene.redis, f"p{number}", waits=PATIENT) for number in range(TURNS + 1)]

    def test_decided_and_ended_incidents_leave_their_places(self, scene: Scene) -> None:
        """Redis would keep a place for each incident ever."""
        first, second = scene.raise_incident("cam-1"), scene.raise_incident("cam-1", Severity.REVIEW)
        assert set(scene.redis.zrange(ORDER, 0, -1)) == {first, second}
        decide_incident(scene.redis, first, "adult_tos", by="ann", deployment="test")
        assert scene.redis.zrange(ORDER, 0, -1) == [second]

    def test_a_case_is_as_live_and_sure_as_any_of_its_incidents(self, scene: Scene) -> None:
        """The rest of a case that goes on would wait behind others, with what was found of it."""
        first, second = scene.raise_incident("cam-1"), scene.raise_incident("cam-1", Severity.HIGH)
        other = scene.raise_incident("cam-2")
        end(scene.redis, first)
        known(scene.redis, other, "score")
        scene.redis.zrem(ORDER, first, second, other)
        claim = take(scene.redis, "ann")
        assert claim is not None
        assert (claim.incident_id, claim.in_case[0].incident_id) == (first, second)

    @pytest.mark.parametrize("waits", [PATIENT, LATE])
    def test_it_is_the_order_of_the_page(self, redis: Redis, waits: LongestWaits) -> None:
        """A person would be given another case than the one at the head of the list."""
        now = round(time.time() * 1000)
        many(redis, 300, now)
        cases, now_ms = read_open_cases(redis)
        expected = [case.incident_id for case in order_cases(cases, now_ms=now_ms, waits=waits)]
        assert [given(redis, f"p{number}", waits=waits) for number in range(300)] == expected

    def test_ten_thousand_cases(self, redis: Redis) -> None:
        """With a long queue a case that an older version wrote would never be given."""
        many(redis, 10_000, round(time.time() * 1000))
        for number in range(60):
            assert given(redis, f"p{number}") is not None
        assert redis.zcard(ORDER) == 10_000


class TestInHand:
    def test_what_is_in_hand_comes_before_its_like(self, scene: Scene) -> None:
        """Whoever calls twice would hold two cases, and judge neither."""
        first = scene.raise_incident("cam-1", Severity.HIGH)
        assert given(scene.redis, "ann") == first
        scene.raise_incident("cam-2", Severity.HIGH)
        scene.raise_incident("cam-3", Severity.REVIEW)
        assert given(scene.redis, "ann") == first
        worse = scene.raise_incident("cam-4")
        assert given(scene.redis, "ann") == worse

    def test_what_goes_on_comes_before_what_is_over(self, scene: Scene) -> None:
        """A person with an hour-old recording in hand would not be given a live stream."""
        over = scene.raise_incident("cam-1")
        assert given(scene.redis, "ann") == over
        end(scene.redis, over)
        live = scene.raise_incident("cam-2", Severity.REVIEW)
        assert given(scene.redis, "ann") == live

    def test_what_was_handed_over_comes_before_what_is_free(self, scene: Scene) -> None:
        """A case that a colleague leaves would wait until the queue is empty."""
        case_id = str(scene.redis.hget(incident_key(incident := scene.raise_incident("cam-1", Severity.HIGH)), "case"))
        take_case(scene.redis, "ann", case_id)
        hand_over(scene.redis, "ann", case_id, to="bob", note="")
        scene.redis.zadd(open_key(Severity.HIGH), {scene.raise_incident("cam-2", Severity.HIGH): 5})
        assert given(scene.redis, "bob") == incident


class TestTurns:
    @pytest.fixture
    def flood(self, scene: Scene) -> Callable[[int], list[str]]:
        """Two reviews that are past their wait, and so many live critical cases."""

        def make(count: int) -> list[str]:
            reviews = [scene.raise_incident(f"old-{number}", Severity.REVIEW) for number in range(2)]
            for number in range(count):
                scene.raise_incident(f"new-{number}")
            return reviews

        return make

    def test_one_turn_in_four_goes_to_the_longest_past_its_wait(
        self, scene: Scene, flood: Callable[[int], list[str]]
    ) -> None:
        """A flood of urgent cases would keep the others from a person for good."""
        reviews = flood(8)
        taken = [given(scene.redis, f"p{number}", waits=LATE) for number in range(2 * TURNS)]
        assert [taken[TURNS - 1], taken[2 * TURNS - 1]] == reviews
        assert len(set(taken)) == 2 * TURNS

    def test_nobody_is_past_the_wait(self, scene: Scene, flood: Callable[[int], list[str]]) -> None:
        """Reviews would be judged while a critical case waits, though they have time."""
        reviews = flood(8)
        assert not {given(scene.redis, f"p{number}", waits=PATIENT) for number in range(8)} & set(reviews)

    def test_turns_count_for_everybody_and_only_what_is_taken(
        self, scene: Scene, flood: Callable[[int], list[str]]
    ) -> None:
        """People who ask again and again for what they hold would use up the turns of the others."""
        flood(3)
        for _ in range(6):
            given(scene.redis, "ann", waits=LATE)
        assert scene.redis.get(TURN) == "1"
        given(scene.redis, "ann", waits=LATE, another=True)
        assert scene.redis.get(TURN) == "2"

    def test_the_most_urgent_of_the_case_is_shown(self, scene: Scene) -> None:
        """A case that waited long would be shown by its least finding."""
        review = scene.raise_incident("cam-1", Severity.REVIEW)
        worse = scene.raise_incident("cam-1", Severity.HIGH)
        scene.raise_incident("cam-2")
        scene.redis.set(TURN, TURNS - 1)
        claim = take(scene.redis, "ann", waits=LATE)
        assert claim is not None
        assert (claim.incident_id, claim.in_case[0].incident_id) == (worse, review)

    def test_a_case_waits_since_its_first_incident_was_raised(self, scene: Scene) -> None:
        """The page would show a case as past its wait, and nobody be given it."""
        first = scene.raise_incident("cam-1", Severity.REVIEW)
        worse = scene.raise_incident("cam-1", Severity.HIGH)
        scene.raise_incident("cam-2")
        raised_ms = round(time.time() * 1000) - 600_000
        scene.redis.hset(incident_key(first), "raised_ms", raised_ms)
        scene.redis.zadd(open_key(Severity.REVIEW), {first: raised_ms})
        scene.redis.delete(ORDER)
        scene.redis.set(TURN, TURNS - 1)
        waits = LongestWaits(critical=3600, high=300, review=3600)
        cases, now_ms = read_open_cases(scene.redis)
        assert order_cases(cases, now_ms=now_ms, waits=waits, turn=TURNS - 1)[0].incident_id == worse
        assert given(scene.redis, "ann", waits=waits) == worse

    def test_a_damaged_order_takes_no_turn_away(self, scene: Scene) -> None:
        """One damaged key would let a flood of urgent cases keep the others from a person for good."""
        review = scene.raise_incident("cam-1", Severity.REVIEW)
        scene.redis.set(ORDER, "x")
        urgent = scene.raise_incident("cam-2")
        assert scene.redis.zrange(ORDER, 0, -1) == [urgent], "a moderator's user may not remove it"
        scene.redis.set(TURN, TURNS - 1)
        assert given(scene.redis, "ann", waits=LATE) == review

    @pytest.mark.parametrize("damage", ["x", "9" * 30])
    def test_a_damaged_count_keeps_nothing_back(self, scene: Scene, damage: str) -> None:
        """One damaged key would keep every escalation from every person."""
        incident = scene.raise_incident("cam-1")
        scene.redis.set(TURN, damage)
        assert given(scene.redis, "ann") == incident

    def test_a_lead_s_is_left_to_leads_though_it_waits(self, scene: Scene) -> None:
        """A moderator would be given what the policy keeps for a lead, since it waited."""
        roster, review = Roster(scene.redis), scene.raise_incident("cam-1", Severity.REVIEW)
        scene.redis.hset(incident_key(review), "needs_role", "lead")
        fresh = scene.raise_incident("cam-2")
        scene.redis.set(TURN, TURNS - 1)
        assert given(scene.redis, roster.add("kim"), waits=LATE) == fresh
        assert given(scene.redis, roster.lead, waits=LATE) == review
