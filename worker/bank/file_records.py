"""Lists of LIVEWARDEN_LISTS_DIR, on record in the audit log: whoever changes a file there is not known here, so workers
record what they see."""

from collections.abc import Mapping
from typing import Final

from redis import Redis

from worker.audit.entries import WORKER, Act, audit_entry
from worker.bank.keys import FILES_RECORDED
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

GONE_MS: Final = 600_000
"""A version that no worker has seen for so long is out of force: long enough for a host that starts anew."""

CAME: Final = "file"
WENT: Final = "file_gone"


def record_list_files(redis: Redis, versions: Mapping[str, str]) -> int:
    """Records versions of lists that came into force since the last call of any worker, and those that no worker has
    seen for `GONE_MS`; returns their number.

    Hosts may have different files for a while: each version is recorded once.

    Args:
        versions: of each list of files in this process.

    Raises:
        StoreError: Redis failed; call it again.
    """
    recorded = 0
    with store_errors():
        known = {str(member) for member, _ in redis.zscan_iter(FILES_RECORDED)}
        own = {f"{name} {version}" for name, version in versions.items()}
        now = now_ms(redis)
        if seen := own & known:
            redis.zadd(FILES_RECORDED, dict.fromkeys(seen, now), xx=True)
        gone = redis.zrangebyscore(FILES_RECORDED, "-inf", now - GONE_MS)
    for member in sorted(own - known):
        recorded += _record(redis, member, CAME, unseen_ms="")
    for member in map(str, gone):
        recorded += _record(redis, member, WENT, unseen_ms=GONE_MS)
    return recorded


def _record(redis: Redis, member: str, did: str, *, unseen_ms: int | str) -> int:
    name, _, version = member.partition(" ")
    entry = audit_entry(Act.LIST, by=WORKER, verified=True, subject=name, did=did, version=version)
    return int(run_script_to_disk(redis, "list_file_recorded", keys=[FILES_RECORDED], args=[member, entry, unseen_ms]))
