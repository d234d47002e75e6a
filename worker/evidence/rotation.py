"""Seals an incident's stored items again, to the recipients of today: after a key was added, or one must open no more.

What is sealed to them already is left as it is, so a rotation that is killed goes on where it was. The picture and its
digest stay; the sealed bytes change, and the record keeps the digests that events name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from worker.errors import EvidenceError, ObjectStoreError
from worker.evidence.item import SealedItem, digest_of
from worker.evidence.item_states import replace_record, states_of, texts_of
from worker.evidence.reading import EvidenceReader, check_agrees
from worker.evidence.record import EvidenceRecord
from worker.evidence.sealing import Identity, Recipients, open_sealed, seal


@dataclass(kw_only=True)
class RotationCounts:
    """Items by what a rotation did with them."""

    resealed: int = 0
    already: int = 0
    """Sealed to the recipients of today before."""
    waiting: int = 0
    """Sealed to other recipients, and not in the store yet: to be sealed again later."""
    not_for_you: int = 0
    """Sealed to others than this identity: another custodian rotates them."""
    failed: list[str] = field(default_factory=list)
    """Texts about items that are damaged or that the store refused."""


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Keys and places of a rotation."""

    reader: EvidenceReader
    identity: Identity
    recipients: Recipients

    def run(self, progress: Callable[[int, int], None] = lambda _done, _total: None) -> RotationCounts:
        """Seals all that this identity opens, incident by incident.

        Args:
            progress: called with the number of incidents done and in the store.

        Raises:
            ObjectStoreError: the store cannot be listed.
            StoreError: Redis failed.
            Any error of `progress`.
        """
        counts = RotationCounts()
        incidents = self.reader.store.incidents()
        for done, incident in enumerate(incidents):
            progress(done, len(incidents))
            self._incident(incident, counts)
        progress(len(incidents), len(incidents))
        return counts

    def _incident(self, incident: str, counts: RotationCounts) -> None:
        texts = texts_of(self.reader.redis, incident)
        states = states_of(self.reader.redis, list(texts))
        for ref, text in texts.items():
            try:
                record = EvidenceRecord.read(text)
                if record.sealed_to == self.recipients.fingerprint and not record.next_sha256:
                    counts.already += 1
                elif ref not in states or states[ref].waits:
                    counts.waiting += 1
                elif self._item(incident, text, record):
                    counts.resealed += 1
            except EvidenceError as error:
                if error.reason == "not-for-you":
                    counts.not_for_you += 1
                else:
                    counts.failed.append(f"{incident}: {error}")
            except ObjectStoreError as error:
                counts.failed.append(f"{incident}: item {ref}: {error}")

    def _item(self, incident: str, text: str, record: EvidenceRecord) -> bool:
        """Seals an item again; False: it changed or was purged meanwhile."""
        sealed = self.reader.store.read(incident, record.ref)
        digest = digest_of(sealed)
        if not record.accepts(digest):
            raise EvidenceError(f"item {record.ref}: was altered or replaced", reason="damaged")
        if digest == record.next_sha256:
            # An earlier rotation was killed between the store and Redis.
            ended = record.resealed(size_bytes=len(sealed))
            if not replace_record(self.reader.redis, incident, text, ended):
                return False
            record, text = ended, ended.to_json()
            if record.sealed_to == self.recipients.fingerprint:
                return True
        try:
            head, jpeg = open_sealed(sealed, self.identity)
        except EvidenceError as error:
            raise EvidenceError(f"item {record.ref}: {error}", reason=error.reason) from None
        check_agrees(head, record, incident)
        item = seal(head, jpeg, self.recipients)
        # Readers accept both digests from here on, and the store has one or the other at any moment.
        between = record.resealing(item)
        if not replace_record(self.reader.redis, incident, text, between):
            return False
        self.reader.store.put(incident, record.ref, item.sealed)
        ended = between.resealed(size_bytes=len(item.sealed))
        if replace_record(self.reader.redis, incident, between.to_json(), ended):
            return True
        self._note_overwritten(incident, item)
        return False

    def _note_overwritten(self, incident: str, item: SealedItem) -> None:
        """Ends the write of an item whose record has changed meanwhile. It was purged; or this process had slept, and
        another rotation has sealed it: the store has this one's bytes, which a next rotation takes up."""
        while (text := texts_of(self.reader.redis, incident).get(item.ref)) is not None:
            record = EvidenceRecord.read(text)
            if record.accepts(item.sha256) or digest_of(self.reader.store.read(incident, item.ref)) != item.sha256:
                return
            if replace_record(self.reader.redis, incident, text, record.resealing(item)):
                return
        self.reader.store.remove(incident, item.ref)
