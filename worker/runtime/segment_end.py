"""The end of a segment: its findings, or the reason that there are none, are published, counted and logged."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic

from redis import Redis

from config.facts import SegmentFacts, StreamFacts
from worker.bank.lists_in_force import BankSource
from worker.incidents.commit import Settled, settle
from worker.incidents.segment_context import SegmentContext, Versions
from worker.incidents.segment_evidence import NO_EVIDENCE, SegmentEvidence
from worker.ingest.coverage.ledger import COUNT
from worker.ingest.pending.segments import SegmentRecord, series_of, source_of, unread_ms
from worker.ingest.playlist.hls import rendition_of
from worker.ingest.playlist.outcome import SHORT_EXTINF
from worker.ingest.poll.due import no_video_mark
from worker.ingest.registry.kept_risk import score_fields, signal_fields
from worker.ingest.registry.signals import stream_facts
from worker.logs.fields import fields
from worker.moderation.accounting import ROUNDING_MS, LedgerShare
from worker.moderation.gate import GateState
from worker.moderation.verdict import SegmentVerdict
from worker.policyload.active_policy import ActivePolicy
from worker.processes.soft_limit import soft_limit
from worker.runtime.degraded_marks import DegradedMarks
from worker.runtime.evidence_writer import EvidenceWriter
from worker.runtime.kept_parameter_sets import keep_parameter_sets
from worker.runtime.segment_series import note, note_beside, series_segment
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script
from worker.verdictlog.rows import rows_of
from worker.verdictlog.writer import VerdictWriter

_log = logging.getLogger(__name__)

_NO_VIDEO_REASONS = frozenset({"no_video", "audio_only"})
"""After these the poll moves on to another rendition, if there is one."""

gate_key = redis_keys.GATE.of
"""Key of the hash that maps generation and epoch to the classified picture that was shown last."""
GATE_KEPT_SECONDS = redis_keys.GATE.seconds
"""Well above the 30 s for which, at most, the gate lets a picture repeat another."""


@dataclass(frozen=True, kw_only=True)
class SegmentEnd:
    """Ends segments with the policy in force; each is published, in the ledger and in the log."""

    redis: Redis
    active: ActivePolicy
    bank: BankSource
    deployment: str
    verdict_log: VerdictWriter
    degraded_marks: DegradedMarks
    evidence: EvidenceWriter

    def close_unseen(self, stream_id: str, record: SegmentRecord, reason: str) -> None:
        """Closes a segment of which nothing was seen."""
        if record.damaged and not record.duration_ms:
            record = replace(record, duration_ms=unread_ms(self.redis, stream_id))
        facts = stream_facts(
            self.redis, stream_id, purpose=record.purpose, generation=record.generation, risk=self.active.policy.risk
        )
        share = LedgerShare(moderated_ms=0, unhashable_ms=0, failed_ms={reason: record.duration_ms})
        context, fields = self._context(facts, record, self.bank().versions), {}
        if reason in _NO_VIDEO_REASONS:
            fields["no_video"] = no_video_mark(record.generation, rendition_of(record.key))
        with soft_limit.commit():
            self._commit(record, share, context, None, fields)

    def close_moderated(self, facts: StreamFacts, record: SegmentRecord, verdict: SegmentVerdict) -> None:
        """Closes a segment that has a verdict."""
        now = now_ms(self.redis)
        # On disk before its segment settles: an event names no picture that a worker's death could take away.
        evidence = self.evidence.keep(verdict.evidence)
        degraded = tuple(sorted({*verdict.degraded, *self.verdict_log.degraded, *evidence.degraded}))
        context = replace(self._context(facts, record, verdict.list_versions, degraded), sampled_ms=now)
        if verdict.parameter_sets:
            keep_parameter_sets(self.redis, facts.stream_id, record, verdict.parameter_sets)
        fields = _last_seen(record, verdict, now_ms=now) | {"degraded": json.dumps(degraded), "no_video": ""}
        scores = (sample.scores for sample in verdict.samples)
        risk, share = self.active.policy.risk, verdict.ledger_share(record.duration_ms)
        fields |= score_fields(scores, purpose=facts.purpose, now_ms=now, settings=risk)
        fields |= signal_fields(
            share.lost_ms,
            segment_ms=record.duration_ms,
            purpose=facts.purpose,
            now_ms=now,
            settings=risk,
            notes=verdict.notes,
        )
        with soft_limit.commit():
            self._commit(record, share, context, verdict, fields, evidence)
        if verdict.gate is not None:
            _keep_gate(self.redis, facts.stream_id, record, verdict.gate)

    def _context(
        self, facts: StreamFacts, record: SegmentRecord, lists: Mapping[str, str], degraded: tuple[str, ...] = ()
    ) -> SegmentContext:
        models = self.active.models(drill=facts.drill)
        return SegmentContext(
            stream=facts,
            generation=record.generation,
            segment_key=record.key,
            deployment=self.deployment,
            versions=Versions(policy=self.active.policy.version, lists=dict(lists), models=dict(models)),
            degraded=degraded,
            listed_ms=record.admitted_ms or None,
            source=source_of(record.key, record.url),
        )

    def _commit(
        self,
        record: SegmentRecord,
        share: LedgerShare,
        context: SegmentContext,
        verdict: SegmentVerdict | None,
        stream_fields: Mapping[str, str],
        evidence: SegmentEvidence = NO_EVIDENCE,
    ) -> None:
        """Publishes the segment's findings and settles it, in one step, and returns when that is on disk.

        The verdict log is written after that, so that nothing is in it twice.
        """
        samples = () if verdict is None else verdict.samples
        # The capture end of the latest segment that has ended, for the lag by the clock. A duration is the
        # broadcaster's claim, and none goes on after it was listed: a claimed hour must not hide an hour of lag.
        until_ms = min(record.capture_ms + record.duration_ms, record.admitted_ms)
        stream, series = context.stream, series_segment(record, share, verdict, self.active.policy)
        # Before: if Redis goes away once the segment is settled, nobody else logs its verdicts.
        now, now_at = now_ms(self.redis), monotonic()
        settled = settle(
            self.redis,
            context=context,
            hits=() if verdict is None else verdict.hits,
            policy=self.active.policy,
            coverage_increments=_coverage(share, {} if verdict is None else _counts(record, verdict)),
            stream_fields={**stream_fields, "settled_until_ms": str(until_ms)},
            segment=SegmentFacts(
                key=record.key,
                series=series_of(record.generation, record.epoch),
                capture_ms=record.capture_ms,
                stream=context.stream,
                source=context.source,
                samples=tuple(sample.facts for sample in samples),
                coverage=share.coverage(record.duration_ms),
            ),
            evidence=evidence,
            beside=note_beside(stream.stream_id, stream.purpose, series),
        )
        self.evidence.drop(settled.unneeded)
        if settled.outcome is not Settled.SETTLED:
            return
        context = replace(context, degraded=tuple(sorted({*context.degraded, *settled.problems})))
        if verdict is not None:
            marks = context.degraded
            self.degraded_marks.note(marks, stream_id=stream.stream_id, segment_sequence=record.sequence)
        _log_segment(record, share, context, verdict)
        now += round((monotonic() - now_at) * 1000)
        rows = rows_of(
            context,
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
        self.verdict_log.add(rows, now_ms=now, judged_by=None if verdict is None else verdict.bank)
        note(self.redis, stream.stream_id, stream.purpose, series, noted=settled.beside)


def _log_segment(
    record: SegmentRecord, share: LedgerShare, context: SegmentContext, verdict: SegmentVerdict | None
) -> None:
    """Logs a line a segment at debug level."""
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
            skipped=[f"{reason}:{ms}ms" for reason, ms in share.skipped_ms.items()],
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
    """Returns what the segment adds to the stream's ledger."""
    amounts = {
        "moderated": share.moderated_ms,
        "unhashable": share.unhashable_ms,
        **share.entries,
        f"{COUNT}segments": 1,
        **{f"{COUNT}{name}": count for name, count in counts.items()},
    }
    return {field: amount for field, amount in amounts.items() if amount}


def _last_seen(record: SegmentRecord, verdict: SegmentVerdict, *, now_ms: int) -> dict[str, str]:
    """Stream fields for operators; of segments that end out of order the last to end counts."""
    last = next((sample for sample in reversed(verdict.samples) if sample.source is None), None)
    fields = {"lag_ms": str(max(0, now_ms - record.capture_ms - record.duration_ms))}
    if last is not None:
        fields["last_scores"] = json.dumps({name: round(score, 4) for name, score in last.scores.items()})
        fields["still"] = last.flat or ("frozen" if last.frozen else "")
    return fields


def _keep_gate(redis: Redis, stream_id: str, record: SegmentRecord, gate: GateState) -> None:
    run_script(
        redis,
        "keep_gate",
        keys=[gate_key(stream_id)],
        args=[f"{record.generation}.{record.epoch}", gate.capture_ms, gate.to_json(), GATE_KEPT_SECONDS],
    )
