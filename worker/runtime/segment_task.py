"""One segment's way: begin, fetch, judge, settle. Everything that can go wrong with it ends in the ledger.

A segment is left pending only where another try may help; then the reconciler sends it again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import OutOfMemoryError

from sampler.errors import DecoderError, SamplerError
from worker.errors import FetchError, OutOfTimeError
from worker.ingest.http.fetch import Fetched
from worker.ingest.http.resource import ByteRange
from worker.ingest.pending.segments import (
    FIRST_DEADLINE_MS,
    Begun,
    BelongsToSlow,
    SegmentRecord,
    begin,
    defer,
    end_trial,
    unread_ms,
)
from worker.ingest.poll.validators import keep_validators
from worker.ingest.registry.signals import stream_facts
from worker.ingest.registry.slow_streams import QUICK_SECONDS, SlowPart, note_slowness
from worker.logs.failure_log import Troubles
from worker.moderation.gate import GateState
from worker.moderation.pipeline import Origin
from worker.policyload.active_policy import ActivePolicy
from worker.policyload.breaker import stuck_among, stuck_keys
from worker.runtime.segment_end import close_seen, close_unseen, gate_key
from worker.runtime.segment_pace import SegmentPace
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import now_ms

_log = logging.getLogger(__name__)
_not_fetched, _decoder_died, _not_sampled = Troubles(_log), Troubles(_log), Troubles(_log)
"""Each by stream."""
_full = Troubles(_log)

MAX_LOSSES = 8
"""Beginnings that never ended, after which a segment is closed as `failed: worker_lost`: nothing loops for ever."""

LOSSES_BEFORE_SLOW = 2
"""Beginnings that never ended, after which the next one is where the slow ones share: each held a process for 18 s,
or ended it. One may be a worker's own end."""

MAX_DECODER_DEATHS = 3
"""After which a segment is closed as `failed: quarantined`."""

MAX_SEGMENT_BYTES = 64 * 2**20
"""A 10 s segment of 40 Mbit/s has 50 MB."""

FETCH_TIMEOUT_SECONDS = 5.0
"""Twice (segment and initialisation), with the decoder's own limit, this stays under the task's soft time limit. Where
the slow ones share; elsewhere both together have `QUICK_SECONDS`."""

RETRY_DELAYS_MS = (1_000, 2_000, 4_000, 8_000, 8_000)
"""After each failed fetch; a live segment is gone within a minute, so more tries would find nothing."""

GRACE_MS = 10_000
"""A segment admitted less than this ago is asked for again even where the origin does not have it: edges lag."""

_FINAL_REASONS = frozenset({"refused_origin", "bad_url", "redirect_loop", "too_large"})
"""Failed fetches that another try would not change."""

PassOn = Callable[[str, str], None]
"""Sends a segment, as (stream ID, segment key), to where its stream belongs by now: if it is slow, to where slow ones
take turns."""


def moderate_segment(
    process: WorkerProcess, stream_id: str, segment_key: str, *, pass_on: PassOn | None = None
) -> None:
    """Moderates one segment, unless it is settled or another worker has it.

    Args:
        pass_on: takes what is too slow for a queue that everybody shares, and what waited for the stream's trial. None:
            it is the turn of a slow stream, and the segment has its full time.
    """
    active = process.active
    begun = begin(process.redis, stream_id, segment_key, slow_too=pass_on is None)
    if isinstance(begun, BelongsToSlow):
        if pass_on is not None:
            pass_on(stream_id, segment_key)
        return
    if begun is None:
        return
    if begun.losses >= MAX_LOSSES:
        _end_trial(process, stream_id, begun, pass_on, quick=False)
        close_unseen(process, active, stream_id, begun.record, "worker_lost")
        return
    if begun.losses >= LOSSES_BEFORE_SLOW and pass_on is not None:
        _hand_over(process, stream_id, begun, pass_on)
        _end_trial(process, stream_id, begun, pass_on, quick=False)
        return
    process.last_words.segment = (stream_id, begun)
    pace = SegmentPace()
    try:
        _moderate(process, active, stream_id, begun, pace, pass_on)
        _note(process, stream_id, pace, shared=pass_on is not None)
    except OutOfTimeError:
        _log.warning("stream %s segment %s: out of time", stream_id, segment_key)
        process.drop_connections()
        # Before the segment comes up again: it would hold a process of everybody's for as long once more.
        _note(process, stream_id, pace, shared=pass_on is not None)
        defer(process.redis, stream_id, begun, delay_ms=0, in_order=False)
    finally:
        process.last_words.segment = None


def _note(process: WorkerProcess, stream_id: str, pace: SegmentPace, *, shared: bool) -> None:
    """Marks the stream as slow, or, of one that is, whether it was quick; costs the others, who are quick, nothing."""
    if pace.slow or (not shared and pace.fetch_seconds is not None):
        note_slowness(process.redis, SlowPart.SEGMENTS, stream_id, slow=pace.slow, held_seconds=pace.held_seconds)


def _moderate(
    process: WorkerProcess,
    active: ActivePolicy,
    stream_id: str,
    begun: Begun,
    pace: SegmentPace,
    pass_on: PassOn | None,
) -> None:
    record = begun.record
    if record.damaged:
        _end_trial(process, stream_id, begun, pass_on, quick=True)
        if not record.duration_ms:
            record = replace(record, duration_ms=unread_ms(process.redis, stream_id))
        _log.warning("stream %s segment %s: its record in Redis cannot be read", stream_id, record.key)
        close_unseen(process, active, stream_id, record, "damaged_record")
        return
    if record.encryption is not None:
        _end_trial(process, stream_id, begun, pass_on, quick=True)
        close_unseen(process, active, stream_id, record, "encrypted")
        return
    try:
        with pace.fetching():
            data, init = _fetch(process, stream_id, record, within_seconds=None if pass_on is None else QUICK_SECONDS)
    except FetchError as error:
        if pass_on is not None and error.reason not in _FINAL_REASONS and pace.failed_slowly:
            _log.debug("stream %s segment %s: goes to the slow queue: %s", stream_id, record.key, error)
            _hand_over(process, stream_id, begun, pass_on)
            _end_trial(process, stream_id, begun, pass_on, quick=False)
            return
        _end_trial(process, stream_id, begun, pass_on, quick=not pace.failed_slowly)
        _not_fetched.met(stream_id, "stream %s segment %s: %s", stream_id, record.key, error, reason=error.reason)
        _after_failed_fetch(process, active, stream_id, begun, error)
        return
    _not_fetched.over(stream_id, "stream %s: its segments can be fetched again", stream_id)
    _end_trial(process, stream_id, begun, pass_on, quick=True)
    facts = stream_facts(process.redis, stream_id, purpose=record.purpose, generation=record.generation)
    gate, stuck, now = _before_judging(process.redis, stream_id, record, list(active.models(drill=True)))
    try:
        with pace.decoding():
            verdict = active.pipeline.moderate(
                data,
                origin=Origin(stream=facts, capture_ms=record.capture_ms, judged_ms=now),
                seed=process.seed(f"{stream_id} {record.key}"),
                init=init,
                gate=gate,
                stuck=stuck,
                fresh=begun.deaths > 0,
            )
    except DecoderError as error:
        _decoder_died.met(stream_id, "stream %s segment %s: %s", stream_id, record.key, error)
        if begun.deaths + 1 >= MAX_DECODER_DEATHS:
            close_unseen(process, active, stream_id, record, "quarantined")
        else:
            defer(process.redis, stream_id, begun, delay_ms=0, counts="deaths")
        return
    except SamplerError as error:
        _not_sampled.met(stream_id, "stream %s segment %s: %s", stream_id, record.key, error, reason=error.reason)
        close_unseen(process, active, stream_id, record, error.reason)
        return
    _decoder_died.over(stream_id, "stream %s: its segments do not end the decoder any more", stream_id)
    _not_sampled.over(stream_id, "stream %s: its segments can be sampled again", stream_id)
    close_seen(process, active, facts, record, verdict)


def _end_trial(process: WorkerProcess, stream_id: str, begun: Begun, pass_on: PassOn | None, *, quick: bool) -> None:
    """Sends the segments that waited for this one's fetch, if it was the stream's trial."""
    if begun.trial and pass_on is not None:
        parked = end_trial(process.redis, stream_id, quick=quick)
        with _unless_refused(stream_id):
            for key in parked:
                pass_on(stream_id, key)


@contextmanager
def _unless_refused(stream_id: str) -> Iterator[None]:
    """Leaves out messages that a full Redis does not take: the reconciler sends them when there is room. The segment in
    hand must not be lost over them."""
    try:
        yield
    except (OutOfMemoryError, OperationalError) as error:
        if not isinstance(error, OutOfMemoryError) and not isinstance(error.__cause__, OutOfMemoryError):
            raise
        _full.met("full", "stream %s: segments that waited are sent later: Redis is full", stream_id)


def _hand_over(process: WorkerProcess, stream_id: str, begun: Begun, pass_on: PassOn) -> None:
    """Leaves a segment to the slow queue, as if it had not been begun: no try of it is counted.

    The mark comes first, so that what else waits of the stream is passed on without a fetch. Should the message be
    lost, the reconciler sends another, which by the mark goes to the slow queue too.
    """
    note_slowness(process.redis, SlowPart.SEGMENTS, stream_id, slow=True, held_seconds=QUICK_SECONDS)
    defer(process.redis, stream_id, begun, delay_ms=FIRST_DEADLINE_MS)
    with _unless_refused(stream_id):
        pass_on(stream_id, begun.record.key)


def _fetch(
    process: WorkerProcess, stream_id: str, record: SegmentRecord, *, within_seconds: float | None
) -> tuple[bytes, bytes]:
    """The segment's bytes, and those of its initialisation section; `within_seconds` bounds both together."""
    until_seconds = None if within_seconds is None else time.monotonic() + within_seconds

    def fetch(url: str, byte_range: ByteRange | None) -> Fetched:
        left_seconds = FETCH_TIMEOUT_SECONDS if until_seconds is None else until_seconds - time.monotonic()
        return process.fetcher.fetch_sync(
            url, max_bytes=MAX_SEGMENT_BYTES, timeout_seconds=left_seconds, byte_range=byte_range
        )

    segment = fetch(record.url, record.byte_range)
    keep_validators(process.redis, stream_id, record.key, segment.validators)
    init = b"" if record.init_url is None else fetch(record.init_url, record.init_byte_range).body
    return segment.body, init


def _after_failed_fetch(
    process: WorkerProcess, active: ActivePolicy, stream_id: str, begun: Begun, error: FetchError
) -> None:
    """Tries again while the segment is alive; then it is a gap with its reason."""
    record = begun.record
    may_come = not error.gone or now_ms(process.redis) - record.admitted_ms < GRACE_MS
    if error.reason not in _FINAL_REASONS and may_come and begun.fetches < len(RETRY_DELAYS_MS):
        defer(process.redis, stream_id, begun, delay_ms=RETRY_DELAYS_MS[begun.fetches], counts="fetches")
        return
    close_unseen(process, active, stream_id, record, "lost" if error.gone else error.reason)


def _before_judging(
    redis: Redis, stream_id: str, record: SegmentRecord, models: Sequence[str]
) -> tuple[GateState | None, frozenset[str], int]:
    """The picture last classified, which of `models` are left out now, and Redis's clock in ms; in one round trip."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.hget(gate_key(stream_id), f"{record.generation}.{record.epoch}")
        pipe.mget(stuck_keys(models))
        pipe.time()
        kept, found, (seconds, microseconds) = pipe.execute()
    now = int(seconds) * 1000 + int(microseconds) // 1000
    return None if kept is None else GateState.read(str(kept)), stuck_among(models, found, now_ms=now), now
