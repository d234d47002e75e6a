"""The end of a segment: what was seen of it, or why nothing was, is published, in the ledger and in the log."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace

from redis import Redis

from config.facts import Coverage, SegmentFacts, StreamFacts
from worker.incidents.commit import Settled, settle
from worker.incidents.segment_context import SegmentContext
from worker.ingest.coverage.ledger import COUNT, entry
from worker.ingest.pending.segments import SegmentRecord, series_of, source_of
from worker.ingest.playlist.hls import rendition_of
from worker.ingest.playlist.outcome import SHORT_EXTINF
from worker.ingest.poll.due import no_video_mark
from worker.ingest.registry.signals import stream_facts
from worker.logs.fields import fields
from worker.moderation.accounting import ROUNDING_MS, LedgerShare
from worker.moderation.gate import GateState
from worker.moderation.verdict import SegmentVerdict
from worker.policyload.active_policy import ActivePolicy
from worker.processes.soft_limit import soft_limit
from worker.runtime.worker_process import WorkerProcess
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script
from worker.verdictlog.rows import rows_of

_log = logging.getLogger(__name__)

_NO_VIDEO_REASONS = frozenset({"no_video", "audio_only"})
"""After which the poll moves on to another rendition, if there is one."""

GATE_KEPT_SECONDS = redis_keys.GATE.seconds
"""Well above the 30 s for which the gate lets a picture pass for another."""


def close_unseen(
    process: WorkerProcess, active: ActivePolicy, stream_id: str, record: SegmentRecord, reason: str
) -> None:
    """Closes a segment of which nothing was seen."""
    facts = stream_facts(process.redis, stream_id, purpose=record.purpose, generation=record.generation)
    share = LedgerShare(moderated_ms=0, unhashable_ms=0, failed_ms={reason: record.duration_ms})
    mark = no_video_mark(record.generation, rendition_of(record.key)) if reason in _NO_VIDEO_REASONS else None
    _close(process, active, record, share, _context(process, active, facts, record), no_video=mark)


def close_seen(
    process: WorkerProcess, active: ActivePolicy, facts: StreamFacts, record: SegmentRecord, verdict: SegmentVerdict
) -> None:
    """Closes a segment that was judged."""
    degraded = (*verdict.degraded, *process.verdict_log.degraded)
    context = _context(process, active, facts, record, lists=verdict.list_versions, degraded=degraded)
    _close(process, active, record, verdict.ledger_share(record.duration_ms), context, verdict)
    if verdict.gate is not None:
        _keep_gate(process.redis, facts.stream_id, record, verdict.gate)


def _close(
    process: WorkerProcess,
    active: ActivePolicy,
    record: SegmentRecord,
    share: LedgerShare,
    context: SegmentContext,
    verdict: SegmentVerdict | None = None,
    *,
    no_video: str | None = None,
) -> None:
    """Publishes what is to be told and settles the segment, in one step, and returns when that is on disk.

    What is in the log comes after that, so that nothing is there twice.
    """
    stream_fields = {} if no_video is None else {"no_video": no_video}
    if verdict is not None:
        stream_fields = _last_seen(process.redis, record, verdict) | {"degraded": json.dumps(context.degraded)}
        stream_fields["no_video"] = ""
    with soft_limit.commit():
        _commit(process, active, record, share, context, verdict, stream_fields)


def _commit(
    process: WorkerProcess,
    active: ActivePolicy,
    record: SegmentRecord,
    share: LedgerShare,
    context: SegmentContext,
    verdict: SegmentVerdict | None,
    stream_fields: Mapping[str, str],
) -> None:
    samples = () if verdict is None else verdict.samples
    # The capture end of the latest segment that has ended, for the lag by the clock. A duration is what the broadcaster
    # says, and none went on after it was listed: an hour of it must not hide an hour of lag.
    until_ms = min(record.capture_ms + record.duration_ms, record.admitted_ms)
    stream_fields = {**stream_fields, "settled_until_ms": str(until_ms)}
    settled = settle(
        process.redis,
        context=context,
        hits=() if verdict is None else verdict.hits,
        policy=active.policy,
        coverage_increments=_coverage(share, {} if verdict is None else _counts(record, verdict)),
        stream_fields=stream_fields,
        segment=SegmentFacts(
            key=record.key,
            series=series_of(record.generation, record.epoch),
            capture_ms=record.capture_ms,
            stream=context.stream,
            source=context.source,
            samples=tuple(sample.facts for sample in samples),
            coverage=Coverage.of_ms(
                segment_ms=record.duration_ms,
                moderated_ms=share.moderated_ms,
                unhashable_ms=share.unhashable_ms,
                failed_ms=sum(share.failed_ms.values()),
            ),
        ),
    )
    if settled.outcome is not Settled.SETTLED:
        return
    degraded = tuple(sorted({*context.degraded, *settled.problems}))
    if verdict is not None:
        stream_id = context.stream.stream_id
        process.degraded_marks.note(degraded, stream_id=stream_id, segment_sequence=record.sequence)
    _log_segment(record, share, replace(context, degraded=degraded), verdict)
    now = now_ms(process.redis)
    rows = rows_of(
        replace(context, degraded=degraded),
        samples,
        share,
        epoch=record.epoch,
        begin_ms=record.capture_ms,
        segment_ms=record.duration_ms,
        settled_ms=now if settled.settled_ms is None else settled.settled_ms,
        settled_after=settled.version,
        max_gap_seconds=None if verdict is None else verdict.max_gap_seconds,
        silent=settled.silent,
    )
    process.verdict_log.add(rows, now_ms=now, judged_by=None if verdict is None else verdict.bank)


def _log_segment(
    record: SegmentRecord, share: LedgerShare, context: SegmentContext, verdict: SegmentVerdict | None
) -> None:
    """At debug, a line a segment."""
    if not _log.isEnabledFor(logging.DEBUG):
        return
    samples = () if verdict is None else verdict.samples
    _log.debug(
        "stream %s segment %s: settled",
        context.stream.stream_id,
        record.key,
        extra=fields(
            moderated_ms=share.moderated_ms,
            unhashable_ms=share.unhashable_ms,
            failed=[f"{reason}:{ms}ms" for reason, ms in share.failed_ms.items()],
            samples=len(samples),
            deduplicated=sum(sample.deduplicated for sample in samples),
            rules=sorted({hit.rule for sample in samples for hit in sample.hits}),
            cpu_ms=None if verdict is None else round(verdict.cpu_seconds.total * 1000),
            degraded=context.degraded,
        ),
    )


def _counts(record: SegmentRecord, verdict: SegmentVerdict) -> dict[str, int]:
    short = verdict.duration_seconds * 1000 > 2 * record.duration_ms + ROUNDING_MS
    return {**verdict.counts, SHORT_EXTINF: int(short)}


def _coverage(share: LedgerShare, counts: Mapping[str, int]) -> dict[str, int]:
    """What the segment adds to the stream's ledger."""
    amounts = {
        "moderated": share.moderated_ms,
        "unhashable": share.unhashable_ms,
        **{entry("failed", reason): ms for reason, ms in share.failed_ms.items()},
        f"{COUNT}segments": 1,
        **{f"{COUNT}{what}": count for what, count in counts.items()},
    }
    return {field: amount for field, amount in amounts.items() if amount}


def _last_seen(redis: Redis, record: SegmentRecord, verdict: SegmentVerdict) -> dict[str, str]:
    """For the eyes of operators; of segments that end out of order the last to end counts."""
    last = verdict.samples[-1] if verdict.samples else None
    fields = {"lag_ms": str(max(0, now_ms(redis) - record.capture_ms - record.duration_ms))}
    if last is not None:
        fields["last_scores"] = json.dumps({name: round(score, 4) for name, score in last.scores.items()})
        fields["still"] = last.flat or ("frozen" if last.frozen else "")
    return fields


def _context(
    process: WorkerProcess,
    active: ActivePolicy,
    facts: StreamFacts,
    record: SegmentRecord,
    *,
    lists: Mapping[str, str] | None = None,
    degraded: tuple[str, ...] = (),
) -> SegmentContext:
    return SegmentContext(
        stream=facts,
        generation=record.generation,
        segment_key=record.key,
        deployment=process.settings.deployment,
        versions=process.versions(active, lists, drill=facts.drill),
        degraded=degraded,
        listed_ms=record.admitted_ms or None,
        source=source_of(record.key, record.url),
    )


def gate_key(stream_id: str) -> str:
    """Hash: generation and epoch to the picture last classified."""
    return redis_keys.GATE.of(stream_id)


def _keep_gate(redis: Redis, stream_id: str, record: SegmentRecord, gate: GateState) -> None:
    run_script(
        redis,
        "keep_gate",
        keys=[gate_key(stream_id)],
        args=[f"{record.generation}.{record.epoch}", gate.capture_ms, gate.to_json(), GATE_KEPT_SECONDS],
    )
