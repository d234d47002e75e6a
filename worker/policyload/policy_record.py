"""The policy in force, on record in the audit log: no person of ours changes the file, so a worker records it."""

from typing import Final

from redis import Redis

from worker.audit.entries import WORKER, Act, audit_entry
from worker.store import redis_keys
from worker.store.redis_client import run_script_to_disk, store_errors

RECORDED: Final = redis_keys.POLICY_RECORDED.name


def record_policy(redis: Redis, version: str, *, file: str, worker: str) -> bool:
    """Records the version that is in force from now on; returns whether it did. False: it is on record already, by
    another worker.

    Raises:
        StoreError: Redis failed; call it again.
    """
    with store_errors():
        previous = str(redis.get(RECORDED) or "")
    if previous == version:
        return False
    entry = audit_entry(
        Act.POLICY,
        by=WORKER,
        verified=True,
        subject=version,
        previous=previous,
        file=file,
        worker=worker,
    )
    return bool(run_script_to_disk(redis, "policy_recorded", keys=[RECORDED], args=[previous, version, entry]))
