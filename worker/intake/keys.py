"""Names in Redis of what comes in.

intake, intake\\x06\\x163 …    lists: messages, as kombu writes them, by priority
lw:intake:claim             hash: batch, token, until_ms, taken_ms, claims, tries, total: who has the batch
lw:intake:taken             list: the batch, in the order in which it is applied
lw:intake:rest              while it is there nobody takes a batch
lw:intake:counts            hash: read, refused:{reason} -> how many, ever
lw:intake:refused           list: JSON records of refused messages, the newest first
lw:intake:newest            hash: reason -> the newest of these
lw:intake:unpublished       hash: reason -> how many were refused since the last event
lw:intake:published:{reason} there while the last event is new
"""

from typing import Final

from worker import rediskeys

QUEUE: Final = "intake"

_PRIORITY_STEPS: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""kombu's Redis transport has a list for every third priority; the first is the most urgent."""


def lists_of(queue: str) -> tuple[str, ...]:
    """The lists of a queue."""
    return tuple(f"{queue}{step}" for step in _PRIORITY_STEPS)


LISTS: Final = lists_of(QUEUE)
CLAIM: Final = rediskeys.INTAKE_CLAIM.name
TAKEN: Final = rediskeys.INTAKE_TAKEN.name
REST: Final = rediskeys.INTAKE_REST.name
COUNTS: Final = rediskeys.INTAKE_COUNTS.name
REFUSED: Final = rediskeys.INTAKE_REFUSED.name
NEWEST: Final = rediskeys.INTAKE_NEWEST.name
UNPUBLISHED: Final = rediskeys.INTAKE_UNPUBLISHED.name


def published_key(reason: str) -> str:
    """There while the last event of that reason is new."""
    return rediskeys.INTAKE_PUBLISHED.of(reason)
