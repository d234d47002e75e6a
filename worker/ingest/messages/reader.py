"""Reads `intake`: a thread in each worker's main process, one of which has messages at a time.

It runs outside the pool, so that no segment waits for a message. Its cost is bounded: batches are, in messages and
bytes, and after each one all readers rest.
"""

import logging
import random
import threading
import time
from typing import Final

from redis import Redis
from redis.exceptions import DataError, RedisError, ResponseError

from config.settings import Settings
from worker.errors import IntakeError, StoreError
from worker.ingest.messages.batches import Batch, claim, done, give_back, length_if_too_long, new_reader
from worker.ingest.messages.calls import Receiver, make
from worker.ingest.messages.envelope import MAX_MESSAGE_BYTES, PlatformCall, UnmadeCallError, parse
from worker.ingest.messages.refusals import Refused, publish, refuse, refused_watch
from worker.logs.exception_place import place_of
from worker.logs.failure_log import FailureLog
from worker.logs.fields import fields
from worker.logs.rate_limit import LineLimit
from worker.processes.periodic import periodic

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

POLL_SECONDS: Final = (0.2, 0.4)
"""Random interval between two polls of an empty queue, so that workers do not poll in step: a platform's stream is
watched within a second."""

REST_BY_CPU: Final = 3.0
REST_BY_TIME: Final = 0.5
"""All readers rest for these multiples of the CPU and wall-clock time of a batch, whichever is longer: under any flood
they take a quarter of one core in total, and leave Redis's disk to others for a third of the time."""

A_LITTLE_SECONDS: Final = 0.005
"""Added to the rest, so that it is over at the next claim."""

RENEW_SECONDS: Final = 1.0
"""Age of the lease at which it is renewed between two messages."""

MAX_TRIES: Final = 3
"""Readers that may die with a message (>=), besides the first; then it is refused unread. One that loses Redis and
claims again, whatever batch, did not die."""

TROUBLE_SECONDS: Final = 1.0
"""Pause while Redis is away."""

LOGGED_PER_MINUTE: Final = 20
"""Log lines about refused messages, for each worker."""


def keep_reading(redis: Redis, settings: Settings, stopping: threading.Event) -> None:
    """Reads until `stopping` is set; the rest of its batch then goes to another reader."""
    periodic(
        MessageReader(redis, settings, stopping).read_batch,
        stopping,
        interval_seconds=POLL_SECONDS,
        troubles=_trouble,
        failing="intake is not read",
        well_again="intake is read again",
        rest_seconds=TROUBLE_SECONDS,
        immediately=True,
    )


class MessageReader:
    """Reads batch by batch."""

    def __init__(self, redis: Redis, settings: Settings, stopping: threading.Event) -> None:
        self._redis = redis
        self._settings = settings
        self._stopping = stopping
        self._lines = LineLimit(LOGGED_PER_MINUTE)
        self._name = new_reader()

    def read_batch(self) -> float:
        """Applies the next batch if there is one for this reader; returns the pause after it in seconds.

        Raises:
            RedisError, StoreError: Redis failed; the rest of the batch will be claimed again.
        """
        claimed = claim(self._redis, self._name)
        pause = random.uniform(*POLL_SECONDS)  # noqa: S311 - jitter, no secret
        if claimed.batch is not None:
            pause = self._apply(claimed.batch)
        if claimed.unpublished:
            publish(self._redis, deployment=self._settings.deployment)
        return pause

    def _apply(self, batch: Batch) -> float:
        """Applies the batch message by message, until it is done, another has it, or this process ends."""
        began = renewed = time.monotonic()
        cpu_began = time.thread_time()
        refused: dict[str, Refused] = {}
        index = batch.first
        try:
            for index, message in enumerate(batch.messages, batch.first):
                if self._stopping.is_set():
                    self._give_back(batch, index, refused)
                    return 0.0
                # A batch that had another reader may have killed it: then each message is deleted once it is applied,
                # and on record before it is read.
                renews = index > batch.first and time.monotonic() - renewed > RENEW_SECONDS
                if batch.claims > 1 or renews:
                    self._refuse(refused)
                    if not done(self._redis, batch, index):
                        return 0.0
                    renewed = time.monotonic()
                self._read(batch, index, message, refused)
        except (RedisError, StoreError, OSError):
            self._give_back(batch, index, refused)
            raise
        self._refuse(refused)
        rest = max(REST_BY_CPU * (time.thread_time() - cpu_began), REST_BY_TIME * (time.monotonic() - began))
        done(self._redis, batch, batch.first + len(batch.messages), rest_seconds=rest)
        return rest + A_LITTLE_SECONDS

    def _give_back(self, batch: Batch, index: int, refused: dict[str, Refused]) -> None:
        self._refuse(refused)
        give_back(self._redis, batch, index)

    def _read(self, batch: Batch, index: int, message: bytes, refused: dict[str, Refused]) -> None:
        """Applies one message, or puts it into `refused` under its token.

        Raises:
            RedisError, StoreError, OSError: Redis failed; the message may have been applied.
        """
        token = batch.call_token(index)
        size_bytes = len(message)
        call: PlatformCall | None = None
        try:
            if index == batch.first and batch.tries >= MAX_TRIES:
                raise IntakeError(f"{MAX_TRIES} readers ended while they read it", "internal")
            too_long = length_if_too_long(message)
            if too_long is not None:
                size_bytes, message = too_long
                raise IntakeError(f"{size_bytes} bytes: expected at most {MAX_MESSAGE_BYTES}", "too_large")
            call = parse(message, now_ms=batch.taken_ms)
            make(call, Receiver(redis=self._redis, settings=self._settings, token=token))
        except UnmadeCallError as error:
            refused[token] = self._refused(batch, token, message, error, size_bytes, error.call)
        except IntakeError as error:
            refused[token] = self._refused(batch, token, message, error, size_bytes, call)
        except Exception as error:
            if isinstance(error, OSError | StoreError) or _redis_failed(error):
                raise
            # Type and place only: its text may quote private data of the message.
            internal = IntakeError(f"{type(error).__name__} at {place_of(error)}", "internal")
            refused[token] = self._refused(batch, token, message, internal, size_bytes, call)

    def _refused(
        self, batch: Batch, token: str, message: bytes, error: IntakeError, size_bytes: int, call: PlatformCall | None
    ) -> Refused:
        event = refused_watch(call, error, token=token, deployment=self._settings.deployment, now_ms=batch.taken_ms)
        return Refused.of(message, error, call=call, size_bytes=size_bytes, at_ms=batch.taken_ms, event=event)

    def _refuse(self, refused: dict[str, Refused]) -> None:
        """Counts, keeps and logs the refused messages, and empties `refused`."""
        for one in refuse(self._redis, refused):
            left_out = self._lines.next(time.monotonic())
            if left_out is not None:
                name = one.shown.get("task", "").removeprefix("livewarden.") or "a message"
                stream = f" of {one.shown['stream_id']}" if "stream_id" in one.shown else ""
                before = f" (and {left_out} more were refused before)" if left_out else ""
                more = fields(task=name, stream_id=one.shown.get("stream_id"), reason=one.reason)
                _log.warning("%s%s refused: %s%s", name, stream, one.problem, before, extra=more)
        refused.clear()


def _redis_failed(error: Exception) -> bool:
    """Returns whether Redis failed. Other errors are about the request, and so about the message."""
    if not isinstance(error, ResponseError):
        return isinstance(error, RedisError) and not isinstance(error, DataError)
    # Such as OOM, MISCONF, READONLY, NOPERM, BUSY; redis-py removes ERR, and has its own classes for some of these.
    code = str(error).partition(" ")[0]
    return type(error) is not ResponseError or (code.isupper() and code != "WRONGTYPE")
