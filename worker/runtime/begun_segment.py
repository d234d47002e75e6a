"""A segment that this worker has begun, its outcomes, and the queues that it may go back to."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import OutOfMemoryError

from config.facts import StreamFacts
from worker.ingest.pending.segments import FIRST_DEADLINE_MS, Begun, SegmentRecord, defer, end_trial
from worker.ingest.registry.slow_streams import QUICK_SECONDS, SlowPart, note_slowness
from worker.logs.failure_log import FailureLog
from worker.moderation.verdict import SegmentVerdict
from worker.runtime.segment_pace import SegmentPace

_full = FailureLog(logging.getLogger(__name__))

PassOn = Callable[[str, str], None]
"""Sends a segment, as (stream ID, segment key), to the queue where its stream belongs by now."""


@dataclass(frozen=True, kw_only=True)
class SegmentOutcome:
    """The outcome of a begun segment."""

    quick: bool = True
    """If the segment was its stream's trial: the stream is quick."""


@dataclass(frozen=True, kw_only=True)
class Unmoderated(SegmentOutcome):
    """Nothing is seen of the segment, and no other try would help."""

    reason: str
    """In the ledger."""


@dataclass(frozen=True, kw_only=True)
class Deferred(SegmentOutcome):
    """Another try may help."""

    delay_ms: int
    counts: str
    """`deaths` or `fetches`, counted against the segment."""


@dataclass(frozen=True, kw_only=True)
class HandedOver(SegmentOutcome):
    """The segment goes to the slow queue, as if it had not been begun: no try of it is counted."""

    quick: bool = False


@dataclass(frozen=True, kw_only=True)
class Moderated(SegmentOutcome):
    """The segment has a verdict."""

    facts: StreamFacts
    verdict: SegmentVerdict


@dataclass(kw_only=True)
class BegunSegment:
    """One segment in the hands of this process."""

    redis: Redis
    stream_id: str
    begun: Begun
    pass_on: PassOn | None
    """None: the segment came up in the slow queue, and has its full time."""
    pace: SegmentPace = field(default_factory=SegmentPace)

    @property
    def record(self) -> SegmentRecord:
        """The segment as it was admitted."""
        return self.begun.record

    def end_trial(self, *, quick: bool) -> None:
        """Sends the segments that waited for this one's fetch, if it was the stream's trial; may be called twice."""
        if self.begun.trial and self.pass_on is not None:
            self.begun = replace(self.begun, trial=False)
            parked = end_trial(self.redis, self.stream_id, quick=quick)
            with self._unless_refused():
                for key in parked:
                    self.pass_on(self.stream_id, key)

    def hand_over(self) -> None:
        """Leaves the segment to the slow queue.

        The mark comes first, so that what else waits of the stream is passed on without a fetch. Should the message be
        lost, the reconciler sends another, which by the mark goes to the slow queue too.
        """
        assert self.pass_on is not None
        note_slowness(self.redis, SlowPart.SEGMENTS, self.stream_id, slow=True, held_seconds=QUICK_SECONDS)
        defer(self.redis, self.stream_id, self.begun, delay_ms=FIRST_DEADLINE_MS)
        with self._unless_refused():
            self.pass_on(self.stream_id, self.record.key)

    def defer(self, *, delay_ms: int, counts: str = "", in_order: bool = True) -> None:
        """Gives the segment back, as `worker.ingest.pending.segments.defer`."""
        defer(self.redis, self.stream_id, self.begun, delay_ms=delay_ms, counts=counts, in_order=in_order)

    def note_pace(self) -> None:
        """Marks the stream as slow, or one that is slow as quick; costs the others, which are quick, nothing."""
        if self.pace.slow or (self.pass_on is None and self.pace.fetch_seconds is not None):
            slow, held_seconds = self.pace.slow, self.pace.held_seconds
            note_slowness(self.redis, SlowPart.SEGMENTS, self.stream_id, slow=slow, held_seconds=held_seconds)

    @contextmanager
    def _unless_refused(self) -> Iterator[None]:
        """Leaves out messages that a full Redis does not take: the reconciler sends them when there is room. The
        segment in hand must not be lost over them."""
        try:
            yield
        except (OutOfMemoryError, OperationalError) as error:
            if not isinstance(error, OutOfMemoryError) and not isinstance(error.__cause__, OutOfMemoryError):
                raise
            _full.met("full", "stream %s: segments that waited are sent later: Redis is full", self.stream_id)
