"""Tells the pictures that a broadcaster repeats, to send a film at another rate. Runs in the decoder child."""

import math
from collections import deque

from sampler.demux.timeline import SAME_INSTANT_SECONDS

REPEATED_SHARE = 0.25
"""A repeat changes by this share (<) of what the picture before it did that is none. Of a fast film of 25 pictures a
second sent as 30 and 60, in H.264, HEVC, MPEG-2, AV1 and VP9, 14 or 15 and 34 to 37 in 10 s
looked new where repeats were not told; so 7 or 8 do."""
LONGEST_SECONDS = 0.15
"""A picture that lasts longer (>) is not repeated for its rate, but shows a scene in which nothing moves."""
STEPS = 30
"""So many of the latest pictures tell how long they last: of a film of 24 a second that is sent as 25 one in 24 is
repeated."""


class Cadence:
    """Is shown the changes of pictures in the order of a player."""

    def __init__(self) -> None:
        self._step, self._step_seconds = 0.0, -math.inf
        """Change of the latest picture that was no repeat, and its time."""
        self._lasted: deque[float] = deque(maxlen=STEPS)
        """Seconds for which such pictures lasted with their repeats."""

    def forget(self) -> None:
        """Begins anew."""
        self._step, self._step_seconds = 0.0, -math.inf
        self._lasted.clear()

    def repeats(self, change: float, seconds: float) -> bool:
        """True if a picture shows the one before it again, no longer than others were shown.

        Args:
            change: in levels, of all of the picture.
            seconds: its time.
        """
        lasted = seconds - self._step_seconds
        if change < REPEATED_SHARE * self._step and lasted <= LONGEST_SECONDS:
            return lasted < max(self._lasted, default=0.0) - SAME_INSTANT_SECONDS
        if lasted <= LONGEST_SECONDS:
            self._lasted.append(lasted)
        self._step, self._step_seconds = change, seconds
        return False
