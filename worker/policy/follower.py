"""The policy in force, as LIVEWARDEN_POLICY_FILE has it: a changed file is taken without a restart, a broken one never.

A file that is being written is seen half; so a change is taken when a second look, a second later, finds the same.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from config.errors import LivewardenError
from config.policy import read_policy

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""Between two looks at the file: a good one is in force after two of them and what it takes to build its pipeline."""

T = TypeVar("T")


class _Seen(NamedTuple):
    """A file by what changes when it is written or replaced."""

    modified_ns: int
    size_bytes: int
    inode: int


class PolicyFollower(Generic[T]):
    """Follows a policy file; `in_force` is what was built of the last good one."""

    def __init__(self, path: Path | None, build: Callable[[bytes], T]) -> None:
        """Reads nothing yet.

        Args:
            path: None: the policy that ships, which does not change.
            build: makes of its bytes what is judged by; raises LivewardenError where it is not usable.
        """
        self._path = path
        self._build = build
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self.followed = False
        """A thread calls `look` again and again."""
        self._built: T | None = None
        self.good: bytes | None = None
        """The bytes of the last good policy. A process that is forked while the file is broken begins with them, if it
        was given them."""
        self._tried: _Seen | None = None
        """The file that was read last, good or not."""
        self._noticed: _Seen | None = None
        """A changed file that was seen once."""
        self.refused = ""
        """Digest of the file as it is now, if it is not usable; or a word for why it cannot be read."""
        self.problem = ""
        """What is wrong with it; empty: nothing."""

    @property
    def in_force(self) -> T:
        """What is judged by. Where no thread follows, it looks by itself, at most once in LOOK_SECONDS.

        Raises:
            LivewardenError: at the first use: the policy is not usable.
        """
        if self._built is None or (not self.followed and time.monotonic() - self._looked_at >= LOOK_SECONDS):
            self.look()
        assert self._built is not None
        return self._built

    def look(self) -> bool:
        """Takes over what has changed in the file; gives whether something else is in force now.

        Raises:
            LivewardenError: at the first look: the policy is not usable.
        """
        with self._lock:
            self._looked_at = time.monotonic()
            before = self._built
            if before is None:
                self._begin()
            elif self._path is not None:
                self._compare(self._path)
            return self._built is not before

    def _begin(self) -> None:
        self._tried = None if self._path is None else _stat(self._path)
        refused = "unreadable"
        try:
            data = read_policy(self._path)
            refused = _digest(data)
            self._built = self._build(data)
        except LivewardenError as error:
            if self.good is None:
                raise
            self._built = self._build(self.good)
            self._refuse(refused, str(error))
        else:
            self.good = data

    def _compare(self, path: Path) -> None:
        seen = _stat(path)
        if seen is None:
            self._tried = self._noticed = None
            self._refuse("missing", f"{path}: cannot be read: expected a policy")
        elif seen != self._tried and seen != self._noticed:
            self._noticed = seen
        elif seen != self._tried:
            self._tried = seen
            self._take(path)

    def _take(self, path: Path) -> None:
        digest = "unreadable"
        try:
            data = read_policy(path)
            digest = _digest(data)
            if data != self.good:
                self._built = self._build(data)
                self.good = data
        except LivewardenError as error:
            self._refuse(digest, str(error))
        else:
            self.refused = self.problem = ""

    def _refuse(self, refused: str, problem: str) -> None:
        if refused != self.refused:
            _log.error("the policy in force stays: %s", problem)
        self.refused, self.problem = refused, problem


def _stat(path: Path) -> _Seen | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Seen(found.st_mtime_ns, found.st_size, found.st_ino)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
