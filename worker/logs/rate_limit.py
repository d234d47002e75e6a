"""A bound on how much is logged: whoever floods a queue, or lists what fails, does not flood the log."""

from typing import Final

WINDOW_SECONDS: Final = 60.0


class LineLimit:
    """At most `lines` lines a minute."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._window_began = float("-inf")
        self._written = 0
        self._left_out = 0

    def next(self, now_seconds: float) -> int | None:
        """How many lines were left out before the next one; None if that is left out too.

        Args:
            now_seconds: of a clock that only goes forward.
        """
        if now_seconds - self._window_began >= WINDOW_SECONDS:
            self._window_began, self._written = now_seconds, 0
        if self._written >= self._lines:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
