"""Finds incidents by the beginning of their ids, as people type them."""

import re
from typing import Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.errors import QueueError
from worker.incidents.keys import ALIKE, ids_key, incident_key
from worker.store.redis_client import store_errors

ID_LENGTH: Final = 24
MOST_NAMED: Final = 5
"""Incidents that are named if a beginning stands for several: more would not make the choice easier."""


def find_incident(redis: Redis, given: str) -> str:
    """Returns the id of the incident that a person named by a complete id or its beginning.

    Reads only incidents that begin alike, decided ones too: if only one open incident begins so, another one may still
    be meant. A complete id is returned as it is, known or not.

    Raises:
        QueueError: the text is not a beginning of an id, or of no incident, or of several, which are named.
        StoreError: Redis failed.
    """
    beginning = given.strip().lower()
    if not re.fullmatch(f"[0-9a-f]{{{ALIKE},{ID_LENGTH}}}", beginning):
        raise QueueError(
            f"incident {given[:100]!r}: expected its id, or at least the first {ALIKE} characters of it (0-9, a-f)"
        )
    if len(beginning) == ID_LENGTH:
        return beginning
    with store_errors():
        alike = sorted(str(one) for one in redis.smembers(ids_key(beginning)))
        alike = [one for one in alike if one.startswith(beginning)]
        with redis.pipeline(transaction=False) as pipe:
            for one in alike:
                pipe.hmget(incident_key(one), ["stream_id", "rule", "outcome"])
            records = pipe.execute(raise_on_error=False)
    found = {
        one: record
        for one, record in zip(alike, records, strict=True)
        if not isinstance(record, ResponseError) and record[0] is not None
    }
    if not found:
        raise QueueError(
            f"no incident is known whose id begins with {beginning}: `livewarden queue list` shows open ones"
        )
    if len(found) > 1:
        named = "; ".join(_named(one, *record) for one, record in list(found.items())[:MOST_NAMED])
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise QueueError(f"{len(found)} incidents begin with {beginning}: {named}{more}: give more of the id")
    return next(iter(found))


def _named(incident_id: str, stream_id: str, rule: str | None, outcome: str | None) -> str:
    state = "open" if outcome is None else f"decided: {outcome}"
    return f"{incident_id} (stream {stream_id}, rule {rule}, {state})"
