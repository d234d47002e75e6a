"""Notes decisions with the streams that they are about, for the risk of these (`worker.ingest.registry.kept_risk`).

The stream of decisions is the truth: it is read behind them, so that a decision neither waits for this nor fails by it,
and a revision follows the decision that it changes.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from redis import Redis

from worker.incidents.events import EventType
from worker.incidents.keys import DECISIONS
from worker.ingest.registry.kept_risk import decided_field
from worker.store import redis_keys
from worker.store.reader_positions import beyond_the_end, entry_order
from worker.store.redis_client import run_script, store_errors

NOTED: Final = redis_keys.DECISIONS_NOTED.name
"""ID of the last entry that is noted."""

MOST_ENTRIES: Final = 200
"""Entries in one call; the next comes 2 s later. The first of a deployment begins with the oldest decision."""

PART_STREAMS: Final = 500
"""Streams of a group in one script: Redis does nothing else meanwhile."""

NEWEST_KEPT: Final = 4
"""Decisions of one outcome and purpose that a stream keeps: however many are made of another outcome, which a
broadcaster may provoke, none of these is forgotten."""

_NOTED_TYPES: Final = (EventType.DECISION_MADE, EventType.DECISION_REVISED)


def note_decisions(redis: Redis) -> int:
    """Notes the decisions made since the last call of any worker; returns how many. Noting one twice changes nothing,
    and an older one never replaces a newer one on the same incident.

    Raises:
        StoreError: Redis failed; the next call notes the rest.
    """
    with store_errors():
        position = str(redis.get(NOTED) or "0-0")
        if beyond_the_end(redis, {DECISIONS: position}):
            position = "0-0"
        entries: Any = redis.xrange(DECISIONS, min=f"({position}", count=MOST_ENTRIES)
        noted = 0
        for entry_id, fields in entries:
            with suppress(ValueError, KeyError, TypeError, AttributeError):  # foreign entries must not stop the rest
                noted += _note(redis, json.loads(fields["event"]), at_ms=entry_order(str(entry_id))[0])
        if entries:
            redis.set(NOTED, str(entries[-1][0]))
    return noted


def _note(redis: Redis, event: Mapping[str, Any], *, at_ms: int) -> bool:
    if event["type"] not in _NOTED_TYPES:
        return False
    data = event["data"]
    field = decided_field(str(data["purpose"]), str(data["incident_id"]))
    for part in _parts([str(one) for one in data.get("streams") or [data["stream_id"]]]):
        run_script(redis, "note_decided", keys=[], args=[field, str(data["outcome"]), at_ms, NEWEST_KEPT, *part])
    return True


def _parts(streams: list[str]) -> Iterator[list[str]]:
    for begin in range(0, len(streams), PART_STREAMS):
        yield streams[begin : begin + PART_STREAMS]
