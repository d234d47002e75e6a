"""A rate limit of log lines: a flood of messages or of failing segments does not flood the log."""

from typing import Final

WINDOW_SECONDS: Final = 60.0


class LineLimit:
    """A limit of `lines` lines a minute, or in another number of seconds."""

    def __init__(self, lines: int, *, seconds: float = WINDOW_SECONDS) -> None:
        self._lines = lines
        self._seconds = seconds
        self._window_began = float("-inf")
        self._written = 0
        self._left_out = 0

    def next(self, now_seconds: float) -> int | None:
        """The number of lines left out before the next one; None if that is left out too.

        Args:
            now_seconds: time of a monotonic clock.
        """
        if now_seconds - self._window_began >= self._seconds:
            self._window_began, self._written = now_seconds, 0
        if self._written >= self._lines:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
