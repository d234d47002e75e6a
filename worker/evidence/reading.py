"""Opens an incident's item for a person, once everything that is known of it agrees."""

from dataclasses import dataclass

from redis import Redis

from config.settings import Settings
from worker.errors import EvidenceError
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.item import ItemHead, digest_of, is_ref
from worker.evidence.item_states import record_of, states_of
from worker.evidence.record import EvidenceRecord, ItemState
from worker.evidence.sealing import Identity, open_sealed
from worker.evidence.spool import Spool
from worker.store.object_store import ObjectStore
from worker.store.redis_client import store_errors


@dataclass(frozen=True, kw_only=True)
class FoundItem:
    """An item of an incident, as Redis knows it, and its sealed bytes."""

    incident: str
    state: ItemState
    record: EvidenceRecord
    sealed: bytes


@dataclass(frozen=True, kw_only=True)
class EvidenceReader:
    """The places where items are read."""

    redis: Redis
    store: EvidenceStore
    spool: Spool

    @classmethod
    def of(cls, redis: Redis, settings: Settings) -> "EvidenceReader":
        """The reader of a deployment."""
        store = EvidenceStore(lambda: ObjectStore(settings.store_url))
        return cls(redis=redis, store=store, spool=Spool.of(settings))

    def find(self, ref: str) -> FoundItem:
        """Returns an item as it is stored, without opening it.

        Raises:
            EvidenceError: there is none of that reference (`missing`), or the sealed bytes are not those that were
                stored (`damaged`).
            ObjectStoreError: the store is away.
            StoreError: Redis failed.
        """
        found = self._found(ref)
        if not found.record.accepts(digest_of(found.sealed)):
            raise EvidenceError(
                f"item {ref}: was altered or replaced: its SHA-256 is {digest_of(found.sealed)}, expected "
                f"{found.record.sha256}",
                reason="damaged",
            )
        return found

    def open(self, ref: str, identity: Identity) -> tuple[FoundItem, ItemHead, bytes]:
        """Returns an item with its head and its JPEG.

        Raises:
            EvidenceError: as `find` and `open_sealed`; or it holds another item (`swapped`).
        """
        found = self._found(ref)
        if not found.record.accepts(digest_of(found.sealed)):
            raise self._altered(found, ref, identity)
        try:
            head, jpeg = open_sealed(found.sealed, identity)
        except EvidenceError as error:
            raise EvidenceError(f"item {ref}: {error}", reason=error.reason) from None
        check_agrees(head, found.record, found.incident)
        return found, head, jpeg

    def _altered(self, found: FoundItem, ref: str, identity: Identity) -> EvidenceError:
        """Names, if it can, the item that lies in the place of this one."""
        try:
            head, _ = open_sealed(found.sealed, identity)
        except EvidenceError:
            return EvidenceError(
                f"item {ref}: was altered, cut or replaced: its SHA-256 is {digest_of(found.sealed)}, expected "
                f"{found.record.sha256}",
                reason="damaged",
            )
        if head.ref == ref:
            return EvidenceError(
                f"item {ref}: another sealed file is in its place, with the same head", reason="swapped"
            )
        return EvidenceError(
            f"item {ref}: item {head.ref} of stream {head.stream_id} is in its place", reason="swapped"
        )

    def _found(self, ref: str) -> FoundItem:
        if not is_ref(ref):
            raise EvidenceError(
                f"{ref[:100]!r}: expected a reference of 32 hex digits, as `livewarden evidence list` shows it",
                reason="missing",
            )
        with store_errors():
            state = states_of(self.redis, [ref]).get(ref)
            record = None if state is None else record_of(self.redis, state.incident, ref)
        if state is None or record is None:
            raise EvidenceError(f"item {ref}: there is none: it was purged, or never was", reason="missing")
        if state.place == "damaged":
            raise EvidenceError(f"item {ref}: was altered before it reached the store", reason="damaged")
        if state.place == "dropped":
            raise EvidenceError(f"item {ref}: was dropped to make room for hits in a full spool", reason="missing")
        return FoundItem(incident=state.incident, state=state, record=record, sealed=self._sealed(ref, state))

    def _sealed(self, ref: str, state: ItemState) -> bytes:
        if state.waits:
            try:
                return self.spool.read(ref)
            except EvidenceError as error:
                if error.reason != "missing":
                    raise
        try:
            return self.store.read(state.incident, ref)
        except EvidenceError as error:
            if error.reason != "missing" or not state.waits:
                raise
            raise EvidenceError(
                f"item {ref}: waits in the spool of the worker that sealed it: try again in a moment (`livewarden "
                "doctor` shows what keeps it from the store)",
                reason="missing",
            ) from None


def check_agrees(head: ItemHead, record: EvidenceRecord, incident: str) -> None:
    """Checks that an opened item is the one that its record describes.

    Raises:
        EvidenceError: it is another one (`swapped`); the text names the first difference.
    """
    known = {
        "reference": (head.ref, record.ref),
        "stream": (head.stream_id, record.stream_id),
        "segment": (head.segment, record.segment),
        "picture": (head.picture_sha256, record.picture_sha256),
        "kind": (head.kind, record.kind),
        "capture time": (head.capture_ms, record.capture_ms),
        # Most are sealed before there is an incident.
        "incident": (head.incident or incident, incident),
    }
    for name, (sealed, expected) in known.items():
        if sealed != expected:
            raise EvidenceError(
                f"item {record.ref}: holds another item: its head has the {name} {sealed}, expected {expected}",
                reason="swapped",
            )
