"""Publishes to operators, once, that the policy's file is unusable, and that it is usable again."""

import os
import socket
from typing import Any, Final

from redis import Redis

from worker.events.cloudevent import cloud_event, derived_id
from worker.events.operations import OPERATIONS
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

REFUSED: Final = "livewarden.operations.policy_refused.v1"
RECOVERED: Final = "livewarden.operations.policy_recovered.v1"

REFUSING: Final = redis_keys.POLICIES_REFUSING.name
"""Hash: worker, as host:pid, to JSON: the file that it refuses, and when it reported so. Others have no field."""

ALIVE_MS: Final = 60_000
"""A process that has reported nothing for longer (>) is taken for gone."""

MAX_PROBLEM_LENGTH: Final = 2_000
"""Limit for a published problem: a person reads the first mistakes, and `livewarden policy check` prints all."""


def process_name() -> str:
    """Names this process among all of a deployment."""
    return f"{socket.gethostname()}:{os.getpid()}"


def report_policy_file(
    redis: Redis, *, worker: str, file: str, refused: str, problem: str, in_force: str, deployment: str
) -> bool:
    """Reports a worker's view of the file, refused or not, again before ALIVE_MS are over; returns whether an event was
    published.

    One is published each time that the file becomes unusable, by the first worker that sees it, also where the same
    file was published before; and one at its end, when the last worker has seen that, or is gone.

    Args:
        refused: the file's digest, or `unreadable`; empty: it is usable.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; it may have been published.
    """
    with store_errors():
        now = now_ms(redis)
    kind, data = RECOVERED, dict[str, Any](file=file, in_force=in_force)
    if refused:
        kind, data = REFUSED, data | {"problem": problem[:MAX_PROBLEM_LENGTH], "refused": refused}
    event = cloud_event(
        kind,
        derived_id(kind, file, refused, in_force, now),
        subject="policy",
        data=data,
        deployment=deployment,
        now_ms=now,
    )
    what = derived_id(file, refused) if refused else ""
    args: list[str | int | float] = [worker, what, now, ALIVE_MS, event]
    return bool(run_script_to_disk(redis, "policy_said", keys=[REFUSING, OPERATIONS], args=args))
