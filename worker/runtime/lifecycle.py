"""The start and the end of each of Celery's processes: worker, pool child, beat."""

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    beat_init,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)

from config.errors import LivewardenError
from worker.bank.compaction import keep_in_order
from worker.bank.keys import SNAPSHOT
from worker.bank.lists_in_force import followed_names
from worker.bank.recovery import keep_restored
from worker.bank.replication import fetch_at_start, keep_fetched
from worker.bank.snapshot_storage import SnapshotStorage
from worker.evidence.expiry import keep_expiring
from worker.evidence.recipients_file import log_unsealed
from worker.evidence.upload import keep_uploading
from worker.health.presence import Presence, ProcessRole, keep_present
from worker.health.redis_epoch import EpochWatch
from worker.incidents.imminent_danger import keep_raising
from worker.ingest.messages.keys import QUEUE as INTAKE_QUEUE
from worker.ingest.messages.reader import keep_reading
from worker.ingest.pending.queues import QUEUES, URGENT
from worker.logs.fields import fields
from worker.logs.setup import last_words, log_to_stderr
from worker.lookback.bulk import keep_looking_back
from worker.policyload.active_policy import ActivePolicy
from worker.policyload.follower import PolicyFollower
from worker.policyload.good_policy import good_policy
from worker.policyload.trial import try_in_subprocess
from worker.policyload.watch import watch_policy
from worker.processes.core_dumps import forbid_dumps
from worker.processes.periodic import start_thread
from worker.runtime.broker import bind_queues
from worker.runtime.celery_app import app, process, settings, tick_now
from worker.runtime.celery_log import format_celery
from worker.runtime.confinement import check_confinement, log_unconfined
from worker.runtime.environment import log_unknown
from worker.runtime.event_loop import EVENT_LOOP
from worker.runtime.looks import SendLook, keep_relaying
from worker.runtime.loop_guard import LoopGuard
from worker.runtime.occupancy import is_ending, occupancy_of_this_worker, occupy, tasks_run_in_children
from worker.runtime.shutdown import WorkerEnd
from worker.runtime.watchdog import Watchdog
from worker.runtime.worker_process import Ready, WorkerProcess, check_ready
from worker.store.redis_client import connect

_log = logging.getLogger(__name__)

_end = WorkerEnd()
_epochs = EpochWatch(deployment=settings.deployment, begin=lambda redis: bind_queues(redis, (*QUEUES, INTAKE_QUEUE)))

_stopping = threading.Event()
_ready: Ready | None = None
_unconfined: tuple[str, ...] = ()
_giving_back: list[threading.Thread] = []
"""The threads that read messages and give signs of life."""

GIVE_BACK_SECONDS = 0.5
"""For which a worker that ends waits for each of them: else other workers wait until its lease is over."""


@after_setup_logger.connect
@after_setup_task_logger.connect
def _format_log(logger: logging.Logger, **_: Any) -> None:
    """Runs in the worker, in each pool child and in beat, whenever Celery has set up a logger."""
    format_celery(logger, settings.log_format)


@worker_init.connect
def _check(sender: Any, **_: Any) -> None:
    """Runs before anything is forked: a worker that could not moderate must not take work."""
    global _ready, _unconfined
    forbid_dumps()  # again: `--uid` has changed the user, which resets it
    log_to_stderr(logging.WARNING, settings.log_format)  # until Celery sets logging up, after this
    sender.quiet = sender.quiet or settings.log_format == "json"
    occupy(sender)
    # Nothing uses what workers send to one another, and neither starts where Redis is full.
    sender.options |= {"without_mingle": True, "without_gossip": True}
    try:
        redis = connect(settings.redis_url.get_secret_value())
        fetch_at_start(redis, SnapshotStorage.of(settings))
        _ready = check_ready(settings, redis)
        _unconfined = check_confinement(settings)
        process.bank.inherit(_ready.bank)
        process.policies.good = _ready.policy
        _epochs.check(redis, SNAPSHOT)
        redis.close()
    except LivewardenError as error:
        raise SystemExit(last_words(f"this worker does not start: {error}", settings.log_format)) from error


@worker_process_init.connect
def _build(**_: Any) -> None:
    """Runs in each pool child, before its first task. What fails here worked when the worker started: weights may have
    changed since."""
    cv2.setNumThreads(1)
    process.forked()
    try:
        process.warm_up()
    except LivewardenError as error:
        _log.error("this worker ends, since one of its processes cannot moderate: %s", error)
        _end.request()
    except Exception:
        # Celery would log it, and continue.
        _log.exception("this worker ends, since one of its processes cannot moderate")
        _end.request()


@worker_ready.connect
def _watch(**_: Any) -> None:
    _stopping.clear()
    log_unknown(os.environ)
    log_unsealed(settings.evidence_recipients)
    log_unconfined(_unconfined)  # not earlier: Celery sets logging up after `worker_init`
    storage = SnapshotStorage.of(settings)
    start_thread(
        "bank-keeper", partial(keep_in_order, process.redis, process.bank, storage, settings.deployment, _stopping)
    )
    start_thread("bank-restorer", partial(keep_restored, process.redis, process.bank, storage, _stopping))
    start_thread("bank-fetcher", partial(keep_fetched, process.redis, storage, _stopping))
    looking_back = (process.redis, process.bank, settings.store_url, settings.verdict_log_hours, _stopping)
    start_thread("evidence", partial(keep_uploading, process.redis, settings, _stopping))
    start_thread("evidence-expiry", partial(keep_expiring, process.redis, settings, _stopping))
    start_thread("looks", partial(keep_relaying, process.redis, SendLook(app, URGENT), _stopping))
    start_thread("lookback-keeper", partial(keep_looking_back, *looking_back))
    # A follower of its own: a pool child that is forked later must not take it for followed there.
    watched = (_watched_policies(), process.policies, process.redis, settings, _stopping, _list_names)
    start_thread("policy-watch", partial(watch_policy, *watched))
    start_thread("watchdog", partial(Watchdog(process, tick_now).run, _stopping))
    # Not through Celery, whose queues may be long while somebody is in danger.
    raising = (process.redis, good_policy(process.policies), settings.deployment, _stopping)
    start_thread("imminent-danger", partial(keep_raising, *raising))
    # Not through Celery: a message that it cannot parse ends the worker, and the next one.
    _giving_back.append(start_thread("intake", partial(keep_reading, process.redis, settings, _stopping)))

    presence = Presence.of_this_process(
        ProcessRole.WORKER,
        processes=occupancy_of_this_worker().processes,
        queues=tuple(app.amqp.queues.consume_from),
        unconfined=_unconfined,
    )
    assert _ready is not None
    _log_worker_start(_ready, presence)
    guard = LoopGuard(
        EVENT_LOOP,
        occupancy=occupancy_of_this_worker,
        is_ending=lambda: _stopping.is_set() or is_ending(),
        beside_tasks=tasks_run_in_children(),
        connect=partial(connect, settings.redis_url.get_secret_value(), retries=0),
        deployment=settings.deployment,
        end=_end.force,
    )
    start_thread("loop-guard", partial(guard.run, _stopping))
    _give_signs(presence, lambda: guard.idle_seconds)


def _log_worker_start(ready: Ready, presence: Presence) -> None:
    """Logs policy, lists, models and confinement of a worker that takes work from now on."""
    lists = ready.bank.in_force()
    _log.info(
        "the worker is ready",
        extra=fields(
            version=presence.version,
            deployment=settings.deployment,
            processes=presence.processes,
            queues=presence.queues,
            policy=ready.policy_version,
            policy_file="shipped" if settings.policy_file is None else str(settings.policy_file),
            lists=lists.versions,
            list_entries=sum(lists.bank.sizes.get(name, 0) for name in lists.versions),
            models=ready.models,
            confinement="missing" if presence.unconfined else "complete",
            degraded=lists.degraded,
        ),
    )


@beat_init.connect
def _beat(sender: Any, **_: Any) -> None:
    sender.scheduler.end_on_signals()
    log_unknown(os.environ)
    presence = Presence.of_this_process(ProcessRole.BEAT)
    _log.info("beat is ready", extra=fields(version=presence.version, deployment=settings.deployment))
    _give_signs(presence)


def _give_signs(presence: Presence, idle_seconds: Callable[[], float] = lambda: 0.0) -> None:
    def check_epoch() -> None:
        _epochs.check(process.redis, SNAPSHOT)

    keep = partial(keep_present, process.redis, presence, _stopping, idle_seconds=idle_seconds, after_each=check_epoch)
    _giving_back.append(start_thread("presence", keep))


def _list_names() -> frozenset[str] | None:
    return followed_names(process.redis, process.bank.in_force())


def _watched_policies() -> PolicyFollower[ActivePolicy]:
    """Refuses a policy whose models do not work, so that processes which are forked later do not get it."""
    watching, tried = WorkerProcess(settings), process.policies.good

    def build(data: bytes) -> ActivePolicy:
        active = watching.policy_from(data)
        if data != tried:
            try_in_subprocess(data)
        return active

    policies = PolicyFollower(settings.policy_file, build)
    policies.good = tried
    return policies


@worker_process_shutdown.connect
def _write_out(**_: Any) -> None:
    """Runs in each pool child, after its last task."""
    process.leave()


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    _stopping.set()
    while _giving_back:
        _giving_back.pop().join(GIVE_BACK_SECONDS)
    process.verdict_log.close()  # where tasks run in this process: pools `solo` and `threads`
    _end.exit_if_requested()
