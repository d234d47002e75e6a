"""A purge that a person asks for: of all incidents with evidence at once, or only shown."""

from collections.abc import Callable, Iterator

from redis import Redis

from config.policy.retention import Retention
from worker.errors import RetentionError
from worker.evidence.evidence_store import EvidenceStore
from worker.retention.due import DUE, with_evidence
from worker.retention.purge import SLICE_SECONDS, Purge, Purged, purge
from worker.retention.standing import read_kept
from worker.store import redis_keys
from worker.store.age_clock import age_ms
from worker.store.object_store import ObjectStore
from worker.store.redis_client import store_errors

WAIT_SECONDS = 30.0
"""For a worker that purges at this moment: longer than its slice and the lease of a dead one."""


def purge_all(work: Purge, *, progress: Callable[[int], None] = lambda _: None) -> None:
    """Checks every incident with evidence now, whenever its next check would be.

    Args:
        progress: called with the number of incidents that have been scheduled to be checked.

    Raises:
        StoreError: Redis failed.
        RetentionError: another process is purging, and goes on.
    """
    count = 0
    for batch in with_evidence(work.redis):
        with store_errors():
            if batch:
                work.redis.zadd(DUE, dict.fromkeys(batch, 0))
        count += len(batch)
        progress(count)
    while more := purge(work, seconds=SLICE_SECONDS, wait_seconds=WAIT_SECONDS):
        pass
    if more is None:
        raise RetentionError("another process is purging evidence, and goes on: try again to see that it is done")


def over_now(redis: Redis, retention: Retention) -> Iterator[Purged]:
    """Yields what a purge would delete now, and deletes nothing.

    Raises:
        StoreError: Redis failed.
    """
    aged = age_ms(redis)
    seen: set[str] = set()
    for batch in with_evidence(redis):
        new = [one for one in batch if one not in seen]
        seen.update(new)
        for kept in read_kept(redis, new):
            terms = kept.terms(retention)
            if terms.is_over(aged) and kept.records:
                yield Purged(
                    incident_id=kept.incident_id,
                    stream_id=kept.stream_id,
                    refs=tuple(kept.records),
                    bytes=sum(record.size_bytes for record in kept.records.values() if record is not None),
                    why=terms.why,
                    until_ms=terms.content_until_ms or 0,
                )


def unknown_to_redis(redis: Redis, store: ObjectStore) -> list[str]:
    """Incidents with pictures in the store of which Redis knows nothing, as after a loss of its data.

    Nobody knows their outcome: no purge deletes them.

    Raises:
        ObjectStoreError: the store is away.
        StoreError: Redis failed.
    """
    found = EvidenceStore(lambda: store).incidents()
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        for incident_id in found:
            pipe.exists(redis_keys.EVIDENCE.of(incident_id), redis_keys.INCIDENT.of(incident_id))
        known = pipe.execute(raise_on_error=False)
    return [incident_id for incident_id, there in zip(found, known, strict=True) if there == 0]
