"""Earlier decisions on a stream, for the person who decides next."""

from collections.abc import Iterable

from redis import Redis

from worker.incidents.event_data import EarlierDecision
from worker.incidents.keys import incident_key, named_key
from worker.incidents.rule_state import MAX_RECENT, RuleState
from worker.incidents.store import read_groups
from worker.store.redis_client import store_errors

_FIELDS = ("rule", "outcome", "decided_by", "decided_ms")
_LONGEST_TEXT = 100
_LATEST_MS = 10**14
"""Thousands of years from now: later times (>=) are damaged."""


def earlier_decisions(
    redis: Redis, stream_id: str, purpose: str, states: Iterable[RuleState]
) -> tuple[EarlierDecision, ...]:
    """The latest `MAX_RECENT` decisions, as they stand now, the last first.

    Takes up to three round trips, so call it only where there is an event to publish.

    Args:
        states: of the stream's rules.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        ids = [*_decided(states), *_of_groups(redis, stream_id, purpose)]
        if not ids:
            return ()
        with redis.pipeline(transaction=False) as pipe:
            for incident_id in ids:
                pipe.hmget(incident_key(incident_id), _FIELDS)
            records = pipe.execute(raise_on_error=False)
    found = [_read(incident_id, record) for incident_id, record in zip(ids, records, strict=True)]
    known = sorted((one for one in found if one is not None), key=lambda one: (-one.decided_ms, one.incident_id))
    return tuple(known[:MAX_RECENT])


def _decided(states: Iterable[RuleState]) -> list[str]:
    """Ids of decided incidents, each once."""
    decided = (state.decided for state in states if state.decided is not None)
    return list(dict.fromkeys(one for each in decided for one in each.recent or each.incidents if one))


def _of_groups(redis: Redis, stream_id: str, purpose: str) -> list[str]:
    """Ids of decided incidents of groups that the stream was in."""
    ids = _decided(read_groups(redis, purpose).rules.values())
    if not ids:
        return []
    with redis.pipeline(transaction=False) as pipe:
        for incident_id in ids:
            pipe.zscore(named_key(incident_id), stream_id)
        joined = pipe.execute()
    return [incident_id for incident_id, score in zip(ids, joined, strict=True) if score is not None]


def _read(incident_id: str, record: object) -> EarlierDecision | None:
    """Reads a decision; None: it is gone, or damaged."""
    if not isinstance(record, list) or not all(record):
        return None
    rule, outcome, by, decided = (str(value)[:_LONGEST_TEXT] for value in record)
    decided_ms = int(decided) if decided.isdecimal() else _LATEST_MS
    if decided_ms >= _LATEST_MS:
        return None
    return EarlierDecision(incident_id=incident_id, rule=rule, outcome=outcome, decided_ms=decided_ms, by=by)
