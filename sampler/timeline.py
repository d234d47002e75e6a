"""Time stamps as they come, made into one timeline that only goes on."""

from fractions import Fraction

JUMP_SECONDS = 10
"""A step forward longer than this is a discontinuity, not a picture shown for long: HLS segments are shorter."""
BACKSTEP_SECONDS = 1
"""Where there are only presentation times, so far back is a discontinuity; B-frames step back a few frames at most."""
NOMINAL_FRAME_SECONDS = Fraction(1, 25)
"""Until two pictures have told the frame duration."""
LONGEST_FRAME_SECONDS = Fraction(1, 2)
"""A step longer than this does not tell the frame duration."""


class Timeline:
    """Places pictures, which come in decoding order, on a timeline in seconds.

    At a discontinuity (a jump of over `JUMP_SECONDS`, or back) the timeline goes on: the next picture takes its place
    one frame after the latest before it. Time stamps that are missing are made up from the frame duration.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._shift = Fraction(0)
        self._last: Fraction | None = None
        self._latest: Fraction | None = None
        self.frame_seconds = NOMINAL_FRAME_SECONDS
        """The last plausible step between two pictures."""
        self.jumps = 0
        self.missing = 0

    def place(self, pts: int | None, dts: int | None) -> float:
        """Presentation time of the next picture, in seconds; its origin is the container's."""
        stamp = dts if dts is not None else pts
        if stamp is None:
            self.missing += 1
            decoded = self._last + self.frame_seconds if self._last is not None else Fraction(0)
        else:
            decoded = stamp * self._time_base
        shown = decoded if pts is None else pts * self._time_base
        if self._last is not None and stamp is not None:
            step = decoded - self._last
            back = 0 if dts is not None else -BACKSTEP_SECONDS
            if not back <= step <= JUMP_SECONDS and self._latest is not None:
                self.jumps += 1
                self._shift = self._latest + self.frame_seconds - shown
            elif 0 < step <= LONGEST_FRAME_SECONDS:
                self.frame_seconds = step
        self._last = decoded
        placed = shown + self._shift
        self._latest = placed if self._latest is None else max(self._latest, placed)
        return float(placed)
