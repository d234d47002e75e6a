"""The files of an incident whose term is over, in the store and in this host's spool."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from redis import Redis

from worker.errors import EvidenceError, ObjectStoreError
from worker.evidence.each_act import each
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.record import FOLDER, stored_path
from worker.evidence.spool import Spool
from worker.store import redis_keys
from worker.store.object_store import ObjectStore
from worker.store.redis_client import store_errors


@dataclass(frozen=True, kw_only=True)
class PurgedFiles:
    """Removes files of one incident. One that is refused, by store or spool, keeps no other there."""

    redis: Redis
    store: ObjectStore
    spool: Spool | None
    incident_id: str

    @property
    def _folder(self) -> str:
        return f"{FOLDER}/{self.incident_id}"

    def remove(self, refs: Sequence[str]) -> ObjectStoreError | EvidenceError | None:
        """Removes these pictures, their copies, and what nobody knows in the incident's folder; returns what refused.

        Raises:
            StoreError: Redis failed.
        """
        spool = self.spool
        try:
            each(
                [
                    *(partial(spool.remove, ref) for ref in refs if spool is not None),
                    *(partial(self.store.remove, stored_path(self.incident_id, ref)) for ref in refs),
                    partial(self._remove_copies, refs),
                    self._remove_unknown,
                ]
            )
        except (ObjectStoreError, EvidenceError) as error:
            return error
        return None

    def remaining(self, refs: Sequence[str]) -> dict[str, bool]:
        """The pictures whose files are still there, and whether the store has them.

        Raises:
            ObjectStoreError, EvidenceError: store or spool cannot be listed.
        """
        stored = {name.partition(".")[0] for name in self.store.all_names(self._folder)}
        spooled = set() if self.spool is None else {entry.ref for entry in self.spool.entries()}
        return {ref: ref in stored for ref in refs if ref in stored or ref in spooled}

    def _remove_copies(self, refs: Sequence[str]) -> None:
        """Removes copies that were made while these pictures were candidates: there are buckets of half an hour at
        most."""
        store = EvidenceStore(lambda: self.store)
        each(
            partial(store.remove_candidate, bucket, ref)
            for bucket in store.buckets()
            for ref in set(refs).intersection(store.candidates(bucket))
        )

    def _remove_unknown(self) -> None:
        """Removes files of which there is no record. Of a picture that an event brought meanwhile there is one: it has
        its own term."""
        names = self.store.all_names(self._folder)
        with store_errors():
            item = redis_keys.EVIDENCE_ITEM.of
            unknown = [name for name in names if not self.redis.exists(item(name.partition(".")[0]))]
        each(partial(self.store.remove, f"{self._folder}/{name}") for name in unknown)
        self.store.remove_folder(self._folder)
