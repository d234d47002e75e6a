"""Once a minute, by one process of a deployment: what lost hosts left in the store, and what must leave it."""

import logging
from functools import partial
from time import monotonic
from typing import Final

from redis import Redis

from worker.errors import EvidenceError
from worker.evidence.each_act import each
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.item import digest_of
from worker.evidence.item_states import note_place, record_of, states_of, unwanted
from worker.evidence.record import CANDIDATE_BUCKET_MS, ItemState
from worker.evidence.spool import Spool
from worker.store.lease import expire_within
from worker.store.redis_client import now_ms
from worker.store.redis_keys import EVIDENCE_SWEPT, EVIDENCE_UNWANTED, EVIDENCE_WAITING

_log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 30
"""Between two sweeps."""

OLD_BUCKETS: Final = 6
"""A bucket of candidates is emptied once so many (<=) have begun after it: its youngest is 10 minutes old at least."""

AT_ONCE: Final = 200
"""Items that are read from Redis at once."""

REMOVING_SECONDS: Final = 5.0
"""For which one sweep removes unwanted items; the others follow. Streams whose hits grow stronger evict some each
second."""


def sweep_is_due(redis: Redis) -> bool:
    """Returns whether this process sweeps now."""
    if redis.set(EVIDENCE_SWEPT.name, 1, nx=True, ex=SWEEP_SECONDS):
        return True
    expire_within(redis, EVIDENCE_SWEPT.name, SWEEP_SECONDS * 1000)
    return False


def sweep(redis: Redis, store: EvidenceStore, spool: Spool) -> None:
    """Removes unwanted items; gives copies of candidates to their incidents, and removes old ones. What store or spool
    refuse keeps nothing else there.

    Raises:
        ObjectStoreError: the store is away, or refuses something.
        EvidenceError: the spool refuses something.
        redis.exceptions.RedisError: Redis failed.
    """
    each(
        [
            partial(_remove_unwanted, redis, store, spool),
            partial(_sweep_candidates, redis, store),
            partial(_forget_unknown, redis),
        ]
    )


def _remove_unwanted(redis: Redis, store: EvidenceStore, spool: Spool) -> None:
    def remove(ref: str, incident: str) -> None:
        each([partial(spool.remove, ref), partial(store.remove, incident, ref)])
        redis.hdel(EVIDENCE_UNWANTED.name, ref)

    until = monotonic() + REMOVING_SECONDS
    while (found := unwanted(redis, most=AT_ONCE)) and monotonic() < until:
        # What is refused ends the loop: it would be found again and again.
        each(partial(remove, ref, incident) for ref, incident in found.items())


def _sweep_candidates(redis: Redis, store: EvidenceStore) -> None:
    newest = now_ms(redis) // CANDIDATE_BUCKET_MS
    each(
        # A bucket of the future is from before Redis's clock went back.
        partial(_sweep_bucket, redis, store, bucket, old=bucket <= newest - OLD_BUCKETS or bucket > newest + 1)
        for bucket in store.buckets()
    )


def _sweep_bucket(redis: Redis, store: EvidenceStore, bucket: int, *, old: bool) -> None:
    refs = store.candidates(bucket)
    states = states_of(redis, refs)

    def sweep_copy(ref: str) -> None:
        state = states.get(ref)
        if state is not None and state.waits:
            _adopt(redis, store, bucket, ref, state)
        elif old or state is not None:
            store.remove_candidate(bucket, ref)

    each(partial(sweep_copy, ref) for ref in refs)
    if old:
        store.remove_bucket(bucket)


def _adopt(redis: Redis, store: EvidenceStore, bucket: int, ref: str, state: ItemState) -> None:
    """Gives the copy of a candidate to its incident; the spool that it was copied from may be lost."""
    try:
        record, sealed = record_of(redis, state.incident, ref), store.read_candidate(bucket, ref)
    except EvidenceError as error:
        _log.warning("evidence %s of incident %s: %s", ref, state.incident, error)
        return
    if record is None:
        return
    if not record.accepts(digest_of(sealed)):
        _log.warning("evidence %s of incident %s: its copy in the store is damaged", ref, state.incident)
        return
    store.put(state.incident, ref, sealed)
    if not note_place(redis, state.incident, ref, "stored"):
        store.remove(state.incident, ref)
    store.remove_candidate(bucket, ref)


def _forget_unknown(redis: Redis) -> None:
    """Takes items that belong to no incident any more from those that wait."""
    refs = [str(ref) for ref in redis.zrange(EVIDENCE_WAITING.name, 0, AT_ONCE - 1)]
    if refs and (gone := set(refs) - states_of(redis, refs).keys()):
        redis.zrem(EVIDENCE_WAITING.name, *gone)
