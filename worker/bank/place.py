"""Where a bank's snapshots lie: a folder that all workers of a deployment share."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from config.settings import Settings
from worker.bank.keys import BANK_ID
from worker.redisdb import store_errors

USERS_OWN = "~/.local/state/livewarden/bank"
"""Where nobody named a folder: fit for a deployment on one machine, under one user."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where snapshots may lie."""

    root: Path
    shared: bool
    """The operator named the folder, so it is this deployment's alone; else several deployments' banks lie in it."""

    @classmethod
    def of(cls, settings: Settings) -> "Place":
        """The operator's folder, or the user's own."""
        if settings.bank_dir is not None:
            return cls(root=settings.bank_dir, shared=True)
        return cls(root=Path(USERS_OWN).expanduser(), shared=False)

    def find(self, redis: Redis) -> Path | None:
        """The folder of this Redis's bank; None: it has none yet.

        Raises:
            StoreError: Redis failed.
        """
        if self.shared:
            return self.root
        with store_errors():
            bank_id = redis.get(BANK_ID)
        return None if bank_id is None else self.root / str(bank_id)

    def settle(self, redis: Redis) -> Path:
        """The folder of this Redis's bank, which has one from now on.

        Raises:
            StoreError: Redis failed.
        """
        with store_errors():
            redis.set(BANK_ID, secrets.token_hex(8), nx=True)
        folder = self.find(redis)
        assert folder is not None
        return folder
