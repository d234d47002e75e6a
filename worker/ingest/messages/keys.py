"""Redis keys of the intake; contents and lives are described in `worker.store.redis_keys`."""

from typing import Final

from worker.store import redis_keys

QUEUE: Final = "intake"

_PRIORITY_STEPS: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""Suffixes of kombu's lists, one for every third priority; the first is the most urgent."""


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
published_key: Final = redis_keys.INTAKE_PUBLISHED.of
