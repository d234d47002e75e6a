"""The end of a segment: incidents, escalations, ledger and the pending record, in one step that is on disk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from redis import Redis

from config.facts import Hit, ListedHash
from config.policy import Policy
from worker.errors import StoreError
from worker.events import Event, Occasion
from worker.groups import divert
from worker.incidents import Advance, advance, encode
from worker.incidentstore import MAX_ROUNDS, event_record, incident_record, read_incidents
from worker.queuekeys import incidents_key
from worker.redisdb import now_ms, run_script_to_disk, store_errors


class Settled(StrEnum):
    """What became of a segment."""

    SETTLED = "settled"
    """Written now."""
    ENDED = "ended"
    """It was not pending any more: somebody else has ended it, and nothing was written."""


@dataclass(frozen=True, kw_only=True)
class SettleResult:
    """What `settle` did."""

    outcome: Settled
    events: tuple[Event, ...] = ()
    """Published with it."""
    settled_ms: int | None = None
    """Redis's clock when it was decided; what is settled later on the stream has no earlier one. None: there was
    nothing to decide."""
    version: int = 0
    """Of the stream's incidents, that was decided on: tells the order within one millisecond."""
    silent: frozenset[ListedHash] = frozenset()
    """Hashes that raised nothing here, since they were in quarantine or flooded."""


def settle(
    redis: Redis,
    *,
    occasion: Occasion,
    hits: Sequence[Hit],
    policy: Policy,
    coverage_increments: Mapping[str, int],
    stream_fields: Mapping[str, str],
) -> SettleResult:
    """Ends a pending segment, once, whatever is redelivered or dies on the way.

    Decides optimistically: reads what is remembered of the stream, decides here, and writes by one script if nothing
    has changed meanwhile; else it reads again. When this returns, what it tells is on Redis's disk. Hits that rest on
    hashes in quarantine, or on those that flood, are only counted; in a flood the stream has joined a group's incident.

    Args:
        hits: as `policy.evaluate` gave them for the segment's samples; none for a segment that was skipped or failed.
        coverage_increments: field of `lw:coverage:{id}` to milliseconds or count.
        stream_fields: field of `lw:stream:{id}` to its new value.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; the segment may have been settled. Call again.
    """
    sifted = divert(redis, occasion=occasion, hits=hits, policy=policy)
    if not sifted.hits and not sifted.muted:
        outcome = _write(
            redis, occasion, None, Advance(rules={}, incidents=(), events=()), coverage_increments, stream_fields
        )
        return SettleResult(outcome=Settled(outcome))
    for _ in range(MAX_ROUNDS):
        with store_errors():
            state = read_incidents(redis, occasion.stream.stream_id)
            now = now_ms(redis)
        step = advance(state, occasion=occasion, hits=sifted.hits, now_ms=now, policy=policy, muted=sifted.muted)
        outcome = _write(redis, occasion, state.version, step, coverage_increments, stream_fields)
        if outcome != "clash":
            done = Settled(outcome)
            return SettleResult(
                outcome=done,
                events=step.events if done is Settled.SETTLED else (),
                settled_ms=now,
                version=state.version,
                silent=sifted.silent,
            )
    raise StoreError(
        f"stream {occasion.stream.stream_id}: incidents changed {MAX_ROUNDS} times while one was decided on"
    )


def _write(
    redis: Redis,
    occasion: Occasion,
    version: int | None,
    step: Advance,
    coverage_increments: Mapping[str, int],
    stream_fields: Mapping[str, str],
) -> str:
    stream_id = occasion.stream.stream_id
    answer = run_script_to_disk(
        redis,
        "settle",
        keys=[
            f"lw:pending:{stream_id}",
            "lw:overdue",
            incidents_key(stream_id),
            f"lw:coverage:{stream_id}",
            f"lw:stream:{stream_id}",
        ],
        args=[
            occasion.segment_key,
            f"{stream_id} {occasion.segment_key}",
            "" if version is None else version,
            json.dumps({name: encode(state) for name, state in step.rules.items()}),
            json.dumps([incident_record(stream_id, incident) for incident in step.incidents]),
            json.dumps([event_record(event) for event in step.events]),
            json.dumps({name: str(increment) for name, increment in coverage_increments.items()}),
            json.dumps(dict(stream_fields)),
        ],
    )
    return str(answer)
