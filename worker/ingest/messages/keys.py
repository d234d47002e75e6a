"""Names in Redis of what comes in; what each holds, and for how long, is in `worker.store.redis_keys`.

intake, intake\\x06\\x163 …    lists: messages, as kombu writes them, by priority
lw:intake:claim             batch, token, until_ms, taken_ms, claims, tries, total: who has the batch
lw:intake:counts            read, refused:{reason} -> how many, ever
"""

from typing import Final

from worker.store import redis_keys

QUEUE: Final = "intake"

_PRIORITY_STEPS: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""kombu's Redis transport has a list for every third priority; the first is the most urgent."""


def lists_of(queue: str) -> tuple[str, ...]:
    """The lists of a queue."""
    return tuple(f"{queue}{step}" for step in _PRIORITY_STEPS)


LISTS: Final = lists_of(QUEUE)
CLAIM: Final = redis_keys.INTAKE_CLAIM.name
TAKEN: Final = redis_keys.INTAKE_TAKEN.name
REST: Final = redis_keys.INTAKE_REST.name
COUNTS: Final = redis_keys.INTAKE_COUNTS.name
REFUSED: Final = redis_keys.INTAKE_REFUSED.name
NEWEST: Final = redis_keys.INTAKE_NEWEST.name
UNPUBLISHED: Final = redis_keys.INTAKE_UNPUBLISHED.name


def published_key(reason: str) -> str:
    """There while the last event of that reason is new."""
    return redis_keys.INTAKE_PUBLISHED.of(reason)
