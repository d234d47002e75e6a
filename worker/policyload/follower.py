"""The policy in force, from LIVEWARDEN_POLICY_FILE: a changed file is taken without a restart, a broken one never.

A file that is being written may be read in part, or be missing for a moment; so a change is taken when a second read, a
second later, finds the same. Each refresh reads the file, a few kB: size, times and inode can be the same for another
content, which `tar` and `cp -p` bring about.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from config.errors import LivewardenError, PolicyError
from config.policy.policy import read_policy
from worker.logs.failure_log import FailureLog

_log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 1.0
"""Between two reads of the file: a good one is in force after two of them and the time to build its pipeline."""

UNREADABLE: Final = "unreadable"
"""`refused` of a file that is missing, or no file."""

T = TypeVar("T")


class _Seen(NamedTuple):
    """The file at one read."""

    data: bytes | None
    """None: it cannot be read."""
    problem: str = ""
    """The reason."""
    modified_ns: int = 0
    """A touched file is tried again: what it refers to may have changed, a model perhaps."""


class PolicyFollower(Generic[T]):
    """Follows a policy file; `in_force` is built from the last good one."""

    def __init__(self, path: Path | None, build: Callable[[bytes], T], *, quiet: bool = False) -> None:
        """Reads nothing yet.

        Args:
            path: None: the policy that ships, which does not change.
            build: builds what is in force from its bytes; raises LivewardenError where it is not usable.
            quiet: another process of the same worker follows the same file, and logs its problems.
        """
        self._quiet = quiet
        self._trouble = FailureLog(_log)
        self._path = path
        self._build = build
        self._lock = threading.Lock()
        self._refreshed_at = 0.0
        self.followed = False
        """A thread calls `refresh` periodically."""
        self._built: T | None = None
        self.good: bytes | None = None
        """The bytes of the last good policy. A process that is forked while the file is broken begins with those it was
        given."""
        self._tried: _Seen | None = None
        """The file that was read last, good or not."""
        self._noticed: _Seen | None = None
        """The file at the last read."""
        self.refused = ""
        """Digest of the file as it is now, if it is not usable; `UNREADABLE` if it cannot be read."""
        self.problem = ""
        """The reason that it is refused; empty: it is usable."""

    @property
    def in_force(self) -> T:
        """The policy in force. Where no thread follows the file, this refreshes it, at most once in REFRESH_SECONDS.

        Raises:
            LivewardenError: at the first use: the policy is not usable.
        """
        if self._built is None or (not self.followed and time.monotonic() - self._refreshed_at >= REFRESH_SECONDS):
            self.refresh()
        assert self._built is not None
        return self._built

    def refresh(self) -> bool:
        """Takes over a change of the file; returns whether another policy is in force now.

        Raises:
            LivewardenError: at the first call: the policy is not usable.
        """
        with self._lock:
            self._refreshed_at = time.monotonic()
            before = self._built
            if before is None:
                self._begin()
            elif self._path is not None:
                self._compare(self._path)
            if not self._quiet:
                self._log_refusal()
            return self._built is not before

    def _log_refusal(self) -> None:
        if self.refused:
            self._trouble.met("file", "the policy in force stays: %s", self.problem, level=logging.ERROR)
        else:
            self._trouble.over("file", "the policy's file is usable again")

    def _begin(self) -> None:
        seen = _Seen(read_policy(None)) if self._path is None else _read_file(self._path)
        self._tried = self._noticed = seen
        try:
            self._built = self._made(seen)
        except LivewardenError as error:
            if self.good is None or self.good == seen.data:
                raise  # there is no other: what it refers to has changed, a model's weights perhaps
            self._built = self._build(self.good)
            self._refuse(seen, str(error))
        else:
            self.good = seen.data

    def _compare(self, path: Path) -> None:
        seen = _read_file(path)
        settled = seen == self._noticed
        self._noticed = seen
        if settled and seen != self._tried:
            self._tried = seen
            self._take(seen)

    def _take(self, seen: _Seen) -> None:
        try:
            if seen.data is None or seen.data != self.good:
                self._built = self._made(seen)
                self.good = seen.data
        except LivewardenError as error:
            self._refuse(seen, str(error))
        else:
            self.refused = self.problem = ""

    def _made(self, seen: _Seen) -> T:
        if seen.data is None:
            raise PolicyError(seen.problem)
        return self._build(seen.data)

    def _refuse(self, seen: _Seen, problem: str) -> None:
        refused = UNREADABLE if seen.data is None else hashlib.sha256(seen.data).hexdigest()
        if refused != self.refused:
            self._trouble.forget()
        self.refused, self.problem = refused, problem


def _read_file(path: Path) -> _Seen:
    try:
        data = read_policy(path)
        return _Seen(data, modified_ns=path.stat().st_mtime_ns)
    except PolicyError as error:
        return _Seen(None, str(error))
    except OSError as error:
        return _Seen(None, f"{path}: cannot be read: {error.strerror}")
