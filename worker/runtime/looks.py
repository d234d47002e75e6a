"""Looks at streams: a worker takes a person's request, fetches the newest segment, and seals its last picture.

A thread of each worker's main process waits for requests and sends a task to the urgent queue: people's clients may
write requests, and no tasks.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import OutOfMemoryError

from sampler.errors import SamplerError
from worker.errors import EvidenceError, FetchError, PlaylistError, StoreError
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.hls import MasterPlaylist, MediaPlaylist, Segment, choose_rendition
from worker.ingest.playlist.parse_window import PARSED_ENTRIES
from worker.ingest.playlist.parsing import MAX_PLAYLIST_BYTES, parse_playlist
from worker.ingest.registry.registry import is_over, stream_key
from worker.logs.failure_log import FailureLog
from worker.moderation.newest_picture import PictureRequest, newest_picture
from worker.processes.periodic import periodic
from worker.queue.looks import LOOK_SECONDS, LOOKS, REST_SECONDS, SENT, look_key, looking_key
from worker.runtime.segment_fetches import MAX_SEGMENT_BYTES
from worker.runtime.timed_fetch import TimedFetch
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import now_ms, run_script, run_script_to_disk

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

FETCH_SECONDS: Final = 6.0
"""For playlist and segment together: a look that takes longer is no look at this moment."""

WAIT_SECONDS: Final = 1.0
"""For which the main process waits for a request before it sees whether it ends. A request itself wakes it."""

AGAIN_MS: Final = 2_000
"""After which a task that did not begin is sent again: it takes milliseconds where a process is free."""

LONGEST_MS: Final = 12_000
"""After which a task that began is taken for lost: `FETCH_SECONDS`, 5 s of decoding, and a moment. Somebody still waits
for another one."""

TRIED_SEGMENTS: Final = 2
"""The newest ones of a playlist that are asked for."""


class NothingShownError(Exception):
    """There is no picture; the text is the slug of the reason (`worker.queue.looks.REASONS`)."""


def keep_relaying(redis: Redis, send: "SendLook", stopping: threading.Event) -> None:
    """Sends a task for each request until `stopping` is set: a thread of each worker's main process."""
    periodic(
        partial(relay, redis, send),
        stopping,
        interval_seconds=WAIT_SECONDS,
        troubles=_trouble,
        failing="requests to look at streams are not read, and tried again",
        well_again="requests to look at streams are read again",
        immediately=True,
    )


def relay(redis: Redis, send: Callable[[str], object]) -> float:
    """Waits a moment for a request and sends its task, and tasks that got lost; returns the pause after it.

    A request stays in a list until its look has ended, for the answer by which a worker takes it may be lost, and so
    may its task, or the worker.

    Raises:
        RedisError, StoreError: Redis failed; the request is sent later.
    """
    try:
        found: Any = redis.blmove(LOOKS, SENT, WAIT_SECONDS, "LEFT", "RIGHT")  # type: ignore[arg-type]
        if found is not None:
            send(str(found))
        for look_id in run_script(redis, "look_due", keys=[SENT], args=[AGAIN_MS, LONGEST_MS, LOOK_SECONDS * 1000]):
            send(str(look_id))
    except OutOfMemoryError:
        _log.debug("Redis is full: no look could end")
        return WAIT_SECONDS
    except OperationalError as error:
        raise StoreError(f"Redis: {error}") from error
    return 0.0


class SendLook:
    """Sends the task of a look."""

    def __init__(self, app: Any, queue: str) -> None:
        self._app, self._queue = app, queue

    def __call__(self, look_id: str) -> None:
        self._app.send_task("livewarden.look", args=[look_id], queue=self._queue)


def look(process: WorkerProcess, look_id: str, task_id: str = "") -> None:
    """Takes a look, and ends it with a picture or a reason; one that has ended, or that another task is at, is left
    alone. A message that is delivered again is the same task."""
    found = run_script(process.redis, "look_begin", keys=[look_key(look_id)], args=[task_id, LONGEST_MS])
    if not found:
        return
    incident_id, stream_id = map(str, found)
    ref = record = reason = ""
    try:
        ref, record = _sealed(process, incident_id, stream_id)
    except NothingShownError as error:
        reason = str(error)
    except (FetchError, EvidenceError) as error:
        reason = "time" if error.reason == "timeout" else error.reason
    except PlaylistError as error:
        reason = error.reason
    except SamplerError as error:
        _log.debug("look at stream %s: %s", stream_id, error)
        reason = "undecodable"
    run_script_to_disk(
        process.redis,
        "look_done",
        keys=[look_key(look_id), looking_key(stream_id)],
        args=[look_id, incident_id, stream_id, ref, record, reason, REST_SECONDS],
    )


@dataclass(frozen=True, kw_only=True)
class WatchedStream:
    """A stream as the registry has it."""

    urls: tuple[str, ...]
    """The rendition that is moderated, and the playlist that was registered, each where it is known."""
    cursor: Cursor | None
    """None: nothing was read yet, or it is damaged."""
    purpose: str

    @classmethod
    def read(cls, redis: Redis, stream_id: str) -> "WatchedStream":
        """Reads a stream.

        Raises:
            NothingShownError: it has ended, or is not watched.
        """
        names = ("state", "media_url", "url", "cursor", "purpose")
        state, media_url, url, cursor, purpose = redis.hmget(stream_key(stream_id), list(names))
        if state is None or is_over(str(state)) or url is None:
            raise NothingShownError("ended")
        urls = tuple(dict.fromkeys(str(one) for one in (media_url, url) if one))
        return cls(urls=urls, cursor=_cursor(cursor), purpose=str(purpose or "live"))


def _cursor(text: Any) -> Cursor | None:
    try:
        return None if text is None else Cursor.from_json(str(text))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _sealed(process: WorkerProcess, incident_id: str, stream_id: str) -> tuple[str, str]:
    """Seals a picture into the spool; returns its reference and record."""
    recipients = process.evidence.recipients()
    stream = WatchedStream.read(process.redis, stream_id)
    fetch = TimedFetch(process.fetcher, "look", time.monotonic() + FETCH_SECONDS)
    segment, body, init = _newest_media(_playlist(stream, fetch, process.settings.rendition_height_pixels), fetch)
    now, active = now_ms(process.redis), process.active
    sealed = newest_picture(
        process.decoder,
        body,
        init=init,
        seed=process.seed(f"look {stream_id}"),
        lists=process.bank.in_force(),
        recipients=recipients,
        request=PictureRequest(
            incident_id=incident_id,
            stream_id=stream_id,
            purpose=stream.purpose,
            capture_ms=_capture_ms(segment, stream.cursor, now),
            sealed_ms=now,
            versions={"policy": active.policy.version, "models": {}},
        ),
    )
    if sealed is None:
        raise NothingShownError("undecodable")
    item, record = sealed
    process.evidence.put(item)
    return item.ref, record.to_json()


def _playlist(stream: WatchedStream, fetch: TimedFetch, height_pixels: int) -> MediaPlaylist:
    """The stream's media playlist as it is now.

    Raises:
        NothingShownError, FetchError, PlaylistError: there is none.
    """
    for url in stream.urls:
        try:
            fetched = fetch(url, max_bytes=MAX_PLAYLIST_BYTES)
            break
        except FetchError as error:
            # A rendition's signed URL may have expired.
            if url == stream.urls[-1] or error.reason == "timeout":
                raise
    playlist = parse_playlist(fetched.body, fetched.url, most=PARSED_ENTRIES)
    if isinstance(playlist, MasterPlaylist):
        fetched = fetch(choose_rendition(playlist, height_pixels).uri, max_bytes=MAX_PLAYLIST_BYTES)
        playlist = parse_playlist(fetched.body, fetched.url, most=PARSED_ENTRIES)
    if isinstance(playlist, MasterPlaylist):
        raise PlaylistError("expected a media playlist")
    if playlist.ended:
        raise NothingShownError("ended")
    return playlist


def _newest_media(playlist: MediaPlaylist, fetch: TimedFetch) -> tuple[Segment, bytes, bytes]:
    """The newest segment that the origin has, its bytes and those of its initialisation section.

    Raises:
        NothingShownError, FetchError: there is none.
    """
    segments = [segment for segment in playlist.segments if not segment.gap][-TRIED_SEGMENTS:]
    for segment in reversed(segments):
        if segment.encryption is not None:
            raise NothingShownError("encrypted")
        try:
            body = fetch(segment.uri, segment.byte_range, max_bytes=MAX_SEGMENT_BYTES).body
        except FetchError as error:
            # Edges lag behind the playlist.
            if not error.gone or segment is segments[0]:
                raise
            continue
        if (init := segment.init) is None:
            return segment, body, b""
        return segment, body, fetch(init.uri, init.byte_range, max_bytes=MAX_SEGMENT_BYTES).body
    raise NothingShownError("not-yet")


def _capture_ms(segment: Segment, cursor: Cursor | None, now: int) -> int:
    """Time when the segment's first picture was live: where the stream's timeline puts it, and not in the future."""
    if cursor is None or cursor.next_sequence is None:
        return now - segment.duration_ms
    after = (segment.sequence - cursor.next_sequence) * segment.duration_ms
    return max(0, min(cursor.next_capture_ms + after, now - segment.duration_ms))
