"""The line that a worker or beat logs at its start."""

import logging
from typing import Final

from config.settings import Settings
from worker.health.presence import Presence
from worker.logs.fields import fields
from worker.runtime.worker_process import Ready

_log = logging.getLogger(__name__)

_SHIPPED: Final = "shipped"


def log_worker_start(settings: Settings, ready: Ready, presence: Presence) -> None:
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
            policy_file=_SHIPPED if settings.policy_file is None else str(settings.policy_file),
            lists=lists.versions,
            list_entries=sum(lists.bank.sizes.get(name, 0) for name in lists.versions),
            models=ready.models,
            confinement="missing" if presence.unconfined else "complete",
            degraded=lists.degraded,
        ),
    )


def log_beat_start(settings: Settings, presence: Presence) -> None:
    """Logs the start of beat, which reads neither policy nor lists."""
    _log.info("beat is ready", extra=fields(version=presence.version, deployment=settings.deployment))
