"""The poll: reads a batch of playlists and admits what is new in them. Each stream of a batch stands for itself.

A stream's poll is a generator that asks for fetches and is given what came of them; the batch runs all of them at once,
and each goes on when its own answer is there. So a slow origin costs the others nothing, and whatever one stream
raises is its own failed poll.
"""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from time import monotonic

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.errors import FetchError, OutOfTimeError, PlaylistError
from worker.exceptionplace import place_of
from worker.fetching.fetch import Fetched, Fetcher, FetchRequest, FetchRound
from worker.polling.admission import admit, pending_now
from worker.polling.due import TRIED_KEPT_MS, DueStream, Taken, no_video_mark, note_error, offer, release, take_due
from worker.polling.excerpt import MAX_RENDITIONS, PARSED_ENTRIES
from worker.polling.hls import MasterPlaylist, MediaPlaylist, choose_rendition
from worker.polling.outcome import Advance
from worker.polling.playlist import MAX_PLAYLIST_BYTES, parse_playlist
from worker.polling.relating import doubts
from worker.polling.slowpolls import due_after, hand_over
from worker.polling.timeline import SEEN_SEGMENTS, advance, failed_poll
from worker.polling.validators import first_comparable
from worker.redisdb import drop_idle_connections, now_ms
from worker.streams.registry import DUE_NEW, DUE_SLOW
from worker.streams.slowness import QUICK_PLAYLIST_SECONDS

_log = logging.getLogger(__name__)

BATCH_STREAMS = 50
"""Polled at once by one task; their playlists are fetched at once."""

BUDGET_SECONDS = 12.0
"""For all fetches of a batch, so that it ends before a task's soft time limit (16 s). A master playlist and a rendition
that each take their whole time fit; a comparison that does not is given up, and the stream admitted."""

PLAYLIST_TIMEOUT_SECONDS = 5.0
"""In a slow poll; elsewhere each fetch of a poll has `QUICK_PLAYLIST_SECONDS`."""

_TAKE_EVERY_SECONDS = 1.0
"""While a batch waits for slow origins it takes other streams that are due: the process has nothing else to do, and no
other process has to wait with it."""

_TAKE_LEAST_SECONDS = 1.0
"""Of the budget, left for what is taken then. Who is not done by the end is due again at once."""

ENDS_ITS_PROCESS = 4
"""Polls of a stream in a row that never ended: by then it is polled alone."""

SendSegment = Callable[[str, str, float], None]
"""Sends the task of a segment: stream ID, segment key, the stream's risk prior."""

_Answer = Fetched | FetchError
_Fetching = Generator[FetchRequest, _Answer, None]


class _TookLongError(Exception):
    """A fetch took longer than an ordinary poll waits."""


@dataclass(frozen=True, kw_only=True)
class PollFailure:
    """A poll that something unexpected ended."""

    stream_id: str
    error: str
    """Name of the exception's type, or `worker_lost`: the poll's process ended."""
    place: str
    """File, line and function that raised it; no text of the exception, which may hold what a stream sent."""


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
) -> int:
    """Polls one batch of the streams that are due; gives their number.

    What a poll found is written before a message about it is sent; a poll that somebody overtook writes nothing.

    Args:
        report: is given polls that something unexpected ended, after all others are admitted.
        slow: polls those whose playlists take long, with their full time; an ordinary poll leaves them to it.
        deployment: in the `source` of events.
    """
    failures: list[PollFailure] = []
    with fetcher.begin_round(most=BATCH_STREAMS) as fetches:
        batch = _Batch(redis, fetches, height_pixels, send, failures, slow=slow, deployment=deployment)
        polled = batch.run()
    for failure in failures:
        try:
            report(failure)
        except Exception as error:  # of no use to the streams, which are polled
            _log.warning("stream %s: its failure was not reported: %s", failure.stream_id, type(error).__name__)
    return polled


@dataclass
class _Underway:
    taken: Taken
    poll: _Fetching
    request: FetchRequest


class _Batch:
    """Streams that are polled at once by one task."""

    def __init__(
        self,
        redis: Redis,
        fetches: FetchRound,
        height_pixels: int,
        send: SendSegment,
        failures: list[PollFailure],
        *,
        slow: bool,
        deployment: str,
    ) -> None:
        self._slow = slow
        self._deployment = deployment
        self._redis = redis
        self._fetches = fetches
        self._height_pixels = height_pixels
        self._send = send
        self._failures = failures
        self._waiting: list[Taken] = []
        """Taken, and not begun."""
        self._underway: dict[str, _Underway] = {}
        self._polled = 0

    def run(self) -> int:
        """Polls until all is done or the budget is used up; what was not reached is due again at once.

        Raises:
            OutOfTimeError: the task's time limit struck.
        """
        try:
            self._run()
        except OutOfTimeError:
            drop_idle_connections(self._redis)
            self._give_back()
            raise
        self._give_back()
        return self._polled

    def _give_back(self) -> None:
        if not self._slow:
            offer(self._redis, 0)
        release(self._redis, [*self._waiting, *(one.taken for one in self._underway.values())])

    def _run(self) -> None:
        until = monotonic() + BUDGET_SECONDS
        take_at = monotonic()
        while True:
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
            answered = self._fetches.answer(within_seconds=min(until - now, _TAKE_EVERY_SECONDS))
            if answered is not None and answered[0] in self._underway:
                self._go_on(*answered)

    def _take(self, most: int) -> None:
        if self._slow:
            self._waiting = take_due(self._redis, most, due=DUE_SLOW)
        elif most:
            self._waiting = take_due(self._redis, most)
            offer(self._redis, most - len(self._waiting), within_seconds=2 * _TAKE_EVERY_SECONDS)
        while self._waiting:
            stream = self._waiting.pop(0)
            if stream.begun > ENDS_ITS_PROCESS:
                self._failures.append(PollFailure(stream_id=stream.stream_id, error="worker_lost", place="poll"))
            self._step(stream, self._poll(stream), None)

    def _go_on(self, stream_id: str, answer: Fetched | Exception) -> None:
        underway = self._underway.pop(stream_id)
        self._step(underway.taken, underway.poll, answer)

    def _give_up_comparing(self) -> None:
        """What only waits for a comparison has its playlist: it is admitted."""
        for stream_id, underway in list(self._underway.items()):
            if underway.request.method == "HEAD":
                self._go_on(stream_id, FetchError(f"{stream_id}: the batch's time is over", "timeout"))

    def _step(self, taken: Taken, poll: _Fetching, answer: Fetched | Exception | None) -> None:
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
        except (RedisConnectionError, RedisTimeoutError, OutOfMemoryError):
            raise  # of no one stream; the leases bring all of them back
        except OutOfTimeError as error:
            drop_idle_connections(self._redis)
            self._fail(taken, error)
            raise
        except Exception as error:
            self._fail(taken, error)
        else:
            self._underway[taken.stream_id] = _Underway(taken, poll, request)
            self._fetches.ask(taken.stream_id, request)

    def _fail(self, taken: Taken, error: BaseException) -> None:
        self._polled += 1
        failure = PollFailure(stream_id=taken.stream_id, error=type(error).__name__, place=place_of(error))
        _log.warning("stream %s: its poll failed: %s in %s", failure.stream_id, failure.error, failure.place)
        self._failures.append(failure)
        try:
            note_error(self._redis, taken)
        except ResponseError:
            _log.warning("stream %s: its record cannot be written; it is polled again after its lease", taken.stream_id)

    def _poll(self, taken: Taken) -> _Fetching:
        """A stream's poll."""
        stream = _without_useless_rendition(DueStream.of(taken), now_ms(self._redis))
        try:
            yield from self._poll_parsed(stream)
        except _TookLongError:
            hand_over(self._redis, stream.stream_id, stream.token)

    def _poll_parsed(self, stream: DueStream) -> _Fetching:
        stream, playlist = yield from self._read(stream)
        now, pending = pending_now(self._redis, stream.stream_id)
        if isinstance(playlist, MediaPlaylist):
            changed = yield from self._compare(stream, playlist, now)
            # Again, for the comparison takes its time.
            now, pending = pending_now(self._redis, stream.stream_id) if changed is not None else (now, pending)
            step = advance(stream.cursor, playlist, now_ms=now, pending=pending, validators_changed=changed)
        else:
            _log.warning("stream %s: %s", stream.stream_id, playlist)
            step = failed_poll(stream.cursor, now_ms=now, reason=playlist.reason)
            if stream.cursor.last_read_ms is None:
                # Back into line: however many there are that nobody can read, the others keep their polls.
                stream = replace(stream, due=DUE_NEW)
        self._admit(stream, step, at_once=not isinstance(playlist, MediaPlaylist) or not playlist.ended)

    def _read(
        self, stream: DueStream
    ) -> Generator[FetchRequest, _Answer, tuple[DueStream, MediaPlaylist | FetchError | PlaylistError]]:
        """The stream's media playlist, or why there is none; by way of the master playlist where needed."""
        first = yield from self._fetch(stream.media_url or stream.url)
        stream = self._after(stream, first)
        parsed = _parsed(first, stream)
        if isinstance(parsed, MediaPlaylist):
            return stream, parsed
        # A rendition's URL may have been signed for a while only: next time the master playlist is asked again.
        unread = replace(stream, media_url="")
        if not isinstance(parsed, MasterPlaylist):
            return unread, parsed
        try:
            rendition = choose_rendition(parsed, self._height_pixels, tried=stream.tried)
        except PlaylistError as error:
            return unread, error
        second = yield from self._fetch(rendition.uri)
        stream, unread = self._after(stream, first, second), self._after(unread, first, second)
        media = _parsed(second, stream)
        if isinstance(media, MediaPlaylist):
            cursor = stream.cursor.switched_to(rendition.name)
            return replace(stream, cursor=cursor, media_url=rendition.uri), media
        if isinstance(media, MasterPlaylist):
            media = PlaylistError(f"{stream.stream_id}: expected a media playlist")
        return replace(unread, tried={**stream.tried, rendition.name: now_ms(self._redis)}), media

    def _compare(
        self, stream: DueStream, playlist: MediaPlaylist, now: int
    ) -> Generator[FetchRequest, _Answer, bool | None]:
        """Compares a segment that is still listed with what it was when it was fetched; None: nothing to tell by."""
        found = first_comparable(self._redis, stream.stream_id, doubts(stream.cursor, playlist, now_ms=now))
        if found is None:
            return None
        doubt, stored = found
        head = yield from self._fetch(doubt.segment.uri, head=True)
        return None if isinstance(head, FetchError) else head.validators.differ_from(stored)

    def _fetch(self, url: str, *, head: bool = False) -> Generator[FetchRequest, _Answer, _Answer]:
        """One fetch of a poll.

        Raises:
            _TookLongError: it took longer than an ordinary poll waits.
        """
        answer = yield _request(url, PLAYLIST_TIMEOUT_SECONDS if self._slow else QUICK_PLAYLIST_SECONDS, head=head)
        if isinstance(answer, FetchError) and answer.reason == "timeout" and not self._slow:
            raise _TookLongError
        return answer

    def _after(self, stream: DueStream, *answers: _Answer) -> DueStream:
        """The stream with the due set to which it belongs after these fetches."""
        if not self._slow:
            return stream
        took_seconds = max(
            one.seconds if isinstance(one, Fetched) else PLAYLIST_TIMEOUT_SECONDS * (one.reason == "timeout")
            for one in answers
        )
        return replace(stream, due=due_after(self._redis, stream.stream_id, took_seconds=took_seconds))

    def _admit(self, stream: DueStream, step: Advance, *, at_once: bool) -> None:
        records = admit(self._redis, stream, step, deployment=self._deployment)
        if step.first and at_once:
            # At the start of a watch what is shown now goes before what was shown.
            records = [*records[-1:], *records[:-1]]
        for record in records:
            self._send(stream.stream_id, record.key, stream.risk_prior)


def _without_useless_rendition(stream: DueStream, now: int) -> DueStream:
    """The next rendition is to be chosen where the one that is watched has no pictures."""
    newest = sorted(stream.tried.items(), key=lambda one: one[1])[-MAX_RENDITIONS:]
    tried = {name: at_ms for name, at_ms in newest if now - at_ms < TRIED_KEPT_MS}
    if stream.media_url and stream.no_video == no_video_mark(stream.cursor.generation, stream.cursor.rendition):
        return replace(stream, tried={**tried, stream.cursor.rendition: now}, media_url="")
    return replace(stream, tried=tried)


def _request(url: str, timeout_seconds: float, *, head: bool = False) -> FetchRequest:
    return FetchRequest(
        url=url,
        max_bytes=0 if head else MAX_PLAYLIST_BYTES,
        timeout_seconds=timeout_seconds,
        method="HEAD" if head else "GET",
    )


def _parsed(fetched: _Answer, stream: DueStream) -> MediaPlaylist | MasterPlaylist | FetchError | PlaylistError:
    if isinstance(fetched, FetchError):
        return fetched
    next_sequence = stream.cursor.next_sequence
    # From a recording also what tells that it is still the same one.
    begin_at = None if next_sequence is None else max(0, next_sequence - SEEN_SEGMENTS)
    try:
        return parse_playlist(fetched.body, fetched.url, most=PARSED_ENTRIES, from_sequence=begin_at)
    except PlaylistError as error:
        return error
