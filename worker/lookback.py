"""Looking back: a hash that has just come is searched for in what was judged without it, and streams that already
showed it are escalated, the way that live ones are.

The search goes in slices under a lease, and how far it has come is in Redis: a killed look-back goes on where it was.
What it finds is written down in the same step, and raised from there: once, whoever dies over it.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Self

from redis import Redis

from config.errors import LivewardenError
from config.facts import ALLOW, Hit, ListMatch, SampleFacts, StreamFacts
from config.policy import Policy
from worker.bank.allowance import evaluate
from worker.bank.follower import BankSource, InForce
from worker.bank.lease import Lease, leased
from worker.errors import LeaseLostError, ObjectStoreError, StoreError
from worker.events import Occasion, Versions, derived_id
from worker.lookbackjobs import (
    FOUND,
    JOBS,
    LEASE,
    REST,
    TOLD,
    Job,
    finish,
    job_record,
    next_job,
    sought,
    take_up,
)
from worker.lookbackscan import Found, Sought, files_left, scan
from worker.objectstore import ObjectStore
from worker.process import Process
from worker.redisdb import now_ms, run_script, store_errors
from worker.segments import SegmentRecord
from worker.settlement import settle
from worker.verdictrows import Row, match_record, sample_facts_of, stream_facts_of

_log = logging.getLogger(__name__)

SLICE_SECONDS = 4.0
"""Of one task: with the step in hand well under the time limit of tasks."""

REST_MS = 15_000
"""After the store failed."""

TOLD_SPARE_MS = 3_600_000
"""How much longer than the log, hits are remembered as told."""


@dataclass(frozen=True, kw_only=True)
class Lookback:
    """What a look-back works with."""

    redis: Redis
    store: ObjectStore
    policy: Policy
    bank: BankSource
    """Gives the lists as they are at least since the changes that are taken up."""
    deployment: str
    hours: float
    """How far back."""

    @classmethod
    def of(cls, process: Process) -> Self:
        """That of a worker."""

        def bank() -> InForce:
            process.bank.look()
            return process.bank.in_force()

        return cls(
            redis=process.redis,
            store=ObjectStore(process.settings.store_url),
            policy=process.policy,
            bank=bank,
            deployment=process.settings.deployment,
            hours=process.settings.verdict_log_hours,
        )


def look_back(looking: Lookback, *, seconds: float = SLICE_SECONDS) -> bool:
    """Does a slice of what is due, unless another process is at it. True: there is more to do at once.

    Raises:
        StoreError: Redis failed; what was found by then is raised by the next slice.
    """
    until = monotonic() + seconds
    try:
        with leased(looking.redis, LEASE) as lease:
            if lease is None:
                return False
            with store_errors():
                take_up(looking.redis, hours=looking.hours)
                return _go_on(looking, lease, until)
    except ObjectStoreError as error:
        _log.warning("looking back waits for the verdict log: %s", error)
        with store_errors():
            looking.redis.set(REST, "1", px=REST_MS)
    except LeaseLostError as error:
        _log.warning("looking back: %s", error)
    return False


def _go_on(looking: Lookback, lease: Lease, until: float) -> bool:
    raise_found(looking, until=until)
    while monotonic() < until:
        job = next_job(looking.redis, hours=looking.hours)
        if job is None:
            return False
        if (after := _search(looking, lease, job, until)) is None:
            continue
        if after.last_pass and job.last_pass:
            finish(looking.redis, job)
            looking.redis.zremrangebyscore(
                TOLD, "-inf", now_ms(looking.redis) - round(looking.hours * 3_600_000) - TOLD_SPARE_MS
            )
    return True


def _search(looking: Lookback, lease: Lease, job: Job, until: float) -> Job | None:
    """Searches on for one job; None: the pass is not through. Else the job as it is after the pass."""
    in_force = looking.bank()
    wanted = Sought.of(sought(looking.redis, job), in_force.bank.specs, in_force.versions)
    if wanted.size:
        for step in scan(looking.store, files_left(looking.store, job), wanted, job):
            lease.check()
            if _note(looking, lease, step.job, step.found, wanted):
                raise_found(looking, until=until)
            if monotonic() >= until:
                return None
    through = replace(job, last_pass=True, done_ms=None, done_name="")
    _note(looking, lease, through, (), wanted)
    return through


def _note(looking: Lookback, lease: Lease, job: Job, found: Sequence[Found], wanted: Sought) -> int:
    """Writes down how far the job has come and what was found; gives how many hits are new."""
    groups = [_group(members, wanted) for members in _by_watch(found)]
    new = int(
        run_script(
            looking.redis,
            "lookback_found",
            keys=[LEASE, JOBS, TOLD, FOUND],
            args=[lease.token, job.id, job_record(job), now_ms(looking.redis), json.dumps(groups)],
        )
    )
    if new < 0:
        raise LeaseLostError(f"{LEASE}: another process looks back now")
    if new:
        _log.info("looking back found %d pictures of %d streams that new hashes match", new, len(groups))
    return new


def _by_watch(found: Iterable[Found]) -> list[list[Found]]:
    """What belongs to one watch of one stream, by time of capture."""
    watches: dict[tuple[str, int], list[Found]] = {}
    for one in sorted(found, key=lambda one: (one.row["capture_ms"], one.distance)):
        watches.setdefault((one.row["stream_id"], one.row["generation"]), []).append(one)
    return list(watches.values())


def _group(members: Sequence[Found], wanted: Sought) -> dict[str, Any]:
    """What was found on one stream, as `lookback_found.lua` writes it down."""
    first = members[0].row
    hits = []
    for member in members:
        row, match = member.row, wanted.match(member)
        hits.append(
            {
                "id": derived_id(row["stream_id"], row["segment_key"], row["capture_ms"], match.list, match.entry),
                "text": json.dumps({"row": _plain(row), "match": match_record(match)}),
            }
        )
    name = derived_id(*(hit["id"] for hit in hits))[:12]
    segment = f"{first['segment_key']}~{name}"
    record = SegmentRecord(
        key=segment,
        generation=first["generation"],
        epoch=0,
        sequence=0,
        url="",
        duration_ms=0,
        capture_ms=first["capture_ms"],
        admitted_ms=first["capture_ms"],
    )
    facts = {"generation": first["generation"], "models": dict(first["model_versions"] or ())}
    return {
        "name": name,
        "stream": first["stream_id"],
        "segment": segment,
        "record": record.to_json(),
        "facts": json.dumps(facts),
        "hits": hits,
    }


def _plain(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "pdq"}


def raise_found(looking: Lookback, *, until: float) -> None:
    """Raises what was found and is written down, as far as there is time."""
    if not looking.redis.exists(FOUND):
        return
    in_force = looking.bank()
    for name, text in looking.redis.hscan_iter(FOUND, count=100):
        if monotonic() >= until:
            return
        group = json.loads(str(text))
        try:
            _raise(looking, in_force, group)
        except StoreError:
            raise
        except LivewardenError as error:
            # Trying again would end the same way, and keep all others waiting for ever.
            _log.error("what looking back found cannot be raised: %s", error)
        looking.redis.hdel(FOUND, str(name))


def _raise(looking: Lookback, in_force: InForce, group: Mapping[str, Any]) -> None:
    facts = json.loads(group["facts"])
    seen: dict[tuple[str, int], tuple[Row, list[ListMatch]]] = {}
    for text in group["hits"]:
        hit = json.loads(text)
        row = hit["row"]
        _, matches = seen.setdefault((row["segment_key"], row["capture_ms"]), (row, []))
        matches.append(ListMatch(**{**hit["match"], "tags": tuple(hit["match"]["tags"])}))
    rows = [row for row, _ in seen.values()]
    stream = stream_facts_of(rows[0])
    now = now_ms(looking.redis)
    hits = [
        hit
        for row, matches in seen.values()
        for hit in _new_hits(looking.policy, stream, sample_facts_of(row), tuple(matches), now_ms=now)
    ]
    settle(
        looking.redis,
        occasion=Occasion(
            stream=stream,
            generation=facts["generation"],
            segment_key=group["segment"],
            deployment=looking.deployment,
            versions=Versions(policy=looking.policy.version, lists=in_force.versions, models=facts["models"]),
            looks_back=True,
        ),
        hits=hits,
        policy=looking.policy,
        coverage_increments={},
        stream_fields={},
    )


def _new_hits(
    policy: Policy, stream: StreamFacts, sample: SampleFacts, matches: tuple[ListMatch, ...], *, now_ms: int
) -> list[Hit]:
    """The hits that are due to the new `matches` of a picture: of rules that did not hold without them, and of those
    that hold for them alone, for then a person may have decided without knowing of them."""

    def holding(*of: ListMatch) -> dict[str, Hit]:
        evaluation = evaluate(policy, stream, replace(sample, matches=of), now_ms=now_ms)
        return {hit.rule: hit for hit in evaluation.hits}

    allowed = tuple(match for match in sample.matches if match.list == ALLOW)
    now, before = holding(*sample.matches, *matches), holding(*sample.matches)
    alone, without = holding(*allowed, *matches), holding(*allowed)
    due = (now.keys() - before.keys()) | (alone.keys() - without.keys())
    return [hit for rule, hit in now.items() if rule in due]
