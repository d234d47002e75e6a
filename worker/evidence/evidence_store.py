"""Sealed items in the object store, each read back before it counts as stored."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from worker.errors import EvidenceError, ObjectStoreError
from worker.evidence.item import MAX_SEALED_BYTES, digest_of, is_ref
from worker.evidence.record import CANDIDATES, FOLDER, candidate_folder, stored_path
from worker.store.object_store import ObjectStore

_SUFFIX: Final = ".age"


class EvidenceStore:
    """Sealed items below `evidence/`: of incidents, and of candidates that waited."""

    def __init__(self, open_store: Callable[[], ObjectStore]) -> None:
        """Opened at the first use, and again after a failure: its package may keep a broken connection."""
        self._open = open_store
        self._opened: ObjectStore | None = None

    def put(self, incident: str, ref: str, sealed: bytes) -> None:
        """Writes an incident's item, and reads it back.

        Raises:
            ObjectStoreError: the store is away or refuses it, or confirms it and gives back something else.
        """
        self._write(stored_path(incident, ref), sealed)

    def read(self, incident: str, ref: str) -> bytes:
        """The sealed bytes of an incident's item.

        Raises:
            ObjectStoreError: the store is away.
            EvidenceError: it has no such item (`missing`), or one that is too large (`damaged`).
        """
        return self._read(stored_path(incident, ref), ref)

    def remove(self, incident: str, ref: str) -> None:
        """Removes an incident's item, which may be gone already, and its folder with the last one.

        Raises:
            ObjectStoreError: the store is away or refuses it.
        """
        self._store.remove(stored_path(incident, ref))
        self._store.remove_folder(f"{FOLDER}/{incident}")

    def refs(self, incident: str) -> list[str]:
        """References of an incident's items in the store."""
        return _refs(self._store.names(f"{FOLDER}/{incident}"))

    def incidents(self) -> list[str]:
        """Incidents that have items in the store."""
        return [name for name in self._store.names(FOLDER) if f"{FOLDER}/{name}" != CANDIDATES]

    def put_candidate(self, bucket: int, ref: str, sealed: bytes) -> None:
        """Writes a candidate, and reads it back; raises as `put`."""
        self._write(f"{candidate_folder(bucket)}/{ref}{_SUFFIX}", sealed)

    def read_candidate(self, bucket: int, ref: str) -> bytes:
        """The sealed bytes of a candidate; raises as `read`."""
        return self._read(f"{candidate_folder(bucket)}/{ref}{_SUFFIX}", ref)

    def remove_candidate(self, bucket: int, ref: str) -> None:
        """Removes a candidate, which may be gone already; raises as `remove`."""
        self._store.remove(f"{candidate_folder(bucket)}/{ref}{_SUFFIX}")

    def remove_copies(self, ref: str) -> None:
        """Removes all copies of a candidate; raises as `remove`."""
        for bucket in self.buckets():
            self.remove_candidate(bucket, ref)

    def remove_bucket(self, bucket: int) -> None:
        """Removes the folder of a bucket that is empty."""
        self._store.remove_folder(candidate_folder(bucket))

    def candidates(self, bucket: int) -> list[str]:
        """References of the candidates of a bucket."""
        return _refs(self._store.names(candidate_folder(bucket)))

    def buckets(self) -> list[int]:
        """Buckets of candidates, the oldest first."""
        return sorted(int(name) for name in self._store.names(CANDIDATES) if name.isascii() and name.isdecimal())

    @property
    def _store(self) -> ObjectStore:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _write(self, path: str, sealed: bytes) -> None:
        try:
            self._store.write(path, sealed)
            # Some stores confirm what they do not keep: a full cache in front of one, a proxy that answers by itself.
            found = self._read(path, path)
        except EvidenceError as error:
            raise ObjectStoreError(f"store: {path}: confirmed, and cannot be read back: {error}") from error
        except ObjectStoreError:
            self._opened = None
            raise
        if digest_of(found) != digest_of(sealed):
            with suppress(ObjectStoreError):
                self._store.remove(path)
            raise ObjectStoreError(f"store: {path}: confirmed, and other bytes are read back")

    def _read(self, path: str, name: str) -> bytes:
        sealed = bytearray()
        try:
            for chunk in self._store.chunks(path):
                sealed += chunk
                if len(sealed) > MAX_SEALED_BYTES:
                    raise EvidenceError(f"item {name}: larger in the store than an item may be", reason="damaged")
        except ObjectStoreError as error:
            if error.missing:
                raise EvidenceError(f"item {name}: the store does not have it", reason="missing") from error
            raise
        return bytes(sealed)


def _refs(names: list[str]) -> list[str]:
    found = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return [name for name in found if is_ref(name)]
