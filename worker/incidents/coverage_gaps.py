"""Raises an incident of rule `coverage-gap` for a stream that alone cannot be seen for long, from the record of its
polls and segments (`worker.ingest.poll.stream_gaps`): no picture comes that could raise anything.
"""

from typing import Final

from redis import Redis

from config.facts import COVERAGE_GAP_RULE, StreamFacts
from config.policy.judging import Judging
from config.policy.policy import Policy
from config.policy.rules import CoverageGap
from worker.incidents.builtin_rules import Occurrence, advance_occurrence
from worker.incidents.event_data import gap_condition
from worker.incidents.keys import incidents_key
from worker.incidents.segment_context import SegmentContext, Versions
from worker.incidents.store import read_incidents, rounds
from worker.ingest.poll.stream_gaps import (
    Gap,
    LastingGap,
    alone_among,
    any_lasts,
    blind_gaps,
    lasting_gaps,
    watched_streams,
)
from worker.ingest.registry.registry import stream_key
from worker.ingest.registry.signals import stream_facts
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

COUNTED: Final = redis_keys.GAPS_COUNTED.name
COUNTED_EVERY_MS: Final = 15_000
"""At most so often all streams are counted by origin: in an outage of 10,000 that takes 1.4 s of one process and 0.13 s
of Redis, and as long as it lasts there is always something to count."""

MOST_AT_ONCE: Final = 100
"""Gaps raised by one call; the next call raises more."""

COOLDOWN_MS: Final = 300_000
"""After a decision, gaps that begin until so much later are decided too, as with rules by default."""


def raise_coverage_gaps(redis: Redis, *, deployment: str, policy: Policy) -> int:
    """Raises gaps that last too long; returns how many were written.

    Raises:
        StoreError: Redis failed; the next call raises the rest.
    """
    if policy.coverage_gap is None:
        return 0
    with store_errors():
        if not any_lasts(redis, policy.coverage_gap) or not redis.set(COUNTED, 1, nx=True, px=COUNTED_EVERY_MS):
            return 0
        lasting = [*lasting_gaps(redis, policy.coverage_gap), *blind_gaps(redis, policy.coverage_gap)]
        alone = alone_among(lasting, watched_streams(redis)) if lasting else []
    return sum(_raise(redis, one, deployment=deployment, policy=policy) for one in alone[:MOST_AT_ONCE])


def _raise(redis: Redis, lasting: LastingGap, *, deployment: str, policy: Policy) -> bool:
    """Returns whether it was written. A gap that is over, or that another worker has raised meanwhile, is not."""
    rule = policy.coverage_gap
    assert rule is not None
    stream_id = lasting.stream_id
    for _ in rounds():
        with store_errors():
            facts = stream_facts(redis, stream_id, generation=lasting.generation, risk=policy.risk)
            now = now_ms(redis)
            incidents = read_incidents(redis, stream_id, facts.purpose)
        step = advance_occurrence(
            redis,
            incidents,
            _occurrence(lasting.gap, rule, policy.judging(), now_ms=now),
            _context(facts, lasting, deployment=deployment, policy=policy),
            update_seconds=policy.update_seconds,
            now_ms=now,
        )
        answer = run_script_to_disk(
            redis,
            "raise_gap",
            keys=[stream_key(stream_id), incidents_key(stream_id)],
            args=[
                lasting.generation,
                lasting.gap.since_ms,
                incidents.version,
                *step.records(stream_id),
                "blind_since_ms" if lasting.blind else "gap_since_ms",
                "blind_raised_ms" if lasting.blind else "gap_raised_ms",
            ],
        )
        if answer != "clash":
            return bool(answer == "written")
    return False


def _context(facts: StreamFacts, lasting: LastingGap, *, deployment: str, policy: Policy) -> SegmentContext:
    return SegmentContext(
        stream=facts,
        generation=lasting.generation,
        segment_key=f"gap.{lasting.generation}.{lasting.gap.since_ms}",
        deployment=deployment,
        versions=Versions(policy=policy.version),
    )


def _occurrence(gap: Gap, rule: CoverageGap, judging: Judging, *, now_ms: int) -> Occurrence:
    """The gap, decided with others that began within the cooldown."""
    return Occurrence(
        rule=COVERAGE_GAP_RULE,
        cause=gap,
        severity=rule.severity,
        first_ms=gap.since_ms,
        last_ms=now_ms,
        condition=gap_condition(rule),
        evidence_none="coverage",
        cooldown_ms=COOLDOWN_MS,
        judging=judging,
        decided_with_others=True,
    )
