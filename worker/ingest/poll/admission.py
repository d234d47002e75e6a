"""Admission, the commit of a poll: new segments become pending, time is counted, the cursor moves; atomically."""

import json
import re
from collections import Counter
from dataclasses import asdict

from redis import Redis

from worker.ingest.coverage.ledger import COUNT, coverage_key, entry
from worker.ingest.http.urls import without_query
from worker.ingest.pending.segments import FIRST_DEADLINE_MS, OVERDUE, SegmentRecord, pending_key
from worker.ingest.playlist.missed_time import ProvisionalGap, hidden_ms, provisional_gap
from worker.ingest.playlist.outcome import STREAM_BACKLOG, PollAdvance
from worker.ingest.playlist.poll_events import next_poll_ms, poll_events
from worker.ingest.poll.due import DueStream
from worker.ingest.poll.origin_gaps import missing_member
from worker.ingest.poll.state_lines import STATE_LINES
from worker.ingest.poll.validators import unlisted, validators_key
from worker.ingest.registry.platform_events import MAX_EVENTS, STREAM_EVENTS
from worker.ingest.registry.registry import DUE, DUE_NEW, DUE_SLOW, KEPT_AFTER_END_SECONDS, stream_key
from worker.store.redis_client import now_ms, run_script, time_ms

_SEGMENT_KEY = re.compile(r"\d+\.\d+\..*\.\d+\.[0-9a-f]+", re.ASCII)
"""The form of `worker.ingest.playlist.hls.segment_key`. Finds of look-back are pending too, under other keys, and cost
no fetch."""


def pending_now(redis: Redis, stream_id: str) -> tuple[int, int]:
    """Redis's time in milliseconds, and the number of pending segments of the stream."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hkeys(pending_key(stream_id))
        time, keys = pipe.execute()
    return time_ms(time), sum(bool(_SEGMENT_KEY.fullmatch(str(key))) for key in keys)


def admit(
    redis: Redis, stream: DueStream, step: PollAdvance, *, deployment: str = "local", problem: str = ""
) -> list[SegmentRecord]:
    """Commits the outcome of a poll; returns the segments whose tasks must be sent, in order; none if the poll was
    overtaken.

    Args:
        problem: why there is no playlist, for the log.
    """
    now = now_ms(redis)
    generation = step.cursor.generation
    records = [
        SegmentRecord.of(new, generation=generation, purpose=stream.purpose, admitted_ms=now) for new in step.segments
    ]
    increments: Counter[str] = Counter({"elapsed": step.elapsed_ms, entry("skipped", STREAM_BACKLOG): step.skipped_ms})
    for missed in step.missed:
        increments[entry("missed", missed.reason)] += missed.duration_ms
    increments.update({COUNT + name: count for name, count in step.counts.items()})
    gap = provisional_gap(step.cursor)
    events = poll_events(stream.stream_id, stream.url, stream.cursor, step, deployment=deployment, now_ms=now)
    next_poll_in_ms = next_poll_ms(step, now)
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
            *(due for due in (DUE, DUE_SLOW, DUE_NEW) if due != stream.due),
            STREAM_EVENTS,
        ],
        args=[
            stream.stream_id,
            stream.token,
            -1 if next_poll_in_ms is None else next_poll_in_ms,
            FIRST_DEADLINE_MS,
            KEPT_AFTER_END_SECONDS,
            json.dumps(
                {
                    "state": step.cursor.state,
                    "reason": step.cursor.reason,
                    "cursor": step.cursor.to_json(),
                    "media_url": stream.media_url,
                    "tried": json.dumps(stream.tried) if stream.tried else "",
                }
                | ({"missing_member": ""} if gap is None else gap.as_fields(_member(stream, gap)))
            ),
            json.dumps({field: ms for field, ms in increments.items() if ms}),
            json.dumps({record.key: record.to_json() for record in records}),
            json.dumps(
                [] if step.cursor.seen == stream.cursor.seen else unlisted(redis, stream.stream_id, step.cursor)
            ),
            json.dumps([asdict(one) for one in events]),
            MAX_EVENTS,
            without_query(stream.url),
            json.dumps(hidden_ms(stream.cursor, step, now)),
        ],
    )
    if not written:
        return []
    STATE_LINES.note(stream.stream_id, stream.cursor, step.cursor, problem)
    return records


def _member(stream: DueStream, gap: ProvisionalGap) -> str:
    return missing_member(stream.url, gap.reason, stream.stream_id)
