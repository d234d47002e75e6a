"""Series in Redis: settled segments are noted while a case of their stream is open, with the minutes before it."""

import logging
from typing import Any, Final

from redis import Redis

from worker.errors import StoreError
from worker.incidents.keys import incidents_key
from worker.incidents.store import case_field, rounds
from worker.logs.failure_log import FailureLog
from worker.store import redis_keys
from worker.store.redis_client import ScriptCall, run_script, store_errors
from worker.timeline.series import CaseSeries, SeriesSegment
from worker.timeline.series_text import read_segment, read_series, segment_key, segment_text, series_text

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

series_key: Final = redis_keys.TIMELINE.of
lately_key: Final = redis_keys.LATELY.of

BEFORE_MS: Final = 180_000
"""Time before a case that its series has: long enough to see how it came about. All watched streams keep it."""
MAX_BEFORE: Final = 90
"""Segments likewise: 3 minutes of 2 s, some 20 kB a stream."""
GIVE_UP_SECONDS: Final = 2.0
"""After so long a worker leaves its segment to the next one, which finds it among the latest."""


def note_call(stream_id: str, purpose: str, segment: SeriesSegment) -> ScriptCall:
    """The script that notes a segment among the latest of its stream, and reads what a case of it needs."""
    kept_seconds, field = redis_keys.LATELY.seconds, case_field(purpose)
    return ScriptCall(
        name="series_note",
        keys=[lately_key(stream_id), incidents_key(stream_id)],
        args=[segment_text(segment), segment.begin_ms, BEFORE_MS, MAX_BEFORE, kept_seconds, field],
    )


def note_segment(
    redis: Redis, stream_id: str, purpose: str, segment: SeriesSegment, *, noted: list[Any] | None = None
) -> None:
    """Notes a settled segment: among the latest of its stream, and in the series of its open case, if there is one.

    A segment of which a worker's death or a full Redis kept the note from being written shows as time without record.

    Args:
        noted: the answer of `note_call`, if it ran already.

    Raises:
        StoreError: Redis failed.
    """
    call, answer = note_call(stream_id, purpose, segment), noted
    for _ in rounds(GIVE_UP_SECONDS):
        if answer is None:
            with store_errors():
                answer = run_script(redis, call.name, keys=call.keys, args=call.args)
        if not answer:
            return
        case_id, version, text, lately = answer
        before = _read(str(case_id), str(text))
        # Most are in the series already, and to read them would cost more than the rest.
        missing = [text for text in map(str, lately) if segment_key(text) not in before.known]
        after = before.merged([segment, *(one for one in map(read_segment, missing) if one is not None)])
        if after is before:
            return
        with store_errors():
            args: list[str | int] = [str(version), series_text(after), redis_keys.TIMELINE.seconds]
            if run_script(redis, "series_write", keys=[series_key(str(case_id))], args=args):
                return
        answer = None  # another worker wrote meanwhile


def case_series(redis: Redis, case_id: str) -> CaseSeries:
    """The series of a case; an empty one if it has none, or a damaged one.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        return _read(case_id, str(redis.hget(series_key(case_id), "text") or ""))


def _read(case_id: str, text: str) -> CaseSeries:
    """Reads a series; a damaged one begins anew."""
    try:
        return read_series(text) if text else CaseSeries()
    except StoreError as error:
        _trouble.met(case_id, "case %s: its timeline begins anew: %s", case_id, error)
        return CaseSeries()
