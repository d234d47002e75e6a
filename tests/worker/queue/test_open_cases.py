"""Open cases as Redis has them, and their words."""

import json
from dataclasses import replace

import pytest
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.queue.case_order import Certainty, OpenCase, order_cases
from worker.queue.case_words import case_text, span_text
from worker.queue.claims import take
from worker.queue.open_cases import AT_ONCE, read_open_cases


def test_a_case_is_read_with_its_words(redis: Redis, scene: Scene):
    """A moderator would not see why a case is in the queue without opening a picture."""
    incident_id = scene.raise_incident("s", Severity.CRITICAL)
    ((case,), now) = read_open_cases(redis)
    assert (case.incident_id, case.stream_id, case.live, case.certainty) == (incident_id, "s", True, Certainty.KNOWN)
    shown = case_text(replace(case, captured_first_ms=now - 180_000), now)
    assert shown == "Known material · list known · distance 4 · live now, 3 min"
    assert case.holder is None


def test_incidents_of_one_stream_are_one_case(redis: Redis, scene: Scene):
    """Two people would judge the same broadcast, each with half of what is known."""
    scene.raise_incident("s", Severity.REVIEW)
    critical = scene.raise_incident("s", Severity.CRITICAL, capture_ms=9000)
    ((case,), _) = read_open_cases(redis)
    assert (case.incidents, case.severity, case.incident_id) == (2, Severity.CRITICAL, critical)
    assert case.hits >= 2
    taken = take(redis, "noor")
    assert taken is not None
    ((held,), _) = read_open_cases(redis)
    assert held.holder == "noor"
    assert 0 < held.lease_seconds <= 600


def test_an_incident_whose_stream_ended_is_not_live(redis: Redis, scene: Scene):
    """An hour-old case would stand before what is on air."""
    scene.raise_incident("over")
    redis.hset(f"lw:incident:{scene.raise_incident('s')}", "ended", "stream-ended")
    cases, now = read_open_cases(redis)
    assert [case.live for case in order_cases(cases, now_ms=now)] == [True, False]
    assert case_text(next(case for case in cases if not case.live), now).endswith(" · ended")


def test_a_damaged_record_stays_in_the_queue(redis: Redis, scene: Scene):
    """One foreign key would hide the whole queue, or a case would be lost."""
    good = scene.raise_incident("s")
    redis.zadd("lw:open:high", {"damaged": 5, "foreign": 6, "gone": 7})
    redis.hset(
        "lw:incident:damaged", mapping={"stream_id": b"\xff<script>", "raised_ms": "9" * 30, "ground": "[" * 9000}
    )
    redis.set("lw:incident:foreign", "x")
    cases, _ = read_open_cases(redis)
    assert {case.incident_id for case in cases} == {good, "damaged", "foreign", "gone"}


def test_ten_thousand_cases_take_few_round_trips(redis: Redis):
    """The queue page would take seconds when the queue is long."""
    with redis.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            pipe.hset(
                f"lw:incident:{number:024x}",
                mapping={
                    "stream_id": f"s{number}",
                    "rule": "known",
                    "case": f"case-{number}",
                    "raised_ms": number,
                    "ground": json.dumps({"kind": "known", "list": "ncmec", "distance": 4}),
                },
            )
            pipe.zadd("lw:open:high", {f"{number:024x}": number})
        pipe.execute()
    read_open_cases(redis)
    before = redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    cases, _ = read_open_cases(redis)
    sent = redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert len({case.case_id for case in cases}) == 10_000
    assert sent == 10_000 / AT_ONCE


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (45, "45 s"),
        (60, "1 min"),
        (105, "1 min 45 s"),
        (665, "11 min"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_times_have_units(seconds: int, text: str):
    """A moderator would read minutes as hours."""
    assert span_text(seconds * 1000) == text


@pytest.mark.parametrize(
    ("ground", "text"),
    [
        (
            {"kind": "known", "list": "ncmec", "category": "A2", "distance": 4, "variant": "mirror"},
            "Known material on 14 streams · list ncmec · class A2 · distance 4 · mirrored · live now",
        ),
        ({"kind": "reported"}, "Imminent danger · reported by the platform · no picture judged · live now"),
        ({"kind": "score", "name": "m/nsfw", "value": 0.914}, "Rule r on 14 streams · m/nsfw score 0.91 · live now"),
        ({"kind": "unseen"}, "Not seen · the stream cannot be sampled · live now"),
        ({}, "Rule r on 14 streams · live now"),
    ],
)
def test_each_ground_has_its_words(ground: dict, text: str):
    """A moderator would open a picture to learn what the case is about."""
    case = OpenCase(
        case_id="c",
        incident_id="i",
        incidents=1,
        stream_id="s",
        streams=14,
        rule="r",
        severity=Severity.HIGH,
        certainty=Certainty.KNOWN,
        live=True,
        purpose="live",
        hits=1,
        raised_ms=0,
        ground=ground,
    )
    assert case_text(case, 0) == text
