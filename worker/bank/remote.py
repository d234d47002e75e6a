"""Snapshots in the store: how hosts that do not share a disk come by the bank.

Whoever writes a snapshot puts it there before it is in force, and Redis names its digest: a host that lacks it fetches
it into a folder of its own (`worker.bank.fetching`) and checks every byte. Only who holds the writer's lease changes
anything in the store.
"""

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from models.bank.snapshot import copy_snapshot, file_names, manifest_digest
from worker.errors import ObjectStoreError
from worker.logs.failure_log import Troubles
from worker.store.object_store import ObjectStore

_trouble = Troubles(logging.getLogger(__name__))

FOLDER: Final = "bank"
"""Of the store: a folder for each bank (`lw:bank:id`), with one for each snapshot."""


def upload(store: ObjectStore, bank_id: str, path: Path, heartbeat: Callable[[], None]) -> str:
    """Puts a snapshot into the store, the manifest last; gives its digest.

    Raises:
        ObjectStoreError: the store is away or full.
        SnapshotError: the snapshot cannot be read.
        Whatever `heartbeat` raises.
    """
    for name in file_names(path):
        store.put(f"{_folder(bank_id, path.name)}/{name}", path / name, heartbeat)
    return manifest_digest(path)


def fetch(
    store: ObjectStore, bank_id: str, name: str, *, digest: str, folder: Path, heartbeat: Callable[[], None]
) -> Path:
    """Copies a snapshot out of the store into `folder`, and gives its path.

    Raises:
        ObjectStoreError: the store is away; `missing`: it has no such snapshot.
        SnapshotError: it is not what the digest says, or cannot be written.
        Whatever `heartbeat` raises.
    """
    there = _folder(bank_id, name)
    return copy_snapshot(
        folder, name, digest=digest, read=lambda file: store.chunks(f"{there}/{file}"), heartbeat=heartbeat
    )


def keep_only(store: ObjectStore, bank_id: str, names: Collection[str], *, still_ours: Callable[[], bool]) -> None:
    """Removes all snapshots but those; what fails is left to the next time, and told in the log.

    Args:
        still_ours: whether the writer's lease is; else nothing is removed.
    """
    try:
        found = store.all_names(f"{FOLDER}/{bank_id}")
        # In this order: what another writer has put there, who has the lease now, is not among those found before.
        if not still_ours():
            return
        for name in found:
            if name in names:
                continue
            folder = _folder(bank_id, name)
            for file in sorted(store.all_names(folder)):
                store.remove(f"{folder}/{file}")
            store.remove_folder(folder)
    except ObjectStoreError as error:
        _trouble.met("old", "old snapshots of the hash bank stay in the store: %s", error)


def _folder(bank_id: str, name: str) -> str:
    return f"{FOLDER}/{bank_id}/{name}"
