"""The tasks. Each parses, calls and translates; the work is in plain modules."""

import logging
from functools import partial

from celery import current_task, shared_task
from redis.exceptions import OutOfMemoryError

from worker.evidence.spool import Spool
from worker.ingest.pending.fair_queue import QUEUE_OF, Lane, add_waiting, holding, lacks_message, take_waiting
from worker.ingest.pending.queues import CONTROL
from worker.ingest.poll.failures import publish_poll_failed
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.kept_risk import risk_of
from worker.ingest.registry.slow_streams import SlowPart, is_slow
from worker.logs.failure_log import FailureLog
from worker.lookback.late_files import register_again
from worker.lookback.search import look_back
from worker.retention.forget import ErasureWork, go_on
from worker.retention.purge import Purge, purge
from worker.runtime.audit_copy import copy_audit
from worker.runtime.celery_app import app, process, tick_now
from worker.runtime.looks import look
from worker.runtime.segment_series import note_missed
from worker.runtime.segment_task import moderate_segment
from worker.runtime.upkeep import look_after
from worker.store.object_store import ObjectStore
from worker.verdictlog import outcomes, retention
from worker.verdictlog.erasure import erase_stream

_trouble = FailureLog(logging.getLogger(__name__))

HOUSEKEEPING_EXPIRES_SECONDS = 10
"""Sent every two seconds, they would pile up in a queue that no worker serves."""


@shared_task(name="livewarden.tick")
def tick_task() -> None:
    """Sends the polls that are due."""
    tick_now()


@shared_task(name="livewarden.poll")
def poll_task() -> None:
    """Polls one batch of due streams."""
    _poll(slow=False)


@shared_task(name="livewarden.slow_poll")
def slow_poll_task() -> None:
    """Polls one batch of due streams whose playlists take long."""
    _poll(slow=True)


def _poll(*, slow: bool) -> None:
    try:
        poll_due(
            process.redis,
            process.fetcher,
            height_pixels=process.settings.rendition_height_pixels,
            send=send_segment,
            report=lambda failure: publish_poll_failed(process.redis, failure, deployment=process.settings.deployment),
            slow=slow,
            deployment=process.settings.deployment,
            risk=process.policy.risk,
            note_missed=lambda stream, missed: note_missed(process.redis, stream, missed),
        )
    except OutOfMemoryError:
        _trouble.met("full", "streams are polled again when Redis has room")
    else:
        _trouble.over("full", "streams are polled again")


@shared_task(name="livewarden.reconcile")
def reconcile_task() -> None:
    """Does the upkeep of every few seconds."""
    look_after(process, send=send_segment, send_housekeeping=send_housekeeping)


@shared_task(name="livewarden.look_back")
def look_back_task() -> None:
    """Searches the verdict log, for a slice of time, for hashes that have come."""
    if look_back(process.lookback()):
        send_housekeeping("look_back")


@shared_task(name="livewarden.keep_log")
def keep_log_task() -> None:
    """Purges and merges the verdict log, for a slice of time."""
    store = ObjectStore(process.settings.store_url)
    if retention.keep_log(
        process.redis,
        store,
        hours=process.settings.verdict_log_hours,
        deployment=process.settings.deployment,
        when_whole=partial(register_again, process.redis),
    ):
        send_housekeeping("keep_log")


@shared_task(name="livewarden.record_outcomes")
def record_outcomes_task() -> None:
    """Copies raised and decided incidents into the store, for a slice of time."""
    if outcomes.record_outcomes(process.redis, ObjectStore(process.settings.store_url)):
        send_housekeeping("record_outcomes")


@shared_task(name="livewarden.purge_evidence")
def purge_evidence_task() -> None:
    """Deletes evidence whose term is over, for a slice of time."""
    if purge(_purge()):
        send_housekeeping("purge_evidence")


@shared_task(name="livewarden.forget_streams")
def forget_streams_task() -> None:
    """Goes on with erasures of streams, for a slice of time."""
    work = _purge()
    go_on(ErasureWork(purge=work, erase_log=partial(erase_stream, work.redis, work.store)))


def _purge() -> Purge:
    settings = process.settings
    return Purge(
        redis=process.redis,
        store=ObjectStore(settings.store_url),
        spool=Spool.of(settings),
        retention=process.policy.retention,
    )


@shared_task(name="livewarden.copy_audit")
def copy_audit_task() -> None:
    """Copies the audit log into the store, for a slice of time."""
    if copy_audit(process):
        send_housekeeping("copy_audit")


@shared_task(name="livewarden.look")
def look_task(look_id: str) -> None:
    """Seals a picture of what a stream shows now, for a person who asked."""
    look(process, look_id, str(current_task.request.id))


@shared_task(name="livewarden.segment")
def segment_task(*_: str) -> None:
    """Moderates the next segment in the shared order, if that does not take long.

    Args:
        _: messages of earlier versions named a segment; the reconciler sends it again.
    """
    _moderate_next(Lane.SHARED)


@shared_task(name="livewarden.urgent_segment")
def urgent_segment_task() -> None:
    """Moderates the next segment of the streams of high risk."""
    _moderate_next(Lane.URGENT)


@shared_task(name="livewarden.slow_segment")
def slow_segment_task() -> None:
    """Moderates the next segment of the slow streams."""
    _moderate_next(Lane.SLOW)


def _moderate_next(lane: Lane) -> None:
    taken = take_waiting(process.redis, lane)
    if taken is not None:
        if lacks_message(process.redis, lane):
            _send_task(lane)
        stream_id, segment_key = taken
        with holding(process.redis, lane, stream_id):
            moderate_segment(process, stream_id, segment_key, pass_on=None if lane is Lane.SLOW else send_segment_again)


def send_housekeeping(name: str) -> None:
    """Sends the task of that name; one that no worker takes in time is no loss, for it is sent again."""
    app.send_task(f"livewarden.{name}", queue=CONTROL, expires=HOUSEKEEPING_EXPIRES_SECONDS)


_TASKS = {
    Lane.URGENT: "livewarden.urgent_segment",
    Lane.SHARED: "livewarden.segment",
    Lane.SLOW: "livewarden.slow_segment",
}


def send_segment(stream_id: str, segment_key: str, risk: float) -> None:
    """Adds a segment to its stream's queue, and sends a task where the lane needs one: a hint, since the segment is on
    record already."""
    if is_slow(process.redis, SlowPart.SEGMENTS, stream_id):
        # Urgent ones too: a broadcaster's risk does not limit how long his origin may hold a process.
        lane = Lane.SLOW
    else:
        lane = Lane.URGENT if risk >= process.policy.risk.urgent_at else Lane.SHARED
    if add_waiting(process.redis, lane, stream_id, segment_key):
        _send_task(lane)


def _send_task(lane: Lane) -> None:
    app.send_task(_TASKS[lane], queue=QUEUE_OF[lane])


def send_segment_again(stream_id: str, segment_key: str) -> None:
    """Sends a segment's task to the queue where its stream belongs by now."""
    send_segment(stream_id, segment_key, risk_of(process.redis, stream_id, process.policy.risk))
