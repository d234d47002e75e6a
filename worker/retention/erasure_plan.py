"""Decides whether a stream's data may be erased, and finds its incidents. Nothing is changed here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from redis import Redis

from config.policy.retention import DAY_MS, REPORTED_OUTCOMES, Retention
from worker.ingest.registry.registry import is_over, stream_key
from worker.retention.due import with_evidence
from worker.retention.standing import KeptIncident, read_kept
from worker.store import redis_keys
from worker.store.redis_client import now_ms, store_errors

_SCANNED: Final = 1_000
MOST_NAMED: Final = 5
"""Incidents that a refusal names."""


@dataclass(frozen=True, kw_only=True)
class ErasurePlan:
    """A stream's incidents, and what keeps its data from being erased."""

    stream_id: str
    known: bool
    """The registry has it, or an incident."""
    watched: bool
    incidents: tuple[KeptIncident, ...]
    obstacles: tuple[str, ...]
    """Each an incident or report, and why; empty: it may be erased."""


def plan_erasure(redis: Redis, stream_id: str, retention: Retention) -> ErasurePlan:
    """Reads all that there is of a stream's incidents; it takes a second for each 100,000 keys of Redis.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        state, now = redis.hget(stream_key(stream_id), "state"), now_ms(redis)
    found = tuple(_incidents(redis, stream_id))
    return ErasurePlan(
        stream_id=stream_id,
        known=state is not None or bool(found),
        watched=state is not None and not is_over(str(state)),
        incidents=tuple(kept for kept, _ in found),
        obstacles=tuple(
            f"incident {kept.incident_id}: {why}"
            for kept, canary in found
            if (why := _obstacle(kept, retention, now, canary=canary))
        ),
    )


def _obstacle(kept: KeptIncident, retention: Retention, now: int, *, canary: bool) -> str:
    """The reason why an incident's data stays; empty: it may go."""
    if kept.holds:
        return "it is on hold"
    for report in kept.reports:
        _, reference_days = retention.report_days(report.authority)
        if report.recorded_ms + reference_days * DAY_MS > now:
            return f"it was reported to {report.authority or 'an authority'}, and the report's term runs"
    outcome = kept.fields.get("outcome", "")
    if not kept.fields:
        return "its record is lost, and nobody knows what was decided" if not kept.terms(retention).is_over(now) else ""
    if not outcome and not canary:  # no person decides on a canary's
        return "nobody has decided on it"
    if outcome in REPORTED_OUTCOMES and not kept.reports:
        return f"it was decided as {outcome}, and no report is recorded"
    return ""


def _incidents(redis: Redis, stream_id: str) -> Iterator[tuple[KeptIncident, bool]]:
    """The stream's own incidents, each with whether it is a canary's; those of groups of streams. Also evidence of it
    whose incident's record is lost."""
    seen: set[str] = set()
    for ids in _records(redis):
        with store_errors(), redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hmget(redis_keys.INCIDENT.of(one), ["stream_id", "kept_under", "purpose"])
            found = pipe.execute(raise_on_error=False)
        own = [
            one
            for one, row in zip(ids, found, strict=True)
            if isinstance(row, list) and row[0] == stream_id and row[1] is None and one not in seen
        ]
        canaries = {one for one, row in zip(ids, found, strict=True) if isinstance(row, list) and row[2] == "canary"}
        seen.update(own)
        for kept in read_kept(redis, own):
            yield kept, kept.incident_id in canaries
    for ids in with_evidence(redis):
        for kept in read_kept(redis, [one for one in ids if one not in seen]):
            if not kept.fields and kept.stream_id == stream_id:
                seen.add(kept.incident_id)
                yield kept, False


def _records(redis: Redis) -> Iterator[Sequence[str]]:
    key, cursor = redis_keys.INCIDENT, 0
    while True:
        with store_errors():
            cursor, names = redis.scan(cursor, match=f"{key.prefix}*", count=_SCANNED, _type="hash")
        yield [str(name).removeprefix(key.prefix) for name in names if redis_keys.key_of(str(name)) is key]
        if cursor == 0:
            return
