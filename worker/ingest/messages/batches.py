"""Batches of messages, taken from the queue under a lease and deleted once they are applied.

Delivery is at least once: a batch stays in Redis until all of it is done, and another reader takes it over when the
lease expires. There is one batch at a time in the deployment, so that an unwatch is never applied before an earlier
watch.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from redis import Redis

from worker.ingest.messages.envelope import MAX_MESSAGE_BYTES
from worker.ingest.messages.keys import CLAIM, COUNTS, LISTS, REST, TAKEN, UNPUBLISHED
from worker.store.redis_client import run_script

LEASE_SECONDS: Final = 5.0
"""Time for which a dead reader blocks the others. A batch takes some 30 ms, and its reader renews between two
messages."""

MAX_MESSAGES: Final = 64
MAX_BYTES: Final = 512 * 1024
"""Bounds of a batch: some ms of Redis's and this process's time."""
MIN_MESSAGES: Final = 8
MIN_BYTES: Final = MAX_MESSAGE_BYTES
"""Least share of a batch for a less urgent list while the others are never empty."""

READER_CHARACTERS: Final = 16
"""First characters of a claim's token, by which claims of one reader are known."""

HEAD_BYTES: Final = 64
"""First bytes that are kept of a message that is too long."""

_TOO_LONG: Final = b"\0"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Messages leased to this reader."""

    batch_id: str
    token: str
    """Identifies this reader's claim."""
    messages: tuple[bytes, ...]
    """In the order in which they are applied, without those already done."""
    first: int
    """Index of the first of `messages` in the batch as it was taken, from 0."""
    taken_ms: int
    """Time when it was taken from the queue, in milliseconds of Redis's clock."""
    claims: int
    """Number of readers that have had it, from 1."""
    tries: int
    """Number of readers that began with the first of `messages` and did not claim again, from 0: dead ones, if they do
    not come back. The first reader of a batch does not count."""

    def call_token(self, index: int) -> str:
        """Identifies the message at that index of the batch, the same for every reader."""
        return f"{self.batch_id}:{index}"


@dataclass(frozen=True, kw_only=True)
class BatchClaim:
    """The result of a claim."""

    batch: Batch | None
    """None: the queue is empty, or another reader has a batch."""
    unpublished: bool
    """There are refused messages that are not published yet."""


def new_reader() -> str:
    """A name for a reader that claims several batches, one after the other."""
    return secrets.token_hex(READER_CHARACTERS // 2)


def claim(redis: Redis, reader: str | None = None) -> BatchClaim:
    """Takes the next batch, or one whose reader died.

    Args:
        reader: its name; None: one that claims once.

    Raises:
        RedisError: Redis failed.
    """
    token = (reader or new_reader()) + secrets.token_hex(8)
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
            READER_CHARACTERS,
        ],
        as_bytes=True,
    )
    batch_id, _, taken_ms, claims, tries, first, unpublished, *messages = answer
    if not batch_id:
        return BatchClaim(batch=None, unpublished=bool(unpublished))
    batch = Batch(
        batch_id=batch_id.decode(),
        token=token,
        messages=tuple(messages),
        first=first,
        taken_ms=taken_ms,
        claims=claims,
        tries=tries,
    )
    return BatchClaim(batch=batch, unpublished=bool(unpublished))


def done(redis: Redis, batch: Batch, index: int, *, rest_seconds: float = 0.0) -> bool:
    """Deletes the messages before `index` of the batch, renews the lease, and notes that this reader begins with the
    message at `index`; returns whether it still has the rest.

    Args:
        rest_seconds: pause of all readers once this batch is done.

    Raises:
        RedisError: Redis failed; the messages may have been deleted.
    """
    return _drop(redis, batch, index, lease_seconds=LEASE_SECONDS, rest_seconds=rest_seconds)


def give_back(redis: Redis, batch: Batch, index: int) -> None:
    """Deletes the messages before `index`, and releases the rest immediately; that this reader began with the message
    at `index` does not count.

    Raises:
        RedisError: Redis failed; then the lease will expire.
    """
    _drop(redis, batch, index, lease_seconds=0.0, rest_seconds=0.0)


def _drop(redis: Redis, batch: Batch, index: int, *, lease_seconds: float, rest_seconds: float) -> bool:
    return bool(
        run_script(
            redis,
            "intake_done",
            keys=[CLAIM, TAKEN, REST, COUNTS],
            args=[batch.batch_id, batch.token, index, _milliseconds(lease_seconds), _milliseconds(rest_seconds)],
        )
    )


def length_if_too_long(message: bytes) -> tuple[int, bytes] | None:
    """The length in bytes and the first bytes of a message that was too long to be taken; None for others."""
    if not message.startswith(_TOO_LONG):
        return None
    length, _, head = message[1:].partition(b" ")
    # A message that a platform wrote in this form is no JSON, and is refused too.
    return (int(length) if length.isdigit() and len(length) < 12 else len(message)), head


def waiting(redis: Redis) -> int:
    """Number of messages in the queue, including those taken and not done."""
    with redis.pipeline(transaction=False) as pipe:
        for key in (*LISTS, TAKEN):
            pipe.llen(key)
        return sum(int(length) for length in pipe.execute())


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
