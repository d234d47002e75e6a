"""One segment's way: begin, fetch, judge, settle. Everything that can go wrong with it ends in the ledger.

A segment is left pending only where another try may help; then the reconciler sends it again.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from redis import Redis

from config.facts import Coverage, SegmentFacts, StreamFacts
from sampler.errors import DecoderError, SamplerError
from worker.errors import FetchError, OutOfTimeError
from worker.fetching.fetch import Fetched
from worker.fetching.resource import ByteRange
from worker.incidents.events import Occasion
from worker.incidents.settlement import Settled, settle
from worker.pipeline import Origin
from worker.policy.breaker import stuck_among, stuck_keys
from worker.policy.judging import Judging
from worker.polling.due import no_video_mark
from worker.polling.hls import rendition_of
from worker.polling.segments import Begun, SegmentRecord, begin, defer, forget_tries, series_of
from worker.polling.validators import keep_validators
from worker.process import Process
from worker.redisdb import now_ms, run_script
from worker.softlimit import soft_limit
from worker.streams.coverage import COUNT, entry
from worker.streams.signals import stream_facts
from worker.verdictlog.rows import rows_of
from worker.verdicts.accounting import LedgerShare
from worker.verdicts.gate import GateState
from worker.verdicts.verdict import SegmentVerdict

_log = logging.getLogger(__name__)

MAX_LOSSES = 8
"""Beginnings that never ended, after which a segment is closed as `failed: worker_lost`: nothing loops for ever."""

MAX_DECODER_DEATHS = 3
"""After which a segment is closed as `failed: quarantined`."""

MAX_SEGMENT_BYTES = 64 * 2**20
"""A 10 s segment of 40 Mbit/s has 50 MB."""

FETCH_TIMEOUT_SECONDS = 5.0
"""Twice (segment and initialisation), with the decoder's own limit, this stays under the task's soft time limit."""

RETRY_DELAYS_MS = (1_000, 2_000, 4_000, 8_000, 8_000)
"""After each failed fetch; a live segment is gone within a minute, so more tries would find nothing."""

GRACE_MS = 10_000
"""A segment admitted less than this ago is asked for again even where the origin does not have it: edges lag."""

_FINAL_REASONS = frozenset({"refused_origin", "bad_url", "redirect_loop", "too_large"})
"""Failed fetches that another try would not change."""

_NO_VIDEO_REASONS = frozenset({"no_video", "audio_only"})
"""After which the poll moves on to another rendition, if there is one."""

GATE_KEPT_SECONDS = 300
"""Well above the 30 s for which the gate lets a picture pass for another."""


def moderate_segment(process: Process, stream_id: str, segment_key: str) -> None:
    """Moderates one segment, unless it is settled or another worker has it."""
    judging = process.judging
    begun = begin(process.redis, stream_id, segment_key)
    if begun is None:
        return
    if begun.losses >= MAX_LOSSES:
        _fail(process, judging, stream_id, begun.record, "worker_lost")
        return
    process.last_words.segment = (stream_id, segment_key)
    try:
        _moderate(process, judging, stream_id, begun)
    except OutOfTimeError:
        _log.warning("stream %s segment %s: out of time", stream_id, segment_key)
        process.drop_connections()
        defer(process.redis, stream_id, segment_key, delay_ms=0, in_order=False)
    finally:
        process.last_words.segment = None


def _moderate(process: Process, judging: Judging, stream_id: str, begun: Begun) -> None:
    record = begun.record
    if record.encryption is not None:
        _fail(process, judging, stream_id, record, "encrypted")
        return
    try:
        data, init = _fetch(process, stream_id, record)
    except FetchError as error:
        _log.warning("stream %s segment %s: %s", stream_id, record.key, error)
        _after_failed_fetch(process, judging, stream_id, begun, error)
        return
    facts = stream_facts(process.redis, stream_id)
    gate, stuck = _gate_and_stuck(process.redis, stream_id, record, list(judging.models(drill=True)))
    try:
        verdict = judging.pipeline.moderate(
            data,
            origin=Origin(stream=facts, capture_ms=record.capture_ms),
            seed=process.seed(f"{stream_id} {record.key}"),
            init=init,
            gate=gate,
            stuck=stuck,
        )
    except DecoderError as error:
        _log.warning("stream %s segment %s: %s", stream_id, record.key, error)
        if begun.deaths + 1 >= MAX_DECODER_DEATHS:
            _fail(process, judging, stream_id, record, "quarantined")
        else:
            defer(process.redis, stream_id, record.key, delay_ms=0, counts="deaths")
        return
    except SamplerError as error:
        _log.warning("stream %s segment %s: %s", stream_id, record.key, error)
        _fail(process, judging, stream_id, record, error.reason)
        return
    _settle(process, judging, facts, record, verdict)


def _fetch(process: Process, stream_id: str, record: SegmentRecord) -> tuple[bytes, bytes]:
    """The segment's bytes, and those of its initialisation section."""

    def fetch(url: str, byte_range: ByteRange | None) -> Fetched:
        return process.fetcher.fetch_sync(
            url, max_bytes=MAX_SEGMENT_BYTES, timeout_seconds=FETCH_TIMEOUT_SECONDS, byte_range=byte_range
        )

    segment = fetch(record.url, record.byte_range)
    keep_validators(process.redis, stream_id, record.key, segment.validators)
    init = b"" if record.init_url is None else fetch(record.init_url, record.init_byte_range).body
    return segment.body, init


def _after_failed_fetch(process: Process, judging: Judging, stream_id: str, begun: Begun, error: FetchError) -> None:
    """Tries again while the segment is alive; then it is a gap with its reason."""
    record = begun.record
    may_come = not error.gone or now_ms(process.redis) - record.admitted_ms < GRACE_MS
    if error.reason not in _FINAL_REASONS and may_come and begun.fetches < len(RETRY_DELAYS_MS):
        defer(process.redis, stream_id, record.key, delay_ms=RETRY_DELAYS_MS[begun.fetches], counts="fetches")
        return
    _fail(process, judging, stream_id, record, "lost" if error.gone else error.reason)


def _fail(process: Process, judging: Judging, stream_id: str, record: SegmentRecord, reason: str) -> None:
    """Closes a segment of which nothing was seen."""
    facts = stream_facts(process.redis, stream_id)
    share = LedgerShare(moderated_ms=0, unhashable_ms=0, failed_ms={reason: record.duration_ms})
    mark = no_video_mark(record.generation, rendition_of(record.key)) if reason in _NO_VIDEO_REASONS else None
    _close(process, judging, record, share, _occasion(process, judging, facts, record), no_video=mark)


def _settle(
    process: Process, judging: Judging, facts: StreamFacts, record: SegmentRecord, verdict: SegmentVerdict
) -> None:
    degraded = (*verdict.degraded, *process.verdict_log.degraded)
    occasion = _occasion(process, judging, facts, record, lists=verdict.list_versions, degraded=degraded)
    _close(process, judging, record, verdict.ledger_share(record.duration_ms), occasion, verdict)
    if verdict.gate is not None:
        _keep_gate(process.redis, facts.stream_id, record, verdict.gate)


def _close(
    process: Process,
    judging: Judging,
    record: SegmentRecord,
    share: LedgerShare,
    occasion: Occasion,
    verdict: SegmentVerdict | None = None,
    *,
    no_video: str | None = None,
) -> None:
    """Publishes what is to be told and settles the segment, in one step, and returns when that is on disk.

    What is in the log comes after that, so that nothing is there twice.
    """
    stream_fields = {} if no_video is None else {"no_video": no_video}
    if verdict is not None:
        stream_fields = _last_seen(process.redis, record, verdict) | {"degraded": json.dumps(occasion.degraded)}
        stream_fields["no_video"] = ""
    with soft_limit.commit():
        _commit(process, judging, record, share, occasion, verdict, stream_fields)


def _commit(
    process: Process,
    judging: Judging,
    record: SegmentRecord,
    share: LedgerShare,
    occasion: Occasion,
    verdict: SegmentVerdict | None,
    stream_fields: Mapping[str, str],
) -> None:
    samples = () if verdict is None else verdict.samples
    settled = settle(
        process.redis,
        occasion=occasion,
        hits=() if verdict is None else verdict.hits,
        policy=judging.policy,
        coverage_increments=_coverage(share, {} if verdict is None else verdict.counts),
        stream_fields=stream_fields,
        segment=SegmentFacts(
            key=record.key,
            series=series_of(record.generation, record.epoch),
            capture_ms=record.capture_ms,
            stream=occasion.stream,
            samples=tuple(sample.facts for sample in samples),
            coverage=Coverage.of_ms(
                segment_ms=record.duration_ms,
                moderated_ms=share.moderated_ms,
                unhashable_ms=share.unhashable_ms,
                failed_ms=sum(share.failed_ms.values()),
            ),
        ),
    )
    forget_tries(process.redis, occasion.stream.stream_id, occasion.segment_key)
    if settled.outcome is not Settled.SETTLED:
        return
    now = now_ms(process.redis)
    rows = rows_of(
        replace(occasion, degraded=tuple(sorted({*occasion.degraded, *settled.problems}))),
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
    process.verdict_log.add(rows, now_ms=now)


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


def _occasion(
    process: Process,
    judging: Judging,
    facts: StreamFacts,
    record: SegmentRecord,
    *,
    lists: Mapping[str, str] | None = None,
    degraded: tuple[str, ...] = (),
) -> Occasion:
    return Occasion(
        stream=facts,
        generation=record.generation,
        segment_key=record.key,
        deployment=process.settings.deployment,
        versions=process.versions(judging, lists, drill=facts.drill),
        degraded=degraded,
    )


def gate_key(stream_id: str) -> str:
    """Hash: generation and epoch to the picture last classified."""
    return f"lw:gate:{stream_id}"


def _gate_and_stuck(
    redis: Redis, stream_id: str, record: SegmentRecord, models: Sequence[str]
) -> tuple[GateState | None, frozenset[str]]:
    """The picture last classified, and which of `models` are left out now; in one round trip."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.hget(gate_key(stream_id), f"{record.generation}.{record.epoch}")
        pipe.mget(stuck_keys(models))
        kept, found = pipe.execute()
    return None if kept is None else GateState.from_json(str(kept)), stuck_among(models, found)


def _keep_gate(redis: Redis, stream_id: str, record: SegmentRecord, gate: GateState) -> None:
    run_script(
        redis,
        "keep_gate",
        keys=[gate_key(stream_id)],
        args=[f"{record.generation}.{record.epoch}", gate.capture_ms, gate.to_json(), GATE_KEPT_SECONDS],
    )
