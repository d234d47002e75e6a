"""The part of a settled segment in the timeline of its stream's case."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Final

from redis import Redis

from config.policy.cel.comparisons import comparisons
from config.policy.policy import Policy
from sampler.plan.intervals import without
from worker.errors import StoreError
from worker.ingest.coverage.ledger import entry
from worker.ingest.pending.segments import SegmentRecord
from worker.ingest.playlist.outcome import Missed
from worker.ingest.poll.due import DueStream
from worker.logs.failure_log import FailureLog
from worker.moderation.accounting import ROUNDING_MS, SHORT, LedgerShare, lost_entry
from worker.moderation.verdict import SampleVerdict, SegmentVerdict
from worker.store.redis_client import ScriptCall
from worker.timeline.series import LONGEST_MS, MAX_SCORES, SeriesHit, SeriesSample, SeriesSegment, SeriesStretch
from worker.timeline.series_store import note_call, note_segment

_log = logging.getLogger(__name__)
_no_timeline = FailureLog(_log)

KEY_CHARACTERS: Final = 12
"""Length of the digest that names a segment in a series: among 300, one in 10**11 is mistaken for another."""


def series_segment(
    record: SegmentRecord, share: LedgerShare, verdict: SegmentVerdict | None, policy: Policy
) -> SeriesSegment:
    """Returns the segment as its case's series takes it; no verdict: nothing was seen of it."""
    # A capture time follows from what the broadcaster claims: none is later than when the segment was listed.
    begin_ms = min(record.capture_ms, record.admitted_ms) if record.admitted_ms else record.capture_ms
    length_ms = min(record.duration_ms, LONGEST_MS)
    key = _key(f"{record.generation} {record.key}")
    if verdict is None:
        reason = next(iter(share.failed_ms), "other")
        lost = SeriesStretch(begin_ms, begin_ms + length_ms, entry("failed", reason))
        return SeriesSegment(key=key, begin_ms=begin_ms, stretches=(lost,))
    names = score_names(policy)
    moved_ms = begin_ms - record.capture_ms
    return SeriesSegment(
        key=key,
        begin_ms=begin_ms,
        stretches=tuple(_stretches(verdict, begin_ms, length_ms)),
        samples=tuple(
            SeriesSample(
                sample.capture_ms + moved_ms, {name: sample.scores[name] for name in names if name in sample.scores}
            )
            for sample in verdict.samples
        ),
        hits=tuple(hit for sample in verdict.samples for hit in _hits(sample, policy, moved_ms)),
    )


def missed_segment(generation: int, missed: Missed) -> SeriesSegment:
    """Returns an interval that no segment has as a case's series takes it."""
    begin_ms, end_ms = missed.capture_ms, missed.capture_ms + min(missed.duration_ms, LONGEST_MS)
    return SeriesSegment(
        key=_key(f"{generation} {missed.reason} {begin_ms}"),
        begin_ms=begin_ms,
        stretches=(SeriesStretch(begin_ms, end_ms, entry("missed", missed.reason)),),
    )


def note_beside(stream_id: str, purpose: str, segment: SeriesSegment) -> ScriptCall | None:
    """The note of a segment, to be written with its commit in one round trip; None: a canary's case is for no person,
    and has no timeline."""
    return None if purpose == "canary" else note_call(stream_id, purpose, segment)


def note(redis: Redis, stream_id: str, purpose: str, segment: SeriesSegment, *, noted: object = None) -> None:
    """Notes a segment for the timeline of its stream's case; a failure is logged, since a case can be decided without
    its timeline.

    Args:
        noted: the answer of `note_beside`; what is none, such as an error, is asked again.
    """
    if purpose == "canary":
        return
    try:
        note_segment(redis, stream_id, purpose, segment, noted=noted if isinstance(noted, list) else None)
    except StoreError as error:
        _no_timeline.met(stream_id, "stream %s: its timeline lacks a segment: %s", stream_id, error)


def note_missed(redis: Redis, stream: DueStream, missed: Sequence[Missed]) -> None:
    """Notes intervals of a stream that cannot be moderated."""
    for one in missed:
        note(redis, stream.stream_id, stream.purpose, missed_segment(stream.cursor.generation, one))


def _key(named: str) -> str:
    return hashlib.sha256(named.encode()).hexdigest()[:KEY_CHARACTERS]


def score_names(policy: Policy) -> tuple[str, ...]:
    """Names of the scores that live rules compare: the first by name. Others are not shown to moderators."""
    compared = {
        one.name for rule in policy.rules if rule.mode == "live" for one in comparisons(rule.condition.tree) if one.name
    }
    return tuple(sorted(compared)[:MAX_SCORES])


def _stretches(verdict: SegmentVerdict, begin_ms: int, length_ms: int) -> list[SeriesStretch]:
    """The stretches of a segment of which something was seen, in order."""
    measured = verdict.duration_seconds
    holes = [
        (max(0.0, stretch.start_seconds), min(stretch.end_seconds, measured), stretch.reason)
        for stretch in verdict.unmoderated
        if stretch.end_seconds > 0
    ]
    if length_ms - measured * 1000 > ROUNDING_MS:
        holes.append((measured, length_ms / 1000, SHORT))
    seen = without([(0.0, length_ms / 1000)], sorted((start, end) for start, end, _ in holes))
    found = [(start, end, "") for start, end in seen]
    found += [(start, min(end, length_ms / 1000), lost_entry(reason)) for start, end, reason in holes]
    return [
        SeriesStretch(begin_ms + round(start * 1000), begin_ms + round(end * 1000), lost)
        for start, end, lost in sorted(found)
        if end > start
    ]


def _hits(sample: SampleVerdict, policy: Policy, moved_ms: int) -> list[SeriesHit]:
    nearest = min((match for match in sample.matches if not match.harmless), key=lambda one: one.order, default=None)
    live = {rule.name for rule in policy.rules if rule.mode == "live"}
    return [
        SeriesHit(
            sample.capture_ms + moved_ms,
            hit.rule,
            hit.severity,
            "" if nearest is None else nearest.list,
            -1 if nearest is None else nearest.distance,
        )
        for hit in sample.hits
        if hit.rule in live
    ]
