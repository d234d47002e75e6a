"""The way of one segment: begin, fetch, moderate, commit. Whatever goes wrong on it ends in the ledger.

Each step returns what the next one needs, or the segment's outcome. A segment is left pending only where another try
may help; then the reconciler sends it again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from sampler.errors import DecoderError, DecoderMemoryError, SamplerError, UndecodableError
from worker.errors import FetchError, OutOfTimeError
from worker.incidents.keys import context_key
from worker.incidents.segment_evidence import OpenContext, contexts_of
from worker.ingest.pending.segments import Begun, BelongsToSlow, SegmentRecord, begin, pending_key, series_of
from worker.ingest.poll.validators import keep_validators
from worker.ingest.registry.signals import stream_facts
from worker.logs.failure_log import FailureLog
from worker.moderation.gate import GateState
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.segment_before import SegmentBytes
from worker.policyload.breaker import stuck_among, stuck_keys
from worker.runtime.begun_segment import (
    BegunSegment,
    Deferred,
    HandedOver,
    Moderated,
    PassOn,
    SegmentOutcome,
    Unmoderated,
)
from worker.runtime.kept_parameter_sets import ask_for_entry, key_before, parameter_sets_before
from worker.runtime.rendition_audit import RenditionAudit
from worker.runtime.segment_end import SegmentEnd, gate_key
from worker.runtime.segment_fetches import SegmentFetches, TookLongError
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import now_ms, time_ms

_log = logging.getLogger(__name__)
_not_fetched, _decoder_died, _not_sampled = FailureLog(_log), FailureLog(_log), FailureLog(_log)
"""Each by stream."""

MAX_LOSSES = 8
"""Beginnings that never ended, after which a segment is closed as `failed: worker_lost`: none loops without end."""

LOSSES_BEFORE_SLOW = 2
"""Beginnings that never ended, after which the next one is in the slow queue, and without the segment before: each held
a process for 18 s, or ended it. One may be a worker's own end."""

MAX_DECODER_DEATHS = 3
"""After which a segment is closed as `failed: quarantined`."""

RETRY_DELAYS_MS = (1_000, 2_000, 4_000, 8_000, 8_000)
"""After each failed fetch; a live segment is gone within a minute, so more tries would find nothing."""

GRACE_MS = 10_000
"""A segment admitted less than this ago is requested again even where the origin does not have it: edges lag."""

_FINAL_REASONS = frozenset({"refused_origin", "bad_url", "redirect_loop", "too_large"})
"""Failed fetches that another try would not change."""


def moderate_segment(
    process: WorkerProcess, stream_id: str, segment_key: str, *, pass_on: PassOn | None = None
) -> None:
    """Moderates one segment, unless it is settled or another worker has it.

    Args:
        pass_on: takes what is too slow for a shared queue, and what waited for the stream's trial. None: the segment
            comes from the slow queue, and has its full time.
    """
    active = process.active
    begun = begin(process.redis, stream_id, segment_key, slow_too=pass_on is None)
    if isinstance(begun, BelongsToSlow) and pass_on is not None:
        pass_on(stream_id, segment_key)
    if not isinstance(begun, Begun):
        return
    segment = BegunSegment(redis=process.redis, stream_id=stream_id, begun=begun, pass_on=pass_on)
    process.stuck_model.segment = (stream_id, begun)
    try:
        fetches = SegmentFetches(
            fetcher=process.fetcher, record=segment.record, pace=segment.pace, shared=pass_on is not None
        )
        outcome = _check(segment) or _fetch(segment, fetches)
        if isinstance(outcome, SegmentBytes):
            # A slash, which no stream's ID has: no segment's seed, which the decoder child gets, is a gate's.
            series = series_of(segment.record.generation, segment.record.epoch)
            named = f"{stream_id} {segment_key}"
            *seeds, audited = process.seeds(named, f"gate/{stream_id} {series}", f"rendition/{named}")
            audit = RenditionAudit(
                segment=segment, fetcher=process.fetcher, active=active, evidence=process.evidence, seed=audited
            )
            outcome = _moderate(segment, outcome, fetches, audit, seeds=seeds)
        _conclude(segment, outcome, process.segment_end(active))
        segment.note_pace()
    except OutOfTimeError:
        _log.warning("stream %s segment %s: out of time", stream_id, segment_key)
        process.drop_connections()
        # Before the segment comes up again: it would hold a process of a shared queue for as long once more.
        segment.note_pace()
        segment.defer(delay_ms=0, in_order=False)
    finally:
        process.stuck_model.segment = None


def _check(segment: BegunSegment) -> SegmentOutcome | None:
    """The outcome of a segment that is not fetched here; None: it is to be fetched."""
    begun, record = segment.begun, segment.record
    if begun.losses >= MAX_LOSSES:
        return Unmoderated(reason="worker_lost", quick=False)
    if begun.losses >= LOSSES_BEFORE_SLOW and segment.pass_on is not None:
        return HandedOver()
    if record.damaged:
        _log.warning("stream %s segment %s: its record in Redis cannot be read", segment.stream_id, record.key)
        return Unmoderated(reason="damaged_record")
    return None if record.encryption is None else Unmoderated(reason="encrypted")


def _fetch(segment: BegunSegment, fetches: SegmentFetches) -> SegmentBytes | SegmentOutcome:
    """Fetches the segment, and ends its stream's trial where that succeeds."""
    stream_id = segment.stream_id
    try:
        answer, media = fetches.segment()
    except FetchError as error:
        return _after_failed_fetch(segment, error)
    keep_validators(segment.redis, stream_id, segment.record.key, answer.validators)
    _not_fetched.over(stream_id, "stream %s: its segments can be fetched again", stream_id)
    segment.end_trial(quick=True)
    return media


def _after_failed_fetch(segment: BegunSegment, error: FetchError) -> SegmentOutcome:
    """Defers the segment while it is alive; then it is a gap with its reason."""
    stream_id, record = segment.stream_id, segment.record
    quick, final = not segment.pace.failed_slowly, error.reason in _FINAL_REASONS
    if segment.pass_on is not None and not final and not quick:
        _log.debug("stream %s segment %s: goes to the slow queue: %s", stream_id, record.key, error)
        return HandedOver()
    _not_fetched.met(stream_id, "stream %s segment %s: %s", stream_id, record.key, error, reason=error.reason)
    tries = segment.begun.fetches
    may_come = not error.gone or now_ms(segment.redis) - record.admitted_ms < GRACE_MS
    if not final and may_come and tries < len(RETRY_DELAYS_MS):
        return Deferred(delay_ms=RETRY_DELAYS_MS[tries], counts="fetches", quick=quick)
    return Unmoderated(reason="lost" if error.gone else error.reason, quick=quick)


def _moderate(
    segment: BegunSegment,
    media: SegmentBytes,
    fetches: SegmentFetches,
    audit: RenditionAudit,
    *,
    seeds: Sequence[bytes],
) -> SegmentOutcome:
    """Samples the segment and gives its pictures their verdicts, and now and then those of another rendition; `seeds`:
    of its samples, and of its stream's gate."""
    stream_id, record, deaths, active = segment.stream_id, segment.record, segment.begun.deaths, audit.active
    # The segment before may have ended the decoder, or the tasks: this one is moderated without it.
    alone = deaths > 0 or segment.begun.losses >= LOSSES_BEFORE_SLOW
    facts = stream_facts(
        segment.redis, stream_id, purpose=record.purpose, generation=record.generation, risk=active.policy.risk
    )
    before = _read_before(segment.redis, stream_id, record, list(active.models(drill=True)))
    versions = {"policy": active.policy.version, "models": dict(active.models(drill=facts.drill))}
    try:
        with segment.pace.decoding():
            verdict = active.pipeline.moderate(
                media.data,
                context=ModerationContext(
                    stream=facts,
                    capture_ms=record.capture_ms,
                    judged_ms=before.now_ms,
                    parameter_sets=before.parameter_sets,
                ),
                seed=seeds[0],
                init=media.init,
                gate=before.gate,
                gate_seed=seeds[1],
                stuck=before.stuck,
                capture=audit.evidence.request(
                    record.key, sealed_ms=before.now_ms, versions=versions, open_contexts=before.open_contexts
                ),
                fresh=deaths > 0,
                before=None if alone else fetches.before,
            )
    except TookLongError:
        return HandedOver()
    except DecoderError as error:
        _decoder_died.met(stream_id, "stream %s segment %s: %s", stream_id, record.key, error)
        # The pipeline has tried it in a fresh decoder.
        if isinstance(error, DecoderMemoryError) and error.at_bound and not fetches.has_before:
            return Unmoderated(reason=error.reason)
        is_last = deaths + 1 >= MAX_DECODER_DEATHS
        return Unmoderated(reason="quarantined") if is_last else Deferred(delay_ms=0, counts="deaths")
    except SamplerError as error:
        if error.reason == UndecodableError.reason and before.may_get_sets:
            # However often: one whose worker died comes up again after half a minute, and ends at last.
            tries = min(segment.begun.fetches, len(RETRY_DELAYS_MS) - 1)
            return Deferred(delay_ms=RETRY_DELAYS_MS[tries], counts="fetches")
        _not_sampled.met(stream_id, "stream %s segment %s: %s", stream_id, record.key, error, reason=error.reason)
        return Unmoderated(reason=error.reason)
    _decoder_died.over(stream_id, "stream %s: its segments do not end the decoder any more", stream_id)
    _not_sampled.over(stream_id, "stream %s: its segments can be sampled again", stream_id)
    verdict = audit.added_to(
        verdict,
        facts=facts,
        judged_ms=before.now_ms,
        stuck=before.stuck,
        versions=versions,
        media_bytes=len(media.data) + len(media.init),
    )
    return Moderated(facts=facts, verdict=verdict)


def _conclude(segment: BegunSegment, outcome: SegmentOutcome, end: SegmentEnd) -> None:
    """Acts on an outcome. The stream's trial ends before a commit, for which other segments need not wait."""
    if isinstance(outcome, HandedOver):
        segment.hand_over()
    segment.end_trial(quick=outcome.quick)
    match outcome:
        case Deferred():
            segment.defer(delay_ms=outcome.delay_ms, counts=outcome.counts)
        case Unmoderated():
            end.close_unseen(segment.stream_id, segment.record, outcome.reason)
        case Moderated():
            end.close_moderated(outcome.facts, segment.record, outcome.verdict)


@dataclass(frozen=True, kw_only=True)
class _Before:
    """State of a stream that its next segment is moderated with."""

    gate: GateState | None
    """The classified picture that was shown last."""
    stuck: frozenset[str]
    """Models that are left out now."""
    open_contexts: tuple[OpenContext, ...]
    """Incidents that get context pictures."""
    now_ms: int
    """Redis's clock."""
    parameter_sets: bytes
    """Those in force at the end of the segment before; b"": not known."""
    may_get_sets: bool
    """They may be known once the segment before is settled."""


def _read_before(redis: Redis, stream_id: str, record: SegmentRecord, models: Sequence[str]) -> _Before:
    """Reads it in one go."""
    earlier = key_before(record)
    with redis.pipeline(transaction=False) as pipe:
        # Asked first: what is not pending any more has left its parameter sets.
        pipe.hexists(pending_key(stream_id), "" if earlier is None else earlier)
        ask_for_entry(pipe, stream_id, record)
        pipe.hget(gate_key(stream_id), series_of(record.generation, record.epoch))
        pipe.mget(stuck_keys(models))
        pipe.time()
        pipe.hgetall(context_key(stream_id))
        *answers, contexts = pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    pending, entry, kept, found, clock = answers
    sets = parameter_sets_before(entry, record)
    now = time_ms(clock)
    return _Before(
        gate=None if kept is None else GateState.read(str(kept)),
        stuck=stuck_among(models, found, now_ms=now),
        # A foreign key costs context alone.
        open_contexts=contexts_of(contexts) if isinstance(contexts, dict) else (),
        now_ms=now,
        parameter_sets=sets,
        may_get_sets=bool(pending) and not sets,
    )
