"""Leases in Redis: one process at a time does a piece of work; the lease of a dead one expires."""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import RedisError

from worker.errors import LeaseLostError
from worker.logs.failure_log import FailureLog
from worker.store.redis_client import run_script, store_errors

_trouble = FailureLog(logging.getLogger(__name__))

LEASE_SECONDS = 20.0
"""Time for which a dead holder blocks others."""
RENEW_SECONDS = 5.0
ASK_AGAIN_SECONDS = 0.25
LEASE_MS = round(LEASE_SECONDS * 1000)


class Lease:
    """A lease that this process holds, as far as it knows."""

    def __init__(self, redis: Redis, key: str, token: str) -> None:
        self._redis = redis
        self.key = key
        self.token = token
        """Identifies the holder. A script that checks it before it writes is safe from a holder that slept too long."""
        self._renewed_at = time.monotonic()
        self._lost = False

    def check(self) -> None:
        """Checks the lease between slices of long work, which is useless without it.

        Raises:
            LeaseLostError: another process may hold it by now.
        """
        if self._lost or time.monotonic() - self._renewed_at > LEASE_SECONDS:
            raise LeaseLostError(f"{self.key}: another process has taken over: nothing was changed, try again")

    def renew_until(self, done: threading.Event) -> None:
        """Renews the lease every RENEW_SECONDS until `done` is set or the lease is lost."""
        while not done.wait(RENEW_SECONDS):
            try:
                kept = run_script(self._redis, "lease_renew", keys=[self.key], args=[self.token, LEASE_MS])
            except (RedisError, OSError) as error:
                _trouble.met(self.key, "lease %s is not renewed: %s", self.key, error)
                continue
            _trouble.over(self.key, "lease %s is renewed again", self.key)
            if not kept:
                self._lost = True
                return
            self._renewed_at = time.monotonic()


def expire_within(redis: Redis, key: str, longest_ms: int) -> None:
    """Shortens the life of a key to the longest that is ever set: expiry follows Redis's clock, which may have gone
    back. A live holder renews it all the same."""
    if redis.pttl(key) > longest_ms:
        redis.pexpire(key, longest_ms)


@contextmanager
def leased(redis: Redis, key: str, *, wait_seconds: float = 0.0) -> Iterator[Lease | None]:
    """Takes the lease `key` for the block, and renews it meanwhile; yields None if it is not free within
    `wait_seconds`."""
    token = secrets.token_hex(16)
    deadline = time.monotonic() + wait_seconds
    waiting = threading.Event()
    while True:
        with store_errors():
            taken = run_script(redis, "lease_take", keys=[key], args=[token, LEASE_MS])
        if taken or time.monotonic() >= deadline:
            break
        waiting.wait(ASK_AGAIN_SECONDS)
    if not taken:
        yield None
        return
    lease, done = Lease(redis, key, token), threading.Event()
    renewing = threading.Thread(target=lease.renew_until, args=(done,), name="livewarden-lease", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        done.set()
        renewing.join()
        with store_errors():
            run_script(redis, "lease_release", keys=[key], args=[token])
