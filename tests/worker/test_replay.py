"""A policy is tried on what was seen: beside what was raised, in a real Valkey and a real folder."""

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from logged import row
from redis import Redis
from replayed import Life, sample

from config.policy import Policy
from worker.redisdb import now_ms
from worker.replay.comparison import Change
from worker.replay.part import PartResult, Replayer, Times
from worker.replay.rows import PART_SCHEMA
from worker.replay.sieve import Sieve
from worker.verdictlog.rows import table_of

RULES = """
version: "1"
rules:
  - {name: known, when: 'matched("known")', severity: critical, cooldown_seconds: 0.05}
  - {name: nude, when: 'score("m/nsfw") > 0.5', severity: review, persistence: {hits: 3, within_seconds: 10},
     cooldown_seconds: 1}
  - {name: likely, when: 'score("m/nsfw") > 0.9', severity: high, cooldown_seconds: 0}
  - {name: tried, when: 'score("m/nsfw") > 0.2', severity: high, mode: shadow}
"""


IN_ORDER = """
  - {name: often, when: 'window.count("m/nsfw", 0.8, "12s") >= 3', severity: high}
  - {name: mostly, when: 'window.fraction("m/nsfw", 0.5, "6 samples") > 0.6 && score("m/nsfw") > 0.3', severity: review}
  - {name: high, when: 'window.max("m/nsfw", "9s") > 0.97 && score("m/nsfw") < 0.2', severity: review}
  - {name: again, when: 'window.matched("known", "20s") >= 2', severity: critical}
  - {name: of, when: 'score("m/nsfw") > 0.85', severity: review, persistence: {hits: 3, of_samples: 5}}
  - {name: unseen, when: 'coverage.moderated_seconds < 1.0 && stream.risk_prior > 0.4', severity: high}
"""


@pytest.fixture
def policy(policy_of: Callable[[str], Policy]) -> Policy:
    return policy_of(RULES + IN_ORDER)


@pytest.fixture
def life(redis: Redis, policy: Policy, tmp_path: Path) -> Life:
    return Life(redis=redis, policy=policy, folder=tmp_path / "store")


def live(life: Life, seed: int, *, segments: int = 60) -> None:
    """Streams whose segments end in any order, and people who decide meanwhile."""
    chance = random.Random(seed)
    streams = [f"cam-{chance.randrange(3)}" for _ in range(segments)]
    for number, stream in enumerate(streams):
        life.admit(stream, f"seg-{seed}-{number}", number * 2000)
    for number in sorted(range(segments), key=lambda number: number + chance.uniform(0, 6)):
        found = [
            sample(
                0.5 + index,
                score=chance.choice([0.1, 0.3, 0.55, 0.95]),
                lists=["known"] if chance.random() < 0.08 else [],
            )
            for index in range(chance.randrange(1, 4))
        ]
        life.settle(streams[number], f"seg-{seed}-{number}", number * 2000, found)
        if chance.random() < 0.3:
            life.decide(streams[number], chance.choice([rule.name for rule in life.policy.rules]))


@pytest.mark.parametrize("seed", range(4))
def test_the_policy_that_was_in_force_raises_what_was_raised(life: Life, seed: int) -> None:
    """Nobody could believe what a replay says of another policy."""
    live(life, seed)
    result = life.replay()
    assert len(life.incidents()) > 10
    assert {one.change for one in result.compared} == {Change.SAME, Change.SHADOW}
    same = [one for one in result.compared if one.change is Change.SAME]
    assert sorted(one.was.incident_id for one in same if one.was is not None) == life.incidents()
    for one in same:
        assert one.was is not None
        assert one.would is not None
        assert (one.was.severity, one.was.segment_key) == (one.would.severity, one.would.segment_key)
        assert one.was.raised_ms == one.would.incident.raised_ms
        assert one.was.worst == one.would.incident.finding.severity
    assert result.policies == {life.policy.version: result.rows}


@pytest.mark.parametrize("seed", range(3))
def test_it_is_so_from_any_moment_on(life: Life, seed: int) -> None:
    """A replay of the last day begins in the middle: with incidents that are open, decided, or about to be raised."""
    live(life, seed, segments=30)
    since_ms = now_ms(life.redis)
    before = life.incidents()
    live_on = Life(redis=life.redis, policy=life.policy, folder=life.folder)
    live_on.began_ms = life.began_ms + 60_000
    live(live_on, seed + 100, segments=30)
    result = life.replay(since_ms=since_ms)
    same = [one for one in result.compared if one.change is not Change.SHADOW]
    assert {one.change for one in same} == {Change.SAME}
    assert sorted(one.was.incident_id for one in same if one.was is not None) == sorted(
        set(life.incidents()) - set(before)
    )


NO_SIEVE = "  - {name: none, when: 'sample.capture_ms < 0', severity: review}\n"
"""No picture is like another to it, so that all are gone through."""


def seen(seed: int) -> pa.Table:
    """Many quiet pictures, and some that are not, of streams whose segments end in any order."""
    chance = random.Random(seed)
    rows = []
    for stream in range(4):
        busy = chance.sample(range(150), 3)
        for segment in range(150):
            loud = any(abs(segment - one) < 4 for one in busy)
            for number in range(chance.randrange(1, 4)):
                score = chance.choice([0.1, 0.4, 0.7, 0.9, 0.99] if loud else [0.1, 0.15, 0.2])
                matched = ["known"] if loud and chance.random() < 0.1 else []
                begin_ms = 2000 * segment
                rows.append(
                    row(
                        **sample(0.5 * number, score=score if chance.random() < 0.9 else None, lists=matched),
                        stream_id=f"cam-{stream}",
                        epoch=segment // 100,
                        segment_key=f"{stream}-{segment}",
                        capture_ms=begin_ms + 500 * number,
                        risk_prior=0.1 * stream * 2,
                        segment_ms=2000,
                        moderated_ms=500 if segment % 41 == 0 else 2000,
                        settled_ms=begin_ms + chance.randrange(2000, 9000),
                        settled_after=0,
                    )
                )
    ended = {(one["stream_id"], one["segment_key"]): one["settled_ms"] for one in rows}
    whole = [{**one, "settled_ms": ended[one["stream_id"], one["segment_key"]]} for one in rows]
    return table_of(whole).select(PART_SCHEMA.names)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rules", [RULES, RULES + IN_ORDER])
def test_what_is_passed_over_would_have_raised_nothing(
    policy_of: Callable[[str], Policy], rules: str, seed: int
) -> None:
    """A replay that is quick and wrong is worse than none."""
    table = seen(seed)
    times = Times(start_ms=0, since_ms=0, until_ms=10**12)
    quick = Replayer(policy_of(rules), times).part(table, {})
    slow = Replayer(policy_of(rules + NO_SIEVE), times).part(table, {})

    def told(result: PartResult) -> list[tuple[object, ...]]:
        return [
            (one.rule, one.would.incident.incident_id, one.would.severity, one.would.incident.finding)
            for one in result.compared
            if one.would is not None
        ]

    assert told(quick) == told(slow)
    assert quick.hits == slow.hits
    assert len({one.rule for one in quick.compared}) == (4 if rules == RULES else 10)
    kept = Sieve(policy_of(rules)).rows(table)
    assert 0 < kept.sum() < 0.7 * len(kept)
