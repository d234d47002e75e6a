"""Pictures that are taken besides the planned ones, for they show something new. Runs in the decoder child.

Whatever is decoded on the way to a planned picture is compared too, which costs little beside decoding: of 12
inserts that packets did not show, 5 to 7 are seen so.
"""

import math
from typing import NamedTuple

from av.video.frame import VideoFrame

from sampler.decode.scenes.cells import Cells
from sampler.decode.scenes.scene_watch import Change, SceneWatch
from sampler.plan.budget import SampleBudget

KNOWN_RESERVE, BEFORE_RESERVE = 0.5, 0.25
"""Share of the bucket that stays for what is new: of a flash or a cut to what a sample has shown, and of the picture
before a cut."""

PASSING_SECONDS = 0.1
"""Pictures that are decoded on the way to planned ones are compared so far apart (>=): two in an insert of 0.25 s. That
takes a fifth of the time of decoding at 180p."""


class _Waiting(NamedTuple):
    """A picture that there was no token for: it is not lost while others show the same."""

    seconds: float
    cells: Cells


class News(NamedTuple):
    """News of a picture."""

    before: tuple[int, VideoFrame] | None = None
    """The picture before it, to be taken as well: the last of its scene, which no sample shows."""
    is_new: bool = False
    """It is to be taken itself."""


NO_NEWS = News()


class Lookout:
    """Is shown the decoded pictures of one run in the order of a player."""

    def __init__(self, scenes: SceneWatch, budget: SampleBudget, *, watched: bool) -> None:
        """The bucket is that of all samples; what a run before has shown is known from `scenes`. Where a run is not
        `watched` some of its pictures are decoded, and some of those are compared."""
        self._scenes = scenes
        self._budget = budget
        self._watched = watched
        self._looked_seconds = -math.inf
        self._before: tuple[int, VideoFrame] | None = None
        self._waiting: _Waiting | None = None
        self.refused_seconds: list[float] = []
        """Times of new pictures that there was no token for, and that nothing shows that was taken."""

    def look(self, index: int, frame: VideoFrame, seconds: float, *, answers: int, closely: bool = False) -> News:
        """News of the next picture; `answers` planned ones are taken of it anyway. `closely`: it is compared in any
        case."""
        if not self._watched and not answers and not closely and seconds - self._looked_seconds < PASSING_SECONDS:
            return NO_NEWS
        self._looked_seconds = seconds
        half_second = self._budget.half_second(seconds)
        novelty = self._scenes.look(frame, seconds)
        self._budget.spend(half_second, answers, owed=True)
        # What samples have shown may not use up what is new.
        common = novelty is not None and (novelty.known or novelty.change is Change.FLASH)
        reserve = KNOWN_RESERVE if common else 0.0
        before = None
        if (
            novelty is not None
            and novelty.change is Change.CUT
            and self._before is not None
            and not self._scenes.has_shown(self._before[1])
            and self._budget.spend(half_second, reserve=max(reserve, BEFORE_RESERVE))
        ):
            before = self._before
        waiting = self._waiting
        lasts = waiting is not None and self._scenes.still_shows(waiting.cells)
        is_new = (novelty is not None or lasts) and (answers > 0 or self._budget.spend(half_second, reserve=reserve))
        taken = is_new or answers > 0
        self._scenes.strayed |= novelty is not None and not taken
        if waiting is not None and (taken or not lasts):
            if not lasts:
                self.refused_seconds.append(waiting.seconds)
            self._waiting = None
        if novelty is not None and not novelty.known and not taken and (shown := self._scenes.shown) is not None:
            self._waiting = self._waiting or _Waiting(seconds, shown)
        self._before = None if taken else (index, frame)
        return News(before, is_new)

    def close(self) -> None:
        """Ends the run."""
        if self._waiting is not None:
            self.refused_seconds.append(self._waiting.seconds)
