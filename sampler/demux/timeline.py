"""Time stamps as they come, made into one timeline that only goes on."""

from fractions import Fraction

JUMP_SECONDS = 10
"""A step forward longer than this is a discontinuity, not a picture shown for long: HLS segments are shorter. Nor does
reordering move a picture further than this from where it is decoded."""
BACKSTEP_SECONDS = 1
"""Distance behind the latest over which (>) a time is a discontinuity, where there are only presentation times;
B-frames lie behind it by a few frames at most."""
NOMINAL_FRAMES_PER_SECOND = 25
"""The frame duration until two pictures show it."""
SAME_INSTANT_SECONDS = 1e-6
"""Times nearer than this are the same: they come from sums of fractions."""
LONGEST_FRAME_SECONDS = 0.5
"""A step longer than this is no frame duration."""
LONGEST_SHOWN_SECONDS = 1.0
"""For which the last picture is shown, at most: what comes after it is in the next segment, so a step or the container
must say it, and either may lie. Slow cameras send a picture a second."""


class Timeline:
    """Places pictures, which come in decoding order, on a timeline in seconds.

    At a discontinuity (a jump of over `JUMP_SECONDS`, or back) the timeline goes on: the next picture takes its place
    one frame after the latest before it. Time stamps that are missing are made up from the frame duration, and a
    presentation time that is far from its decoding time counts as missing: it would stretch the segment by hours.
    All is counted in ticks of the time base, for fractions are slow and floats would add up errors.
    """

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self._tick_seconds = float(time_base)
        self._jump = round(JUMP_SECONDS / time_base)
        self._backstep = round(BACKSTEP_SECONDS / time_base)
        self._longest_frame = round(Fraction(LONGEST_FRAME_SECONDS) / time_base)
        self._longest_shown = round(Fraction(LONGEST_SHOWN_SECONDS) / time_base)
        self._frame = max(round(1 / (NOMINAL_FRAMES_PER_SECOND * time_base)), 1)
        self._shown = 0
        self._shift = 0
        self._last: int | None = None
        self._latest: int | None = None
        self.jumps = 0
        self.missing = 0

    @property
    def frame_seconds(self) -> float:
        """The last plausible step between two pictures."""
        return self._frame * self._tick_seconds

    @property
    def shown_seconds(self) -> float:
        """Time for which the last picture is shown."""
        return max(self._frame, self._shown) * self._tick_seconds

    def place(self, pts: int | None, dts: int | None, duration: int | None = None) -> float:
        """Presentation time of the next picture, in seconds; its origin is the container's.

        Args:
            duration: by the container; None or 0: it does not say.
        """
        if pts is not None and dts is not None and abs(pts - dts) > self._jump:
            self.missing += 1
            pts = None
        stamp = dts if dts is not None else pts
        if stamp is None:
            self.missing += 1
            stamp = self._last + self._frame if self._last is not None else 0
        shown = stamp if pts is None else pts
        if self._last is not None and self._latest is not None:
            step = stamp - self._last
            earliest = self._last if dts is not None else self._latest - self._shift - self._backstep
            if step > self._jump or stamp < earliest:
                self.jumps += 1
                self._shift = self._latest + self._frame - shown
            elif 0 < step <= self._longest_frame:
                self._frame = step
            self._shown = step if 0 < step <= self._jump else 0
        self._shown = min(max(self._shown, duration or 0), self._longest_shown)
        self._last = stamp
        placed = shown + self._shift
        self._latest = placed if self._latest is None else max(self._latest, placed)
        return placed * self._tick_seconds
