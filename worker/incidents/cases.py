"""Cases: related incidents of one stream, which a person takes together.

Incidents of one stream and purpose share a case if they are open together, or if one is raised within an hour of the
last hit of another. An incident of a group of streams is a case of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from worker.events.cloudevent import derived_id
from worker.incidents.findings import Incident
from worker.incidents.segment_context import SegmentContext

WITHIN_MS: Final = 3_600_000
"""Up to (<=) so long after the last hit of its incidents a case takes in another incident: a broadcaster who is back
after a pause is judged with what came before, another evening is not."""

MOST_INCIDENTS: Final = 100
"""Incidents of one case: more than a person can judge together; the next ones are another case."""


@dataclass(frozen=True, kw_only=True)
class StreamCase:
    """The newest case of a stream that is watched for one purpose."""

    case_id: str
    last_ms: int
    """Redis's clock when one of its incidents was raised, or had a hit, last."""
    incidents: int = 0
    """The number of them that were raised."""

    def after(self, *, raised: int, now_ms: int) -> "StreamCase":
        """The case once so many more incidents are raised, or open ones have had hits."""
        return replace(self, incidents=self.incidents + raised, last_ms=max(self.last_ms, now_ms))


def case_for(
    known: StreamCase | None, open_incidents: Iterable[Incident], context: SegmentContext, *, now_ms: int
) -> StreamCase:
    """The case of the incidents that this context raises: the stream's newest one, or a new one.

    Args:
        known: the newest case of the stream and purpose; None: there was none.
        open_incidents: of the stream and purpose.
    """
    opened = sorted((one.raised_ms, one.case_id) for one in open_incidents if one.case_id)
    if known is None and opened:
        _, case_id = opened[-1]
        known = StreamCase(case_id=case_id, last_ms=now_ms, incidents=len(opened))
    if known is not None and known.incidents < MOST_INCIDENTS:
        # A time ahead of the clock was written before Redis's clock went back.
        recent = now_ms - known.last_ms <= WITHIN_MS
        if recent or any(case_id == known.case_id for _, case_id in opened):
            return known
    stream = context.stream
    case_id = _case_id(stream.stream_id, stream.purpose, context.generation, context.segment_key)
    return StreamCase(case_id=case_id, last_ms=now_ms)


def own_case(incident_id: str) -> str:
    """The id of a case that is this incident's alone: of a group of streams."""
    return _case_id(incident_id)


def _case_id(*parts: str | int) -> str:
    """The same for the same work, done again."""
    return f"case-{derived_id('case', *parts)[:24]}"
