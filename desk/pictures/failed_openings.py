"""Failures to open pictures, remembered for a while: a tile says what an image in a page cannot."""

import threading
import time
from collections.abc import Callable
from typing import Final

PASSING: Final = frozenset({"store", "slow", "busy", "waiting", "missing", "identity"})
"""Reasons that may be gone at the next try: the tile offers one."""
PASSING_SECONDS: Final = 30.0
LASTING_SECONDS: Final = 600.0
"""The same for a reason that another try does not change, such as an altered picture; a rotation of keys may."""
MOST: Final = 2_000
"""Failures that are remembered, <=; the oldest are forgotten first."""


class FailedOpenings:
    """Reasons by the reference of a picture; of all people, for they do not depend on who opens it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_ref: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def note(self, ref: str, reason: str) -> bool:
        """Remembers a failure; returns whether it is a new one."""
        with self._lock:
            before = self._by_ref.pop(ref, None)
            self._by_ref[ref] = (reason, self._clock())
            while len(self._by_ref) > MOST:
                del self._by_ref[next(iter(self._by_ref))]
        return before is None or before[0] != reason

    def forget(self, ref: str) -> None:
        """Forgets the failure of a picture that opened."""
        with self._lock:
            self._by_ref.pop(ref, None)

    def reason(self, ref: str) -> str:
        """The reason; empty: none is remembered."""
        with self._lock:
            reason, at = self._by_ref.get(ref, ("", 0.0))
        lasts = PASSING_SECONDS if reason in PASSING else LASTING_SECONDS
        return reason if self._clock() - at < lasts else ""
