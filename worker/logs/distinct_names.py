"""Counts distinct names in bounded memory, even if they are hostile."""

from math import log
from typing import Final

BITS: Final = 65_536
"""8 kB for each of two windows, once there is a name. Up to 100,000 names are counted within some 1 %."""


class DistinctNames:
    """Names of the current time window and of the last one, a bit each (linear counting: Whang et al., "A linear-time
    probabilistic counting algorithm for database applications", 1990)."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._began = float("-inf")
        self._bits, self._before = bytearray(), bytearray()
        self._ones = 0

    def ended(self, now_seconds: float) -> int:
        """The number of names in the window that has just ended, returned once; 0: none has, or long ago.

        Args:
            now_seconds: time of a monotonic clock.
        """
        since = now_seconds - self._began
        if since < self._window_seconds:
            return 0
        adjoins = since < 2 * self._window_seconds
        count = self._count() if adjoins else 0
        self._before = self._bits if adjoins else bytearray()
        self._bits, self._ones, self._began = bytearray(), 0, now_seconds
        return count

    def add(self, name: str, now_seconds: float) -> bool:
        """Adds a name; returns whether it is new in this window and the last. A new one may share its bit with another,
        and seem known."""
        self.ended(now_seconds)
        new = not self.has(name, now_seconds)
        index, bit = _byte_and_bit(name)
        self._bits = self._bits or bytearray(BITS // 8)
        self._ones += not self._bits[index] & bit
        self._bits[index] |= bit
        return new

    def has(self, name: str, now_seconds: float) -> bool:
        """Returns whether the name, or one that shares its bit, was added in this window or the last."""
        self.ended(now_seconds)
        index, bit = _byte_and_bit(name)
        return any(bits and bits[index] & bit for bits in (self._bits, self._before))

    def _count(self) -> int:
        return round(BITS * log(BITS / max(1, BITS - self._ones)))


def _byte_and_bit(name: str) -> tuple[int, int]:
    """Byte and bit. An attacker cannot choose names that share one, since each process has its own hash seed."""
    number = hash(name) % BITS
    return number // 8, 1 << number % 8
