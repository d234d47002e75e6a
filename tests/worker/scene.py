"""Streams with findings, without pictures: for tests of incidents, queue and decisions."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from redis import Redis

from config.facts import Hit, ListMatch, SampleFacts, Severity, StreamFacts
from config.policy.policy import Policy
from config.schemas import check_event
from worker.incidents.commit import SettleResult, settle
from worker.incidents.segment_context import SegmentContext, Versions


@dataclass(kw_only=True)
class Scene:
    """Streams with findings."""

    redis: Redis
    policy: Policy
    settled: int = field(default=0)

    def context(self, stream_id: str, segment_key: str, purpose: str = "live") -> SegmentContext:
        return SegmentContext(
            stream=StreamFacts(stream_id=stream_id, purpose=purpose, metadata={"room": "blue"}),
            generation=1,
            segment_key=segment_key,
            deployment="test",
            versions=Versions(policy=self.policy.version, lists={"known": "abc"}, models={"m": "1"}),
        )

    def hits(
        self, captures_ms: Iterable[int], *, lists: Iterable[str] = (), score: float = 0.0, purpose: str = "live"
    ) -> tuple[Hit, ...]:
        """Hits of the policy for samples captured at these times."""
        return tuple(
            hit
            for capture_ms in captures_ms
            for hit in self.policy.evaluate(
                StreamFacts(stream_id="any", purpose=purpose),
                SampleFacts(
                    capture_ms=capture_ms,
                    pts_seconds=0.5,
                    reason="keyframe",
                    pdq_quality=90,
                    matches=tuple(ListMatch(list=name, entry="7", distance=4) for name in lists),
                    scores={"m/nsfw": score},
                ),
            ).hits
        )

    def settle(
        self, stream_id: str, hits: tuple[Hit, ...], *, segment_key: str | None = None, purpose: str = "live"
    ) -> SettleResult:
        """Settles a segment with those hits, as the worker does; each call is another segment unless it is named."""
        self.settled += 1
        key = f"segment-{self.settled}" if segment_key is None else segment_key
        self.redis.hset(f"lw:pending:{stream_id}", key, "{}")
        return self.settle_pending(stream_id, key, hits, purpose=purpose)

    def settle_pending(self, stream_id: str, key: str, hits: tuple[Hit, ...], *, purpose: str = "live") -> SettleResult:
        """Settles a pending segment."""
        return settle(
            self.redis,
            context=self.context(stream_id, key, purpose),
            hits=hits,
            policy=self.policy,
            coverage_increments={"moderated_ms": 4000},
            stream_fields={},
        )

    def raise_incident(
        self, stream_id: str, severity: Severity = Severity.CRITICAL, *, purpose: str = "live", capture_ms: int = 1000
    ) -> str:
        """Raises an incident of that severity on a stream without one; gives its ID."""
        found = {
            Severity.CRITICAL: self.hits([capture_ms], lists=["known"], purpose=purpose),
            Severity.HIGH: tuple(h for h in self.hits([capture_ms], score=0.95) if h.rule == "likely"),
            Severity.REVIEW: self.hits([capture_ms, capture_ms + 1, capture_ms + 2], score=0.6),
        }
        (event,) = self.settle(stream_id, found[severity], purpose=purpose).events
        return event.incident_id

    def rise(self, stream_id: str, severity: Severity) -> None:
        """Raises the severity of the incident that `raise_incident` made as `review`, which publishes another entry
        immediately."""
        (hit,) = self.hits([5000], score=0.6)
        self.settle(stream_id, (replace(hit, severity=severity),))

    def published(self, key: str) -> list[dict[str, Any]]:
        """Events on one of the streams, oldest first; each is checked against its schema."""
        events = [json.loads(fields["event"]) for _, fields in self.redis.xrange(key)]
        for event in events:
            check_event(event)
        return events

    def decisions(self) -> list[dict[str, Any]]:
        """Decisions and revisions, without requests to interrupt."""
        return [one for one in self.published("lw:decisions") if one["type"].startswith("livewarden.decision.")]

    def requests(self) -> list[dict[str, Any]]:
        """Requests to interrupt a stream."""
        return [one for one in self.published("lw:decisions") if one["type"].startswith("livewarden.interrupt.")]
