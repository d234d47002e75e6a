"""The storage of a bank's snapshots: a folder that all processes of a host share, and the store for other hosts."""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from config.settings import Settings
from worker.bank.keys import BANK_ID
from worker.errors import BankRequestError
from worker.store.object_store import ObjectStore
from worker.store.redis_client import store_errors

USERS_OWN = "~/.local/state/livewarden/bank"
"""The default folder: fit for a deployment on one machine, under one user."""


@dataclass(frozen=True, kw_only=True)
class SnapshotStorage:
    """The folder and the store of snapshots."""

    root: Path
    dedicated: bool
    """The operator named the folder, so it is this deployment's alone; else it has a subfolder for each bank."""
    store_url: str = ""
    """The store that snapshots are uploaded to and fetched from; empty: this deployment has one machine."""

    @classmethod
    def of(cls, settings: Settings) -> "SnapshotStorage":
        """The operator's folder, or the user's own."""
        if settings.bank_dir is not None:
            return cls(root=settings.bank_dir, dedicated=True, store_url=settings.store_url)
        return cls(root=Path(USERS_OWN).expanduser(), dedicated=False)

    def open_store(self) -> ObjectStore | None:
        """The store; None: there is none.

        Raises:
            ObjectStoreError: it is unusable on this host.
        """
        return ObjectStore(self.store_url) if self.store_url else None

    def find(self, redis: Redis) -> Path | None:
        """Returns the folder of this Redis's bank; None: it has none yet.

        Raises:
            BankRequestError: the bank's id in Redis cannot name a folder.
            StoreError: Redis failed.
        """
        if self.dedicated:
            return self.root
        with store_errors():
            bank_id = redis.get(BANK_ID)
        return None if bank_id is None else self.root / _checked(bank_id)

    def bank_id(self, redis: Redis) -> str:
        """Returns the id of this Redis's bank, which is given one if it has none.

        Raises:
            BankRequestError: the id in Redis cannot name a folder.
            StoreError: Redis failed.
        """
        with store_errors():
            found = redis.get(BANK_ID)  # first: a full Redis refuses what follows
            if found is None:
                redis.set(BANK_ID, secrets.token_hex(8), nx=True)
                found = redis.get(BANK_ID)
            return _checked(found)

    def assigned_folder(self, redis: Redis) -> Path:
        """Returns the folder of this Redis's bank, which is given an id if it has none.

        Raises:
            BankRequestError: the id in Redis cannot name a folder.
            StoreError: Redis failed.
        """
        self.bank_id(redis)
        folder = self.find(redis)
        assert folder is not None
        return folder


_BANK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _checked(bank_id: object) -> str:
    """Returns a bank's id if it may become part of a path: others write to Redis too."""
    if not _BANK_ID.fullmatch(str(bank_id)):
        raise BankRequestError(
            f"Redis: {BANK_ID} is {str(bank_id)[:80]!r}: expected 1 to 64 characters out of A-Z a-z 0-9 _ -"
        )
    return str(bank_id)
