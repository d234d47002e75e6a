"""Audits of other renditions: now and then a segment is moderated in one that is not watched.

One rendition is watched, the cheapest that will do, while viewers choose another; and a broadcaster who encodes all of
them himself may show in those what the watched one does not. So the seed draws segments of which a second rendition is
fetched and moderated too, or another video of the stream. Its pictures are hashed, matched and classified as any are,
and cover none of the segment's time. Nothing that goes wrong with it costs the segment its verdict, and a segment on
which live rules hold waits for none.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from config.facts import RENDITIONS_DIFFER, SegmentSource, StreamFacts
from config.policy.policy import Policy
from sampler.errors import SamplerError
from worker.errors import FetchError, PlaylistError
from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.urls import without_query
from worker.ingest.pending.segments import MAX_URI_CHARACTERS
from worker.ingest.playlist.hls import MasterPlaylist, OtherVideo, Rendition, rendition_of, segment_key
from worker.ingest.playlist.parse_window import PARSED_ENTRIES
from worker.ingest.playlist.parsing import MAX_PLAYLIST_BYTES, parse_playlist
from worker.ingest.playlist.rendition_draw import counterpart, is_drawn, other_renditions
from worker.ingest.poll.due import SOLE_RENDITION
from worker.ingest.registry.registry import stream_key
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.renditions import with_rendition
from worker.moderation.segment_before import SegmentBytes
from worker.moderation.verdict import SegmentVerdict
from worker.policyload.active_policy import ActivePolicy
from worker.runtime.begun_segment import BegunSegment
from worker.runtime.evidence_writer import EvidenceWriter
from worker.runtime.rendition_turns import rendition_turn
from worker.runtime.segment_fetches import MAX_SEGMENT_BYTES
from worker.runtime.timed_fetch import TimedFetch

_log = logging.getLogger(__name__)

FETCH_SECONDS: Final = 3.0
"""For both playlists, the segment and its initialisation section together. With 5 s of decoding after it, and
`MOST_HELD_SECONDS` before it, a task stays under its soft time limit (16 s)."""

MOST_HELD_SECONDS: Final = 4.0
"""A segment that held its process for longer is not audited."""

MOST_WAITED_MS: Final = 15_000
"""Nor is one that waited for longer since it was listed: its worker has no time for more, and the other rendition's may
be gone."""

DIFFERS_OF_LATE: Final = 0.5
"""Number of the signal from which (>=) renditions count as different: they did less than a half-life ago."""

DIFFERING_TIMES: Final = 10
"""Times as often are they audited then."""

AUDITS, FAILED = "rendition_audits", "rendition_audits_failed"
"""Counts of the ledger."""


@dataclass(frozen=True, kw_only=True)
class RenditionAudit:
    """The audit of one segment in another rendition."""

    segment: BegunSegment
    fetcher: Fetcher
    active: ActivePolicy
    evidence: EvidenceWriter
    seed: bytes
    """Secret; decides whether it is audited, and in which rendition."""

    def added_to(
        self,
        verdict: SegmentVerdict,
        *,
        facts: StreamFacts,
        judged_ms: int,
        stuck: frozenset[str],
        versions: Mapping[str, Any],
        media_bytes: int,
    ) -> SegmentVerdict:
        """The segment's verdict with what another rendition shows, if the segment is drawn for that.

        Args:
            judged_ms: Redis's clock.
            stuck: models that are left out.
            versions: {policy, models}, as events have them.
            media_bytes: size of the segment, which is in memory still.
        """
        if not self._is_due(verdict, facts, judged_ms):
            return verdict
        stream_id, record = self.segment.stream_id, self.segment.record
        with rendition_turn(self.segment.redis, stream_id) as may_begin:
            if not may_begin:
                return verdict
            failed = 0
            try:
                found, failed = self._fetch(MAX_SEGMENT_BYTES - media_bytes)
                if found is None:
                    return replace(verdict, audit_counts=_counts(0, failed))
                other = self.active.pipeline.moderate(
                    found.media.data,
                    context=ModerationContext(stream=facts, capture_ms=record.capture_ms, judged_ms=judged_ms),
                    seed=self.seed,
                    init=found.media.init,
                    stuck=stuck,
                    capture=self.evidence.request(found.key, sealed_ms=judged_ms, versions=versions, open_contexts=()),
                    fresh=True,
                )
            except (FetchError, PlaylistError, SamplerError) as error:
                _log.debug("stream %s segment %s: no other rendition is seen: %s", stream_id, record.key, error)
                return replace(verdict, audit_counts=_counts(0, failed + 1))
        seen = with_rendition(verdict, other, found.source, is_compared=found.is_compared)
        return replace(seen, audit_counts=_counts(1, failed))

    def _is_due(self, verdict: SegmentVerdict, facts: StreamFacts, judged_ms: int) -> bool:
        begun, record, policy = self.segment.begun, self.segment.record, self.active.policy
        differs = facts.signals.get(RENDITIONS_DIFFER, 0.0) >= DIFFERS_OF_LATE
        # Whichever is longer: EXTINF is the broadcaster's claim.
        duration_ms = max(record.duration_ms, round(verdict.duration_seconds * 1000))
        per_minute = policy.profile_for(facts).audits_per_minute * (DIFFERING_TIMES if differs else 1)
        return (
            is_drawn(self.seed, duration_ms=duration_ms, per_minute=per_minute)
            and rendition_of(record.key) != SOLE_RENDITION
            # It may have been the audit that ended the worker or the decoder before.
            and not begun.losses
            and not begun.deaths
            and self.segment.pace.held_seconds <= MOST_HELD_SECONDS
            and judged_ms - record.admitted_ms <= MOST_WAITED_MS
            and not _is_urgent(verdict, policy)
        )

    def _fetch(self, max_bytes: int) -> "tuple[_OtherSegment | None, int]":
        """Another rendition's segment, and how many renditions cannot be had; None: the stream has no other that can,
        or is not watched any more.

        Raises:
            FetchError, PlaylistError: the master playlist cannot be had.
        """
        stream_id, record = self.segment.stream_id, self.segment.record
        url, generation = self.segment.redis.hmget(stream_key(stream_id), ["url", "generation"])
        if not url or str(generation) != str(record.generation):
            return None, 0
        fetch = TimedFetch(self.fetcher, "audit", time.monotonic() + FETCH_SECONDS)
        fetched = fetch(str(url), max_bytes=MAX_PLAYLIST_BYTES)
        master = parse_playlist(fetched.body, fetched.url, most=PARSED_ENTRIES)
        if not isinstance(master, MasterPlaylist):
            return None, 0
        failed = 0
        for rendition in other_renditions(master, rendition_of(record.key), self.seed):
            if failed and fetch.is_over:
                break
            try:
                return self._segment_of(rendition, fetch, max_bytes), failed
            except (FetchError, PlaylistError) as error:
                _log.debug("stream %s segment %s: %s is not seen: %s", stream_id, record.key, rendition.name, error)
                failed += 1
        return None, failed

    def _segment_of(self, rendition: Rendition | OtherVideo, fetch: TimedFetch, max_bytes: int) -> "_OtherSegment":
        """The segment's counterpart in that rendition, by its playlist as it is now.

        Raises:
            FetchError, PlaylistError: it cannot be had.
        """
        record = self.segment.record
        fetched = fetch(rendition.uri, max_bytes=MAX_PLAYLIST_BYTES)
        media = parse_playlist(fetched.body, fetched.url, most=PARSED_ENTRIES, from_sequence=record.sequence)
        if isinstance(media, MasterPlaylist):
            raise PlaylistError("expected a media playlist")
        other = counterpart(media, sequence=record.sequence, program_ms=record.program_ms)
        if other is None:
            raise PlaylistError("no segment is listed")
        if other.encryption is not None:
            raise PlaylistError("its segments are encrypted")
        data = fetch(other.uri, other.byte_range, max_bytes=max_bytes).body
        init = b""
        if other.init is not None:
            init = fetch(other.init.uri, other.init.byte_range, max_bytes=max_bytes - len(data)).body
        source = SegmentSource(
            uri=without_query(other.uri, most=MAX_URI_CHARACTERS),
            media_sequence=other.sequence,
            rendition=rendition.name,
        )
        key = segment_key(
            generation=record.generation,
            epoch=record.epoch,
            rendition=rendition.name,
            sequence=other.sequence,
            name=other.name,
        )
        return _OtherSegment(
            media=SegmentBytes(data=data, init=init),
            source=source,
            key=key,
            is_compared=isinstance(rendition, Rendition),
        )


@dataclass(frozen=True, kw_only=True)
class _OtherSegment:
    """A segment of another rendition."""

    media: SegmentBytes
    source: SegmentSource
    key: str
    """Its identity, for evidence."""
    is_compared: bool
    """An other video may be of another camera, and is not."""


def _counts(audits: int, failed: int) -> dict[str, int]:
    return {name: count for name, count in ((AUDITS, audits), (FAILED, failed)) if count}


def _is_urgent(verdict: SegmentVerdict, policy: Policy) -> bool:
    """A live rule holds on it: that is published first."""
    return any(policy.rule(hit.rule).mode == "live" for hit in verdict.hits)
