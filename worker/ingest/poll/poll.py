"""The poll: reads the playlists of a batch of streams and admits their new segments.

The streams of a batch are independent. Each one's poll is a generator (`worker.ingest.poll.stream_poll`) that yields
fetches and is sent their results; the batch runs all of them concurrently, and each continues when its own response is
there. So a slow origin does not delay the others, and an exception is a failed poll of one stream.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from worker.errors import FetchError, OutOfTimeError
from worker.ingest.http.fetch import Fetched, Fetcher, FetchRequest, FetchRound
from worker.ingest.poll.due import (
    ENDS_ITS_PROCESS,
    POLL_LEASE_MS,
    DuePoll,
    note_error,
    offer,
    release,
    renew,
    take_due,
)
from worker.ingest.poll.stream_poll import Fetching, NoteMissed, SendSegment, StreamPolls
from worker.ingest.registry.registry import DUE_SLOW
from worker.logs.exception_place import place_of
from worker.logs.failure_log import FailureLog
from worker.store.redis_client import drop_idle_connections

_log = logging.getLogger(__name__)
_failure_log = FailureLog(_log)

BATCH_STREAMS = 50
"""Polled concurrently by one task, with as many concurrent fetches."""

BUDGET_SECONDS = 12.0
"""For all fetches of a batch, so that it ends before a task's soft time limit (16 s). Two fetches of a slow poll, a
master playlist and a rendition, fit with their full timeout; a HEAD request that compares validators after them may not
fit, and is then given up: the playlist is admitted without the comparison."""

_TAKE_EVERY_SECONDS = 1.0
"""While a batch waits for slow origins it takes other due streams: the process has nothing else to do, and no other
process need wait with it."""

_RENEW_EVERY_SECONDS = POLL_LEASE_MS / 4 / 1000
"""Renewals come between the steps of polls, some 30 ms each, and between the messages that a step sends."""

_TAKE_LEAST_SECONDS = 1.0
"""Least rest of the budget with which more streams are taken. Those not done at its end are due again immediately."""


@dataclass(frozen=True, kw_only=True)
class PollFailure:
    """A poll that ended by an unexpected error."""

    stream_id: str
    error: str
    """Name of the exception's type, or `worker_lost`: the poll's process ended."""
    place: str
    """File, line and function that raised it; no text of the exception, which may quote what a stream sent."""


Report = Callable[[PollFailure], None]


def poll_due(
    redis: Redis,
    fetcher: Fetcher,
    *,
    height_pixels: int,
    send: SendSegment,
    report: Report = lambda _: None,
    slow: bool = False,
    deployment: str = "local",
    risk: RiskSettings = DEFAULT_RISK,
    note_missed: NoteMissed = lambda _, __: None,
    budget_seconds: float = BUDGET_SECONDS,
) -> int:
    """Polls one batch of the due streams; returns their number.

    The outcome of a poll is written before a message about it is sent; a poll that was overtaken writes nothing.

    Args:
        report: called with each poll that ended by an unexpected error, after all others are admitted.
        slow: polls streams whose playlists take long, with the full timeout; an ordinary poll hands them over.
        deployment: in the `source` of events.
        risk: of the policy in force: by it segments are sent.
        note_missed: called with the time of a stream that was missed before its new segments; it raises nothing.
        budget_seconds: for all fetches of the batch.
    """
    failures: list[PollFailure] = []
    with fetcher.begin_round(most=BATCH_STREAMS) as fetches:
        polls = StreamPolls(
            redis=redis,
            height_pixels=height_pixels,
            send=send,
            slow=slow,
            deployment=deployment,
            risk=risk,
            note_missed=note_missed,
        )
        batch = _Batch(polls, fetches, failures, budget_seconds)
        polled = batch.run()
    for failure in failures:
        try:
            report(failure)
        except Exception as error:  # the streams were polled all the same
            _log.warning("stream %s: its failure was not reported: %s", failure.stream_id, type(error).__name__)
    return polled


@dataclass
class _Underway:
    taken: DuePoll
    poll: Fetching
    request: FetchRequest


class _Batch:
    """Streams that one task polls concurrently."""

    def __init__(
        self, polls: StreamPolls, fetches: FetchRound, failures: list[PollFailure], budget_seconds: float
    ) -> None:
        self._polls = replace(polls, send=self._send)
        self._send_segment = polls.send
        self._slow = polls.slow
        self._redis = polls.redis
        self._fetches = fetches
        self._failures = failures
        self._budget_seconds = budget_seconds
        self._waiting: list[DuePoll] = []
        """Taken and not begun."""
        self._underway: dict[str, _Underway] = {}
        self._polled = 0
        self._renew_at = monotonic() + _RENEW_EVERY_SECONDS

    def run(self) -> int:
        """Polls until all is done or the budget is used up; streams not reached are due again immediately.

        Raises:
            OutOfTimeError: the task's time limit struck.
        """
        try:
            self._run()
        except OutOfTimeError:
            drop_idle_connections(self._redis)
            self._give_back()
            raise
        except RedisError:
            # No process was lost: else streams would count as ending theirs wherever Redis is full for some seconds.
            with suppress(RedisError):
                self._give_back()
            raise
        self._give_back()
        return self._polled

    def _give_back(self) -> None:
        if not self._slow:
            offer(self._redis, 0)
        release(self._redis, self._held())

    def _held(self) -> list[DuePoll]:
        return [*self._waiting, *(one.taken for one in self._underway.values())]

    def _run(self) -> None:
        until = monotonic() + self._budget_seconds
        take_at = monotonic()
        while True:
            # First: after a stall the batch would take its own streams again.
            self._renew()
            now = monotonic()
            if now >= take_at and until - now >= _TAKE_LEAST_SECONDS:
                # A slow poll takes once: slow segments share its process.
                take_at = until if self._slow else now + _TAKE_EVERY_SECONDS
                self._take(BATCH_STREAMS - len(self._underway))
            if not self._underway:
                return
            if now >= until:
                self._give_up_comparing()
                return
            answered = self._fetches.answer(within_seconds=min(until - now, _RENEW_EVERY_SECONDS))
            if answered is not None and answered[0] in self._underway:
                self._go_on(*answered)

    def _take(self, most: int) -> None:
        if self._slow:
            self._waiting = take_due(self._redis, most, due=DUE_SLOW)
        elif most:
            self._waiting = take_due(self._redis, most)
            offer(self._redis, most - len(self._waiting), within_seconds=2 * _TAKE_EVERY_SECONDS)
        while self._waiting:
            self._renew()
            stream = self._waiting.pop(0)
            if stream.begun > ENDS_ITS_PROCESS:
                self._failures.append(PollFailure(stream_id=stream.stream_id, error="worker_lost", place="poll"))
            self._step(stream, self._polls.begin(stream), None)

    def _renew(self) -> None:
        now = monotonic()
        if now >= self._renew_at:
            self._renew_at = now + _RENEW_EVERY_SECONDS
            renew(self._redis, self._held())

    def _send(self, stream_id: str, segment_key: str, risk: float) -> None:
        # A first poll sends up to 64, each a wait for Redis's disk.
        self._renew()
        self._send_segment(stream_id, segment_key, risk)

    def _go_on(self, stream_id: str, answer: Fetched | Exception) -> None:
        underway = self._underway.pop(stream_id)
        self._step(underway.taken, underway.poll, answer)

    def _give_up_comparing(self) -> None:
        """Ends HEAD requests that compare validators: those polls have their playlist, and admit it."""
        for stream_id, underway in list(self._underway.items()):
            if underway.request.method == "HEAD":
                self._go_on(stream_id, FetchError(f"{stream_id}: the batch's time is over", "not_reached"))

    def _step(self, taken: DuePoll, poll: Fetching, answer: Fetched | Exception | None) -> None:
        """Runs a stream's poll up to its next fetch, or its end."""
        try:
            if answer is None:
                request = next(poll)
            elif isinstance(answer, Fetched | FetchError):
                request = poll.send(answer)
            else:
                request = poll.throw(answer)
        except StopIteration:
            self._polled += 1
            _failure_log.over(taken.stream_id, "stream %s: its polls work again", taken.stream_id)
        except (RedisConnectionError, RedisTimeoutError, OutOfMemoryError):
            self._waiting.append(taken)
            raise  # not one stream's failure; all of them are due again
        except OutOfTimeError as error:
            drop_idle_connections(self._redis)
            self._fail(taken, error)
            raise
        except Exception as error:
            self._fail(taken, error)
        else:
            self._underway[taken.stream_id] = _Underway(taken, poll, request)
            self._fetches.ask(taken.stream_id, request)

    def _fail(self, taken: DuePoll, error: BaseException) -> None:
        self._polled += 1
        failure = PollFailure(stream_id=taken.stream_id, error=type(error).__name__, place=place_of(error))
        text = "stream %s: its poll failed: %s in %s"
        _failure_log.met(failure.stream_id, text, failure.stream_id, failure.error, failure.place, reason=failure.error)
        self._failures.append(failure)
        try:
            note_error(self._redis, taken)
        except ResponseError:
            text = "stream %s: its record cannot be written; it is polled again after its lease"
            _failure_log.met(f"{taken.stream_id} record", text, taken.stream_id)
