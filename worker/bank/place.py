"""Where a bank's snapshots lie: a folder that all workers of a deployment share."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from config.settings import Settings
from worker.bank.keys import BANK_ID
from worker.redisdb import store_errors


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where snapshots may lie."""

    root: Path
    shared: bool
    """The operator named the folder, so it is this deployment's alone; else several deployments' banks lie in it."""

    @classmethod
    def of(cls, settings: Settings, environment: Mapping[str, str] = os.environ) -> "Place":
        """The operator's folder, or one in the user's state folder (XDG Base Directory Specification)."""
        if settings.bank_dir is not None:
            return cls(root=settings.bank_dir, shared=True)
        home = Path(environment.get("HOME") or Path.home())
        state = Path(environment.get("XDG_STATE_HOME") or home / ".local" / "state")
        return cls(root=state / "livewarden" / "bank", shared=False)

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
