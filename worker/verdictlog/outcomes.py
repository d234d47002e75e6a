"""Outcomes of verdicts, copied from the queue's streams into the store: incidents raised, changed and decided.

The streams are authoritative, and are trimmed once every group has read them. So one worker at a time copies new
entries, and records its position when the file is there: an entry may be copied twice, and is recognised by its event's
id.
"""

import logging
from collections.abc import Mapping
from itertools import chain
from time import monotonic
from typing import Any, Final

import pyarrow as pa
from redis import Redis

from worker.errors import LeaseLostError, ObjectStoreError
from worker.events.operations import OPERATIONS
from worker.incidents.keys import DECISIONS, ESCALATION_KEYS
from worker.logs.failure_log import FailureLog
from worker.store import redis_keys
from worker.store.age_clock import age_ms
from worker.store.lease import leased
from worker.store.object_store import ObjectStore
from worker.store.reader_positions import beyond_the_end, entry_order
from worker.store.redis_client import is_recent, now_ms, run_script, store_errors, time_ms
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.outcome_rows import outcome_row
from worker.verdictlog.tables import OUTCOMES

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

POSITION: Final = redis_keys.OUTCOMES_POSITION.name
RECORDED: Final = redis_keys.OUTCOMES_RECORDED.name
LEASE: Final = redis_keys.OUTCOMES_LEASE.name

STREAMS: Final = (*ESCALATION_KEYS, DECISIONS, OPERATIONS)

RECORD_EVERY_MS: Final = 10_000
"""The interval in which a process writes its verdicts, too."""

SLICE_SECONDS: Final = 4.0
MOST_ENTRIES: Final = 2_000
"""Read from a stream at a time: some 5 MB."""

HELD_MS: Final = 3_600_000
"""The age up to which entries that were not copied are not trimmed: a store that is away must not fill Redis."""


def is_due(redis: Redis) -> bool:
    """Returns whether there are new entries, it is time again, and no process copies."""
    with store_errors():
        with redis.pipeline(transaction=False) as pipe:
            pipe.exists(LEASE)
            pipe.get(RECORDED)
            pipe.time()
            held, recorded, time = pipe.execute()
        if held or is_recent(recorded, time_ms(time), RECORD_EVERY_MS):
            return False
        after: dict[Any, Any] = dict(_positions(redis))
        return bool(redis.xread(after, count=1))


def unrecorded_from(redis: Redis) -> dict[str, str]:
    """Returns for each stream the id from which on (>=) its entries must stay: not copied yet, and not too old."""
    with store_errors():
        positions = _positions(redis)
        oldest = (age_ms(redis) - HELD_MS, 0)
    held = {key: max(oldest, _next(position)) for key, position in positions.items()}
    return {key: f"{milliseconds}-{sequence}" for key, (milliseconds, sequence) in held.items()}


def _positions(redis: Redis) -> dict[str, str]:
    """The last copied entry of each stream. A position beyond its stream begins anew: entries may be copied twice."""
    found = {str(key): str(position) for key, position in redis.hgetall(POSITION).items()}
    lost = beyond_the_end(redis, found)
    return {key: "0-0" if key in lost else found.get(key, "0-0") for key in STREAMS}


def _next(entry_id: str) -> tuple[int, int]:
    milliseconds, sequence = entry_order(entry_id)
    return milliseconds, sequence + 1


def record_outcomes(redis: Redis, store: ObjectStore, *, seconds: float = SLICE_SECONDS) -> bool:
    """Copies new entries, unless another process does. True: more is due immediately.

    Raises:
        StoreError: Redis failed; entries may be copied again.
    """
    until = monotonic() + seconds
    try:
        with leased(redis, LEASE) as lease:
            if lease is None:
                return False
            while _copy(redis, store):
                lease.check()
                if monotonic() >= until:
                    return True
    except ObjectStoreError as error:
        _trouble.met("outcomes", "outcomes of verdicts cannot be recorded: %s", error)
    except LeaseLostError as error:
        _log.warning("recording outcomes of verdicts: %s", error)
        return False
    else:
        _trouble.over("outcomes", "outcomes of verdicts are recorded again")
    with store_errors():
        _note(redis, recorded_ms=now_ms(redis))
    return False


def _copy(redis: Redis, store: ObjectStore) -> bool:
    """Writes one file of new entries; False: there are none."""
    with store_errors():
        positions = _positions(redis)
        now = now_ms(redis)
        read: dict[str, Any] = {
            key: redis.xrange(key, min=f"({position}", count=MOST_ENTRIES) for key, position in positions.items()
        }
    found = {key: entries for key, entries in read.items() if entries}
    if not found:
        return False
    rows = [
        row
        for entries in found.values()
        for _, fields in entries
        if (row := outcome_row(str((fields or {}).get("event", "")))) is not None
    ]
    if rows:
        write_table(store, pa.Table.from_pylist(rows, schema=OUTCOMES.schema), written_ms=now, of=OUTCOMES)
    with store_errors():
        _note(redis, positions={key: str(entries[-1][0]) for key, entries in found.items()})
    return True


def _note(redis: Redis, *, recorded_ms: int | None = None, positions: Mapping[str, str] | None = None) -> None:
    args = ["" if recorded_ms is None else recorded_ms, *chain.from_iterable((positions or {}).items())]
    run_script(redis, "outcomes_copied", keys=[POSITION, RECORDED], args=args)
