"""The poll: reads a batch of playlists and admits what is new in them."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from redis import Redis

from worker.errors import FetchError, PlaylistError
from worker.fetching.fetch import Fetched, Fetcher, FetchRequest
from worker.fetching.resource import Validators
from worker.polling.cursor import Cursor
from worker.polling.hls import MasterPlaylist, MediaPlaylist, choose_rendition
from worker.polling.playlist import MAX_PLAYLIST_BYTES, parse_playlist
from worker.polling.segments import FIRST_DEADLINE_MS, OVERDUE, SegmentRecord, pending_key
from worker.polling.slowpolls import SLOW_BATCH_STREAMS, due_after, hand_over, set_apart
from worker.polling.timeline import Advance, advance, doubts, failed_poll
from worker.redisdb import now_ms, run_script
from worker.streams.coverage import coverage_key, entry
from worker.streams.registry import DUE, DUE_SLOW, KEPT_AFTER_END_SECONDS, stream_key
from worker.streams.slowness import QUICK_PLAYLIST_SECONDS

_log = logging.getLogger(__name__)

BATCH_STREAMS = 50
"""Polled by one task; their playlists are fetched at once."""

POLL_LEASE_MS = 20_000
"""How long a batch is left to its worker: above what the fetches of one take at most (three rounds of 5 s)."""

PLAYLIST_TIMEOUT_SECONDS = 5.0
"""In a slow poll; elsewhere a playlist has `QUICK_PLAYLIST_SECONDS`."""

SOLE_RENDITION = "sole"
"""Rendition name of a stream without a master playlist."""

SendSegment = Callable[[str, str, float], None]
"""Sends the task of a segment: stream ID, segment key, the stream's risk prior."""


@dataclass(frozen=True, kw_only=True)
class DueStream:
    """A stream that is ours to poll until the lease is over."""

    stream_id: str
    token: str
    cursor: Cursor
    url: str
    media_url: str
    """The rendition chosen at an earlier poll; empty: `url` is to be read first."""
    risk_prior: float
    due: str
    """The due set to which it belongs from now on."""
    took_seconds: float = 0.0
    """The longest fetch of this poll."""


def validators_key(stream_id: str) -> str:
    """Hash: segment key to the validators that its bytes came with, for segments that may still be listed."""
    return f"lw:validators:{stream_id}"


def poll_due(redis: Redis, fetcher: Fetcher, *, height_pixels: int, send: SendSegment, slow: bool = False) -> int:
    """Polls one batch of the streams that are due; gives their number.

    What a poll found is written before a message about it is sent; a poll that somebody overtook writes nothing.

    Args:
        slow: polls those whose playlists take long, with their full time; an ordinary poll leaves them to it.
    """
    due = _take_due(redis, slow=slow)
    readings = _read_playlists(
        fetcher, due, height_pixels, PLAYLIST_TIMEOUT_SECONDS if slow else QUICK_PLAYLIST_SECONDS
    )
    for stream, (stream_read, playlist) in zip(due, readings, strict=True):
        timed_out = isinstance(playlist, FetchError) and playlist.reason == "timeout"
        if timed_out and not slow:
            hand_over(redis, stream.stream_id, stream.token)
            continue
        if slow:
            took_seconds = PLAYLIST_TIMEOUT_SECONDS if timed_out else stream_read.took_seconds
            stream_read = replace(stream_read, due=due_after(redis, stream.stream_id, took_seconds=took_seconds))
        admitted = _admit(redis, stream_read, _judge(redis, fetcher, stream_read, playlist))
        for record in admitted:
            send(stream.stream_id, record.key, stream.risk_prior)
    return len(due)


def _take_due(redis: Redis, *, slow: bool) -> list[DueStream]:
    if not slow:
        set_apart(redis)
    due, most = (DUE_SLOW, SLOW_BATCH_STREAMS) if slow else (DUE, BATCH_STREAMS)
    taken = run_script(redis, "take_due", keys=[due], args=[most, POLL_LEASE_MS, stream_key("")])
    return [
        DueStream(
            stream_id=stream_id,
            token=str(token),
            cursor=Cursor.from_json(cursor) if cursor else Cursor(generation=int(generation), rendition=SOLE_RENDITION),
            url=url,
            media_url=media_url,
            risk_prior=float(risk_prior),
            due=due,
        )
        for stream_id, token, generation, url, cursor, risk_prior, media_url in taken
    ]


_Reading = tuple[DueStream, MediaPlaylist | FetchError | PlaylistError]


def _read_playlists(
    fetcher: Fetcher, due: Sequence[DueStream], height_pixels: int, within_seconds: float
) -> list[_Reading]:
    """Each stream with its media playlist, or with why there is none; by way of the master playlist where needed."""
    first = _fetch_texts(fetcher, [stream.media_url or stream.url for stream in due], within_seconds)
    readings: list[_Reading] = []
    masters: list[tuple[int, str]] = []
    for index, (stream, fetched) in enumerate(zip(due, first, strict=True)):
        parsed = _parsed(fetched)
        stream = _timed(stream, fetched)
        if isinstance(parsed, MasterPlaylist):
            try:
                rendition = choose_rendition(parsed, height_pixels)
            except PlaylistError as error:
                readings.append((stream, error))
                continue
            masters.append((index, rendition.uri))
            cursor = stream.cursor.switched_to(rendition.name)
            # Replaced below; until then it reads as what it would be if the rendition could not be had.
            stream = replace(stream, cursor=cursor, media_url=rendition.uri)
            readings.append((stream, PlaylistError(f"{stream.stream_id}: expected a media playlist")))
        elif isinstance(parsed, MediaPlaylist):
            readings.append((stream, parsed))
        else:
            # A rendition's URL may have been signed for a while only: next time the master playlist is asked again.
            readings.append((replace(stream, media_url=""), parsed))
    media = _fetch_texts(fetcher, [uri for _, uri in masters], within_seconds)
    for (index, _), fetched in zip(masters, media, strict=True):
        stream, unread = readings[index]
        stream = _timed(stream, fetched)
        parsed = _parsed(fetched)
        if isinstance(parsed, MediaPlaylist):
            readings[index] = (stream, parsed)
        else:
            readings[index] = (replace(stream, media_url=""), unread if isinstance(parsed, MasterPlaylist) else parsed)
    return readings


def _timed(stream: DueStream, fetched: Fetched | FetchError) -> DueStream:
    if isinstance(fetched, FetchError):
        return stream
    return replace(stream, took_seconds=max(stream.took_seconds, fetched.seconds))


def _fetch_texts(fetcher: Fetcher, urls: Sequence[str], within_seconds: float) -> list[Fetched | FetchError]:
    return fetcher.fetch_many(
        [FetchRequest(url=url, max_bytes=MAX_PLAYLIST_BYTES, timeout_seconds=within_seconds) for url in urls]
    )


def _parsed(fetched: Fetched | FetchError) -> MediaPlaylist | MasterPlaylist | FetchError | PlaylistError:
    if isinstance(fetched, FetchError):
        return fetched
    try:
        return parse_playlist(fetched.body, fetched.url)
    except PlaylistError as error:
        return error


def _judge(
    redis: Redis, fetcher: Fetcher, stream: DueStream, playlist: MediaPlaylist | FetchError | PlaylistError
) -> Advance:
    now = now_ms(redis)
    if not isinstance(playlist, MediaPlaylist):
        _log.warning("stream %s: %s", stream.stream_id, playlist)
        return failed_poll(stream.cursor, now_ms=now, reason=playlist.reason)
    changed = _validators_changed(redis, fetcher, stream, playlist, now)
    return advance(stream.cursor, playlist, now_ms=now, validators_changed=changed)


def _validators_changed(
    redis: Redis, fetcher: Fetcher, stream: DueStream, playlist: MediaPlaylist, now: int
) -> bool | None:
    """Compares a segment that is still listed with what it was when it was fetched; None: nothing to tell by."""
    for doubt in doubts(stream.cursor, playlist, now_ms=now):
        stored = redis.hget(validators_key(stream.stream_id), doubt.key)
        if stored is None:
            continue
        try:
            head = fetcher.fetch_sync(
                doubt.segment.uri, max_bytes=0, timeout_seconds=PLAYLIST_TIMEOUT_SECONDS, method="HEAD"
            )
        except FetchError:
            return None
        return head.validators.differ_from(Validators(**json.loads(stored)))
    return None


def _admit(redis: Redis, stream: DueStream, step: Advance) -> list[SegmentRecord]:
    """Writes down what a poll found; gives the segments whose tasks are to be sent."""
    now = now_ms(redis)
    generation = step.cursor.generation
    records = [SegmentRecord.of(new, generation=generation, admitted_ms=now) for new in step.segments]
    increments: dict[str, int] = {"elapsed": step.elapsed_ms}
    for missed in step.missed:
        field = entry("missed", missed.reason)
        increments[field] = increments.get(field, 0) + missed.duration_ms
    written = run_script(
        redis,
        "admit",
        keys=[
            stream_key(stream.stream_id),
            stream.due,
            pending_key(stream.stream_id),
            OVERDUE,
            coverage_key(stream.stream_id),
            validators_key(stream.stream_id),
            DUE_SLOW,
        ],
        args=[
            stream.stream_id,
            stream.token,
            -1 if step.next_poll_in_ms is None else step.next_poll_in_ms,
            FIRST_DEADLINE_MS,
            KEPT_AFTER_END_SECONDS,
            json.dumps(
                {
                    "state": step.cursor.state,
                    "reason": step.cursor.reason,
                    "cursor": step.cursor.to_json(),
                    "media_url": stream.media_url,
                }
            ),
            json.dumps(_without_zeros(increments)),
            json.dumps({record.key: record.to_json() for record in records}),
            json.dumps(_unlisted(redis, stream.stream_id, step)),
        ],
    )
    return records if written else []


def _without_zeros(increments: Mapping[str, int]) -> dict[str, int]:
    return {field: ms for field, ms in increments.items() if ms}


def _unlisted(redis: Redis, stream_id: str, step: Advance) -> list[str]:
    """Segment keys whose validators are of no more use: no segment that the cursor remembers has them."""
    names = {seen.name for seen in step.cursor.seen}
    kept = [str(key) for key in redis.hkeys(validators_key(stream_id))]
    return [key for key in kept if key.rpartition(".")[2] not in names]


def keep_validators(redis: Redis, stream_id: str, segment_key: str, validators: Validators) -> None:
    """Remembers what a segment's bytes came with, for the polls to compare."""
    known = {name: value for name, value in vars(validators).items() if value is not None}
    if known:
        redis.hset(validators_key(stream_id), segment_key, json.dumps(known))
