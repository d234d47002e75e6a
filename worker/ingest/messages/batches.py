"""Batches of messages: taken out of the queue under a lease, dropped once they are applied.

At least once: a batch stays in Redis until all of it is done, and is taken over when its reader's lease is over. One
batch at a time, whoever has it, so that an unwatch is never applied before the watch that was sent before it.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from redis import Redis

from worker.ingest.messages.envelope import MAX_MESSAGE_BYTES
from worker.ingest.messages.keys import CLAIM, COUNTS, LISTS, REST, TAKEN, UNPUBLISHED
from worker.store.redis_client import run_script

LEASE_SECONDS: Final = 5.0
"""How long a dead reader holds the others up. A batch takes some 30 ms, and its reader renews between two messages."""

MAX_MESSAGES: Final = 64
MAX_BYTES: Final = 512 * 1024
"""Of a batch: some ms of Redis's and this process's time."""
MIN_MESSAGES: Final = 8
MIN_BYTES: Final = MAX_MESSAGE_BYTES
"""What a less urgent list has of a batch at least, where the others are never empty."""

HEAD_BYTES: Final = 64
"""What is kept of a message that is too long."""

_TOO_LONG: Final = b"\0"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Messages that this reader has, for the time of its lease."""

    batch_id: str
    token: str
    """Of this reader's claim."""
    messages: tuple[bytes, ...]
    """In the order in which they are applied; those that were done before are left out."""
    first: int
    """Place of the first of `messages` in the batch as it was taken, from 0."""
    taken_ms: int
    """When it was taken out of the queue, in milliseconds of Redis's clock."""
    claims: int
    """How many readers have had it, from 1."""
    tries: int
    """How many have begun with the first of `messages`, from 1."""

    def call_token(self, place: int) -> str:
        """Names the message at that place of the batch, whoever reads it."""
        return f"{self.batch_id}:{place}"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at the queue gave."""

    batch: Batch | None
    """None: there is nothing to do, or another reader is at it."""
    unpublished: bool
    """Messages were refused of which no event has told yet."""


def claim(redis: Redis) -> Look:
    """Takes the next batch, or one whose reader is gone.

    Raises:
        RedisError: Redis failed.
    """
    token = secrets.token_hex(16)
    answer = run_script(
        redis,
        "intake_claim",
        keys=[CLAIM, TAKEN, REST, UNPUBLISHED, *LISTS],
        args=[
            token,
            _milliseconds(LEASE_SECONDS),
            MAX_MESSAGES,
            MAX_BYTES,
            MAX_MESSAGE_BYTES,
            HEAD_BYTES,
            MIN_MESSAGES,
            MIN_BYTES,
        ],
        as_bytes=True,
    )
    batch_id, _, taken_ms, claims, tries, first, unpublished, *messages = answer
    if not batch_id:
        return Look(batch=None, unpublished=bool(unpublished))
    batch = Batch(
        batch_id=batch_id.decode(),
        token=token,
        messages=tuple(messages),
        first=first,
        taken_ms=taken_ms,
        claims=claims,
        tries=tries,
    )
    return Look(batch=batch, unpublished=bool(unpublished))


def done(redis: Redis, batch: Batch, place: int, *, rest_seconds: float = 0.0) -> bool:
    """Drops what lies before `place` of the batch as it was taken, and renews the lease; gives whether this reader may
    go on with the rest of it.

    Args:
        rest_seconds: for which nobody takes another batch, once this one is done.

    Raises:
        RedisError: Redis failed; it may have been dropped.
    """
    return _drop(redis, batch, place, lease_seconds=LEASE_SECONDS, rest_seconds=rest_seconds)


def give_back(redis: Redis, batch: Batch, place: int) -> None:
    """Drops what lies before `place`, and lets another reader go on at once; that this one began is not held against
    the message at `place`.

    Raises:
        RedisError: Redis failed; then the lease will be over some time.
    """
    _drop(redis, batch, place, lease_seconds=0.0, rest_seconds=0.0)


def _drop(redis: Redis, batch: Batch, place: int, *, lease_seconds: float, rest_seconds: float) -> bool:
    return bool(
        run_script(
            redis,
            "intake_done",
            keys=[CLAIM, TAKEN, REST, COUNTS],
            args=[batch.batch_id, batch.token, place, _milliseconds(lease_seconds), _milliseconds(rest_seconds)],
        )
    )


def length_if_too_long(message: bytes) -> tuple[int, bytes] | None:
    """Of a message that was too long to be taken, its length in bytes and its first bytes; None for others."""
    if not message.startswith(_TOO_LONG):
        return None
    length, _, head = message[1:].partition(b" ")
    # Whoever writes a message of this form himself has one that is no JSON either.
    return (int(length) if length.isdigit() and len(length) < 12 else len(message)), head


def waiting(redis: Redis) -> int:
    """How many messages lie in the queue, those taken and not yet done among them."""
    with redis.pipeline(transaction=False) as pipe:
        for key in (*LISTS, TAKEN):
            pipe.llen(key)
        return sum(int(length) for length in pipe.execute())


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
