"""Events for the platform that follow from a poll: a stream became unreachable, or ended. Pure."""

from dataclasses import dataclass

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.outcome import PollAdvance
from worker.ingest.playlist.poll_pace import SHORTEST_DELAY_MS
from worker.ingest.registry.platform_events import EndReason, ended_event, unreachable_event

UNREACHABLE_MS = 15_000
"""Since the first failed poll. Restarts of an origin take less, and a platform gets the event within 20 s."""


@dataclass(frozen=True, kw_only=True)
class PollEvent:
    """An event that is published once for each mark."""

    field: str
    """Field of the stream's hash with the newest mark."""
    mark: str
    event: str
    """CloudEvent, JSON on one line."""


def poll_events(
    stream_id: str, url: str, before: Cursor, step: PollAdvance, *, deployment: str, now_ms: int
) -> tuple[PollEvent, ...]:
    """The events to publish with the outcome `step` of a poll; those whose mark is stored already are not repeated.

    Raises:
        SchemaError: an event does not fit its schema.
    """
    after = step.cursor
    if after.state is StreamState.ENDED:
        return () if before.state is StreamState.ENDED else (_ended(stream_id, after, deployment, now_ms),)
    since_ms = _failing_since_ms(step)
    if since_ms is None or now_ms - since_ms < UNREACHABLE_MS:
        return ()
    event = unreachable_event(
        stream_id,
        generation=after.generation,
        url=url,
        reason=after.reason,
        since_ms=since_ms,
        never_read=after.last_read_ms is None,
        deployment=deployment,
        now_ms=now_ms,
    )
    return (PollEvent(field="told_unreachable", mark=f"{after.generation} {since_ms}", event=event),)


def next_poll_ms(step: PollAdvance, now_ms: int) -> int | None:
    """Time to the next poll: a failing stream is polled right at `UNREACHABLE_MS`, not some time after it."""
    since_ms = _failing_since_ms(step)
    if step.next_poll_in_ms is None or since_ms is None:
        return step.next_poll_in_ms
    left_ms = since_ms + UNREACHABLE_MS - now_ms
    return step.next_poll_in_ms if left_ms <= 0 else min(step.next_poll_in_ms, max(left_ms, SHORTEST_DELAY_MS))


def _failing_since_ms(step: PollAdvance) -> int | None:
    return step.cursor.failing_since_ms if step.reading is None else None


def _ended(stream_id: str, after: Cursor, deployment: str, now_ms: int) -> PollEvent:
    unread = after.reason not in {EndReason.ENDLIST, EndReason.STALLED}
    position = f"{after.epoch} {after.next_sequence}"
    reason = EndReason.UNREACHABLE if unread else EndReason(after.reason)
    event = ended_event(
        stream_id,
        generation=after.generation,
        reason=reason,
        detail=after.reason if unread else "",
        position=position,
        deployment=deployment,
        now_ms=now_ms,
    )
    return PollEvent(field="told_ended", mark=f"{after.generation} {reason} {position}", event=event)
