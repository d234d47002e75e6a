"""What became of verdicts, copied from the queue's streams into the store: what was raised, changed and decided.

The streams are the truth, whoever publishes on them; they are trimmed once everybody has read them. So one worker at a
time copies what is new, and notes how far it came when the file is there: an entry may be copied twice, and is told
apart by its event's id.
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
from worker.logs.failure_log import Troubles
from worker.store import redis_keys
from worker.store.age_clock import age_ms
from worker.store.lease import leased
from worker.store.object_store import ObjectStore
from worker.store.reader_positions import beyond_the_end, entry_order
from worker.store.redis_client import is_recent, now_ms, run_script, store_errors
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.outcome_rows import outcome_row
from worker.verdictlog.tables import OUTCOMES

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

POSITION: Final = redis_keys.OUTCOMES_POSITION.name
RECORDED: Final = redis_keys.OUTCOMES_RECORDED.name
LEASE: Final = redis_keys.OUTCOMES_LEASE.name

STREAMS: Final = (*ESCALATION_KEYS, DECISIONS, OPERATIONS)

RECORD_EVERY_MS: Final = 10_000
"""As often as a process writes its verdicts."""

SLICE_SECONDS: Final = 4.0
MOST_ENTRIES: Final = 2_000
"""Read from a stream at a time: some 5 MB."""

HELD_MS: Final = 3_600_000
"""How long entries that were not copied are kept from being trimmed: a store that is away must not fill Redis."""


def is_due(redis: Redis) -> bool:
    """Whether there is something to copy, it is time again, and nobody is at it."""
    with store_errors():
        with redis.pipeline(transaction=False) as pipe:
            pipe.exists(LEASE)
            pipe.get(RECORDED)
            pipe.time()
            held, recorded, (seconds, microseconds) = pipe.execute()
        if held or is_recent(recorded, int(seconds) * 1000 + int(microseconds) // 1000, RECORD_EVERY_MS):
            return False
        after: dict[Any, Any] = dict(_positions(redis))
        return bool(redis.xread(after, count=1))


def unrecorded_from(redis: Redis) -> dict[str, str]:
    """For each stream, the id from which on its entries must stay: they are not copied yet, and not too old."""
    with store_errors():
        positions = _positions(redis)
        oldest = (age_ms(redis) - HELD_MS, 0)
    held = {key: max(oldest, _next(position)) for key, position in positions.items()}
    return {key: f"{milliseconds}-{sequence}" for key, (milliseconds, sequence) in held.items()}


def _positions(redis: Redis) -> dict[str, str]:
    """Of each stream the last entry that is copied. One that lies beyond its stream begins anew: it may be copied
    twice."""
    found = {str(key): str(position) for key, position in redis.hgetall(POSITION).items()}
    lost = beyond_the_end(redis, found)
    return {key: "0-0" if key in lost else found.get(key, "0-0") for key in STREAMS}


def _next(entry_id: str) -> tuple[int, int]:
    milliseconds, sequence = entry_order(entry_id)
    return milliseconds, sequence + 1


def record_outcomes(redis: Redis, store: ObjectStore, *, seconds: float = SLICE_SECONDS) -> bool:
    """Copies what is new, unless another process is at it. True: there is more to do at once.

    Raises:
        StoreError: Redis failed; what was copied may be copied again.
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
        _trouble.met("outcomes", "what was raised and decided cannot be recorded: %s", error)
    except LeaseLostError as error:
        _log.warning("recording what was raised and decided: %s", error)
        return False
    else:
        _trouble.over("outcomes", "what was raised and decided is recorded again")
    with store_errors():
        _note(redis, recorded_ms=now_ms(redis))
    return False


def _copy(redis: Redis, store: ObjectStore) -> bool:
    """Writes one file of what is new; False: nothing was."""
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
