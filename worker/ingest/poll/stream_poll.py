"""The poll of one stream: a generator that asks for fetches, is given what came of them, and admits what is new.

Whoever runs it (`worker.ingest.poll.poll`) decides how long a fetch may take altogether, and what becomes of an error.
"""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from redis import Redis

from worker.errors import FetchError, PlaylistError
from worker.ingest.http.fetch import Fetched, FetchRequest
from worker.ingest.playlist.hls import MasterPlaylist, MediaPlaylist, choose_rendition
from worker.ingest.playlist.outcome import PollAdvance
from worker.ingest.playlist.parse_window import MAX_RENDITIONS, PARSED_ENTRIES
from worker.ingest.playlist.parsing import MAX_PLAYLIST_BYTES, parse_playlist
from worker.ingest.playlist.playlist_diff import doubts
from worker.ingest.playlist.timeline import SEEN_SEGMENTS, advance, failed_poll
from worker.ingest.poll.admission import admit, pending_now
from worker.ingest.poll.due import TRIED_KEPT_MS, DuePoll, DueStream, no_video_mark
from worker.ingest.poll.slow_polls import due_after, hand_over
from worker.ingest.poll.validators import first_comparable
from worker.ingest.registry.registry import DUE_NEW
from worker.ingest.registry.slow_streams import QUICK_PLAYLIST_SECONDS
from worker.store.redis_client import now_ms

_log = logging.getLogger(__name__)

PLAYLIST_TIMEOUT_SECONDS = 5.0
"""In a slow poll; elsewhere each fetch of a poll has `QUICK_PLAYLIST_SECONDS`."""

SendSegment = Callable[[str, str, float], None]
"""Sends the task of a segment: stream ID, segment key, the stream's risk prior."""

Answer = Fetched | FetchError
Fetching = Generator[FetchRequest, Answer, None]
"""A poll under way: it asks for a fetch, and goes on with what came of it."""


class _TookLongError(Exception):
    """A fetch took longer than an ordinary poll waits."""


@dataclass(frozen=True, kw_only=True)
class StreamPolls:
    """Polls of streams, each by itself."""

    redis: Redis
    height_pixels: int
    """Which rendition of a master playlist is watched: `choose_rendition`."""
    send: SendSegment
    slow: bool
    """Each fetch has its full time."""
    deployment: str

    def begin(self, taken: DuePoll) -> Fetching:
        """A stream's poll. What it found is written before a message about it is sent."""
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
            # Again, for the comparison takes its time.
            now, pending = pending_now(self.redis, stream.stream_id) if changed is not None else (now, pending)
            step = advance(stream.cursor, playlist, now_ms=now, pending=pending, validators_changed=changed)
        else:
            _log.debug("stream %s: %s", stream.stream_id, playlist)
            step = failed_poll(stream.cursor, now_ms=now, reason=playlist.reason)
            if stream.cursor.last_read_ms is None:
                # Back into line: however many there are that nobody can read, the others keep their polls.
                stream = replace(stream, due=DUE_NEW)
        waits_its_turn = isinstance(playlist, MediaPlaylist) and playlist.ended
        problem = "" if isinstance(playlist, MediaPlaylist) else str(playlist)
        self._admit(stream, step, at_once=not waits_its_turn, problem=problem)

    def _read(
        self, stream: DueStream
    ) -> Generator[FetchRequest, Answer, tuple[DueStream, MediaPlaylist | FetchError | PlaylistError]]:
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
            rendition = choose_rendition(parsed, self.height_pixels, tried=stream.tried)
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
        return replace(unread, tried={**stream.tried, rendition.name: now_ms(self.redis)}), media

    def _compare(
        self, stream: DueStream, playlist: MediaPlaylist, now: int
    ) -> Generator[FetchRequest, Answer, bool | None]:
        """Compares a segment that is still listed with what it was when it was fetched; None: nothing to tell by."""
        found = first_comparable(self.redis, stream.stream_id, doubts(stream.cursor, playlist, now_ms=now))
        if found is None:
            return None
        doubt, stored = found
        head = yield from self._fetch(doubt.segment.uri, head=True)
        return None if isinstance(head, FetchError) else head.validators.differ_from(stored)

    def _fetch(self, url: str, *, head: bool = False) -> Generator[FetchRequest, Answer, Answer]:
        """One fetch of a poll.

        Raises:
            _TookLongError: it took longer than an ordinary poll waits.
        """
        answer = yield _request(url, PLAYLIST_TIMEOUT_SECONDS if self.slow else QUICK_PLAYLIST_SECONDS, head=head)
        if isinstance(answer, FetchError) and answer.reason == "timeout" and not self.slow:
            raise _TookLongError
        return answer

    def _after(self, stream: DueStream, *answers: Answer) -> DueStream:
        """The stream with the due set to which it belongs after these fetches."""
        if not self.slow:
            return stream
        took_seconds = max(
            one.seconds if isinstance(one, Fetched) else PLAYLIST_TIMEOUT_SECONDS * (one.reason == "timeout")
            for one in answers
        )
        return replace(stream, due=due_after(self.redis, stream.stream_id, took_seconds=took_seconds))

    def _admit(self, stream: DueStream, step: PollAdvance, *, at_once: bool, problem: str) -> None:
        records = admit(self.redis, stream, step, deployment=self.deployment, problem=problem)
        if step.first and at_once:
            # At the start of a watch what is shown now goes before what was shown.
            records = [*records[-1:], *records[:-1]]
        for record in records:
            self.send(stream.stream_id, record.key, stream.risk_prior)


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


def _parsed(fetched: Answer, stream: DueStream) -> MediaPlaylist | MasterPlaylist | FetchError | PlaylistError:
    if isinstance(fetched, FetchError):
        return fetched
    next_sequence = stream.cursor.next_sequence
    # From a recording also what tells that it is still the same one.
    begin_at = None if next_sequence is None else max(0, next_sequence - SEEN_SEGMENTS)
    try:
        return parse_playlist(fetched.body, fetched.url, most=PARSED_ENTRIES, from_sequence=begin_at)
    except PlaylistError as error:
        return error
