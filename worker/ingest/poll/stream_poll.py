"""The poll of one stream: a generator that yields fetches, is sent their results, and admits new segments.

The batch that runs it (`worker.ingest.poll.poll`) limits the total time and handles errors.
"""

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from redis import Redis

from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from worker.errors import FetchError, PlaylistError
from worker.ingest.http.fetch import Fetched, FetchRequest
from worker.ingest.playlist.cursor import StreamState
from worker.ingest.playlist.hls import MasterPlaylist, MediaPlaylist, choose_rendition
from worker.ingest.playlist.outcome import Missed, PollAdvance
from worker.ingest.playlist.parse_window import MAX_RENDITIONS, PARSED_ENTRIES
from worker.ingest.playlist.parsing import MAX_PLAYLIST_BYTES, parse_playlist
from worker.ingest.playlist.playlist_diff import possible_restarts
from worker.ingest.playlist.timeline import SEEN_SEGMENTS, advance, failed_poll
from worker.ingest.poll.admission import admit, pending_now
from worker.ingest.poll.due import TRIED_KEPT_MS, DuePoll, DueStream, no_video_mark
from worker.ingest.poll.slow_polls import due_after, hand_over
from worker.ingest.poll.validators import first_comparable
from worker.ingest.registry.kept_risk import risk_of
from worker.ingest.registry.registry import DUE_NEW, stream_key
from worker.ingest.registry.slow_streams import QUICK_PLAYLIST_SECONDS
from worker.store.redis_client import now_ms

_log = logging.getLogger(__name__)

PLAYLIST_TIMEOUT_SECONDS = 5.0
"""Timeout of each fetch in a slow poll; in an ordinary one it is `QUICK_PLAYLIST_SECONDS`."""

SendSegment = Callable[[str, str, float], None]
"""Sends the task of a segment: stream ID, segment key, the stream's risk."""

NoteMissed = Callable[[DueStream, Sequence[Missed]], None]
"""Notes intervals of a stream that cannot be moderated, once the ledger has them."""

Answer = Fetched | FetchError
Fetching = Generator[FetchRequest, Answer, None]
"""A running poll: it yields a request and is sent the result."""


class _TookLongError(Exception):
    """A fetch, of a playlist or a HEAD, took longer than an ordinary poll waits."""


@dataclass(frozen=True, kw_only=True)
class StreamPolls:
    """Makes the polls of streams."""

    redis: Redis
    height_pixels: int
    """Preferred height of a rendition: see `choose_rendition`."""
    send: SendSegment
    slow: bool
    """Each fetch has the full `PLAYLIST_TIMEOUT_SECONDS`."""
    deployment: str
    risk: RiskSettings = DEFAULT_RISK
    """Risk section of the policy in force."""
    note_missed: NoteMissed = lambda _, __: None

    def begin(self, taken: DuePoll) -> Fetching:
        """The poll of a stream. Its outcome is written before a message about it is sent."""
        stream = _without_useless_rendition(DueStream.of(taken), now_ms(self.redis))
        try:
            yield from self._poll_parsed(stream)
        except _TookLongError:
            hand_over(self.redis, stream.stream_id, stream.token)

    def _poll_parsed(self, stream: DueStream) -> Fetching:
        stream, playlist = yield from self._read(stream)
        now, pending = pending_now(self.redis, stream.stream_id)
        if isinstance(playlist, MediaPlaylist):
            changed = yield from self._compare(stream, playlist, now)
            # Read again, since the comparison took time.
            now, pending = pending_now(self.redis, stream.stream_id) if changed is not None else (now, pending)
            step = advance(stream.cursor, playlist, now_ms=now, pending=pending, validators_changed=changed)
        else:
            _log.debug("stream %s: %s", stream.stream_id, playlist)
            step = failed_poll(stream.cursor, now_ms=now, reason=playlist.reason)
            if stream.cursor.last_read_ms is None:
                # Back into the set of new streams, so that unreadable ones, however many, take no polls from others.
                stream = replace(stream, due=DUE_NEW)
        recording = isinstance(playlist, MediaPlaylist) and playlist.ended
        problem = "" if isinstance(playlist, MediaPlaylist) else str(playlist)
        self._admit(stream, step, newest_first=not recording, problem=problem)

    def _read(
        self, stream: DueStream
    ) -> Generator[FetchRequest, Answer, tuple[DueStream, MediaPlaylist | FetchError | PlaylistError]]:
        """The stream's media playlist, through the master playlist where needed, or the error that prevents it."""
        first = yield from self._fetch(stream.media_url or stream.url)
        stream = self._after(stream, first)
        parsed = _parsed(first, stream)
        if isinstance(parsed, MediaPlaylist):
            return stream, parsed
        # A rendition's signed URL may have expired: the next poll requests the master playlist again.
        unread = replace(stream, media_url="")
        if not isinstance(parsed, MasterPlaylist):
            return unread, parsed
        try:
            rendition = choose_rendition(parsed, self.height_pixels, tried=stream.tried)
        except PlaylistError as error:
            return unread, error
        second = yield from self._fetch(rendition.uri)
        stream, unread = self._after(stream, first, second), self._after(unread, first, second)
        media = _parsed(second, stream)
        if isinstance(media, MediaPlaylist):
            cursor = stream.cursor.switched_to(rendition.name)
            others = tuple(video.identity for video in parsed.other_videos)
            return replace(stream, cursor=cursor, media_url=rendition.uri), replace(media, other_videos=others)
        if isinstance(media, MasterPlaylist):
            media = PlaylistError(f"{stream.stream_id}: expected a media playlist")
        return replace(unread, tried={**stream.tried, rendition.name: now_ms(self.redis)}), media

    def _compare(
        self, stream: DueStream, playlist: MediaPlaylist, now: int
    ) -> Generator[FetchRequest, Answer, bool | None]:
        """Compares the validators of a listed segment, by HEAD, with those it was fetched with: True if they differ;
        None: unknown."""
        found = first_comparable(self.redis, stream.stream_id, possible_restarts(stream.cursor, playlist, now_ms=now))
        if found is None:
            return None
        possible, stored = found
        head = yield from self._fetch(possible.segment.uri, head=True)
        return None if isinstance(head, FetchError) else head.validators.differ_from(stored)

    def _fetch(self, url: str, *, head: bool = False) -> Generator[FetchRequest, Answer, Answer]:
        """One fetch of a poll.

        Raises:
            _TookLongError: it took longer than an ordinary poll waits.
        """
        answer = yield FetchRequest(
            url=url,
            max_bytes=0 if head else MAX_PLAYLIST_BYTES,
            timeout_seconds=PLAYLIST_TIMEOUT_SECONDS if self.slow else QUICK_PLAYLIST_SECONDS,
            method="HEAD" if head else "GET",
        )
        if isinstance(answer, FetchError) and answer.reason == "timeout" and not self.slow:
            raise _TookLongError
        return answer

    def _after(self, stream: DueStream, *answers: Answer) -> DueStream:
        """The stream with its due set after these fetches."""
        if not self.slow:
            return stream
        took_seconds = max(
            one.seconds if isinstance(one, Fetched) else PLAYLIST_TIMEOUT_SECONDS * (one.reason == "timeout")
            for one in answers
        )
        return replace(stream, due=due_after(self.redis, stream.stream_id, took_seconds=took_seconds))

    def _admit(self, stream: DueStream, step: PollAdvance, *, newest_first: bool, problem: str) -> None:
        records = admit(self.redis, stream, step, deployment=self.deployment, problem=problem)
        if step.first and newest_first:
            # At the start of a watch the newest segment goes first: it is on air now.
            records = [*records[-1:], *records[:-1]]
        if step.missed and (records or self._has_ended(stream, step)):
            # Without a record this may be a poll that was overtaken, and wrote nothing.
            self.note_missed(stream, step.missed)
        risk = risk_of(self.redis, stream.stream_id, self.risk) if records else 0.0
        for record in records:
            self.send(stream.stream_id, record.key, risk)

    def _has_ended(self, stream: DueStream, step: PollAdvance) -> bool:
        """Returns whether a poll without segments ended the stream, whose timeline ends with what was missed before."""
        ended = StreamState.ENDED
        return step.cursor.state is ended and self.redis.hget(stream_key(stream.stream_id), "state") == ended


def _without_useless_rendition(stream: DueStream, now: int) -> DueStream:
    """The stream, set to choose the next rendition if the current one has no pictures."""
    newest = sorted(stream.tried.items(), key=lambda one: one[1])[-MAX_RENDITIONS:]
    tried = {name: at_ms for name, at_ms in newest if now - at_ms < TRIED_KEPT_MS}
    if stream.media_url and stream.no_video == no_video_mark(stream.cursor.generation, stream.cursor.rendition):
        return replace(stream, tried={**tried, stream.cursor.rendition: now}, media_url="")
    return replace(stream, tried=tried)


def _parsed(fetched: Answer, stream: DueStream) -> MediaPlaylist | MasterPlaylist | FetchError | PlaylistError:
    if isinstance(fetched, FetchError):
        return fetched
    next_sequence = stream.cursor.next_sequence
    # Of a recording also the segments seen before, by which it is recognized as the same one.
    begin_at = None if next_sequence is None else max(0, next_sequence - SEEN_SEGMENTS)
    try:
        return parse_playlist(fetched.body, fetched.url, most=PARSED_ENTRIES, from_sequence=begin_at)
    except PlaylistError as error:
        return error
