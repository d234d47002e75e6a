"""Finds cuts and fades in decoded pictures, where packets do not show them. Runs in the decoder child.

AV1 and VP9 code pictures in a rhythm that looks like cuts all the time, and code what is shown later with what is shown
now: on 561 inserts sizes pointed at 96 %, and at most other pictures as well. Grain, strobes and flicker do the same to
other codecs. There all pictures are decoded and compared.
"""

from collections import deque
from enum import Enum
from typing import NamedTuple

import cv2
import numpy as np
from av.video.frame import VideoFrame

from sampler.decode.scenes.cadence import Cadence
from sampler.decode.scenes.cells import (
    CHANGED_SHARE,
    LUMA,
    UNUSUAL,
    Cells,
    LatestCells,
    Lumas,
    Measures,
    change_between,
    differ,
    faint_change,
    is_other,
    means_differ,
)
from sampler.decode.scenes.fades import FadeWatch

FLASH_LEVELS, FLASH_SHARE = 24.0, 0.4
"""Levels by which a cell must change (>), and share of such cells over which (>) a picture has nothing in common with
the one before it, however usual that is there: no motion does that."""
REPEATED_LEVELS = 1.5
"""A picture of which the luma of no cell changes by so much (<) repeats the one before: a camera of 10 pictures a
second sent as 30 would have its every third look like a cut."""
FADING = 0.75
"""Share of a change that counts as usual a picture later: after a cut another one is seen a quarter of a second
later."""
KNOWN = 8
"""So many of the latest samples are remembered: a picture like one of them shows nothing new, however it is cut."""
CALM = 0.25
"""A picture stays where it changes by this share (<) of what those before it did, that all differed without a cut among
them: motion goes on more evenly."""
BLENDED_SHARE = 0.2
"""Share of changed cells over which (>) the latest sample may show a blend of two scenes, taken while one of them came
in piece by piece."""
FADED_SHARE = 0.1
"""The same, where that sample was taken while a change built up, which has settled since: its gap may put it near the
end, where it shows most of what came and matches no list."""
REPEATED_SHARE = 0.05
"""Share of changed cells up to which (<=) a picture repeats the latest sample. At a GOP of 1 s, where a keyframe may
come while a photograph is wiped in, the whole of it was matched in 21 of 22 with this, in 17 with 0.1 to 0.4."""
MOVING_LEVELS = 0.3
"""Mean change of a picture's luma over (>) which it moves. At a GOP of 0.5 s photographs that came in piece by piece,
by wipes and blocks of 0.4 to 1 s, were sampled and matched in 22 of 22 each with this and with 0.5, and in 17 to 22
whatever the change; a dark webcam in AV1 took 0.71 samples a second, and 0.79."""

AROUND = np.ones((3, 3), np.uint8)
"""A cell and those beside it."""


class Change(Enum):
    """Change that a picture brings."""

    CUT = "cut"
    """It shows another scene than the picture before it."""
    SETTLED = "settled"
    """It is the first clear picture after a change that built up over several, or after pictures that all differ."""
    FLASH = "flash"
    """It is one of many pictures that have nothing in common, as in a strobe."""


class Novelty(NamedTuple):
    """News of a picture."""

    change: Change
    known: bool
    """One of the latest samples shows the same: A, B and A again are two pictures."""


class SceneWatch:
    """Is shown the pictures of one input in the order of a player."""

    def __init__(self) -> None:
        self._cells: Cells | None = None
        self._usual: Measures | None = None
        self._usual_faint: Lumas | float = 0.0
        self._known: deque[Cells] = deque(maxlen=KNOWN)
        self._blended = self._fading = self._has_settled = False
        self._fades = FadeWatch()
        self._cadence = Cadence()
        self._stirred = 0.0
        self._all_follow = self._follows = True
        self._pace = self._pace_before = 0.0
        self.strayed = True
        """Something may have come since the latest sample that no sample shows."""
        self.measured = LatestCells()
        """Cells of the pictures that it is shown, each measured once."""

    def forget(self, *, all_follow: bool) -> None:
        """Begins anew after pictures that were not shown. If not all pictures follow, the first change of some size is
        motion."""
        self._all_follow = self._follows = all_follow
        self.strayed = True
        self._pace = 0.0
        self._cells = self._usual = None
        self._usual_faint = 0.0
        self._stirred = 0.0
        self._fades.forget()
        self._cadence.forget()

    def go_on(self, *, all_follow: bool) -> None:
        """Goes on with the picture right after the last one. Changes between pictures that were apart look as if they
        calmed down where one comes right after another."""
        if not self._all_follow:
            self._stirred = 0.0
            self._fades.forget()
        self._all_follow, self._follows = all_follow, True

    def look(self, frame: VideoFrame, seconds: float) -> Novelty | None:
        """Looks at the next picture; returns what is new in it, None: nothing."""
        before, cells = self._cells, self.measured.of(frame)
        follows, self._follows = self._follows, self._all_follow
        if before is None:
            self._cells = cells
            return None
        change = change_between(before, cells)
        pace = float(change[LUMA].mean())
        faint = faint_change(before, cells)
        is_cut = self._is_unusual(change, faint, follows=follows)
        repeats = self._cadence.repeats(pace, seconds) and not is_cut
        if not repeats:
            self._pace_before, self._pace = self._pace, pace
        if not is_cut and np.abs(cells.luma - before.luma).max() < REPEATED_LEVELS:
            rests = self._fades.rests(seconds)
            if not rests and (repeats or not self._has_calmed(pace, stirs=False)):
                return None
            self._stirred = 0.0
            self._has_settled = True
            return self._settled(cells, faded=rests)
        self._cells = cells
        stirs = is_other(change[LUMA])
        # Motion moves on to the cells beside it.
        around = np.asarray(cv2.dilate(change, AROUND), np.float32)
        self._usual = around if self._usual is None else np.maximum(around, FADING * self._usual)
        if faint is not None:
            around_faint = np.asarray(cv2.dilate(faint, AROUND), np.float32)
            self._usual_faint = np.maximum(around_faint, FADING * self._usual_faint)
        elif not isinstance(self._usual_faint, float):
            self._usual_faint *= FADING
        faded = not repeats and self._fades.has_settled(cells, change[LUMA], seconds, is_cut=is_cut)
        settled = faded or (not repeats and self._has_calmed(pace, stirs=stirs))
        self._has_settled = settled
        if is_cut or settled:
            self._stirred = 0.0
        flashes = follows and stirs and (change[LUMA] > FLASH_LEVELS).mean() > FLASH_SHARE
        if is_cut:
            return Novelty(Change.CUT, self._is_known(cells))
        if settled:
            return self._settled(cells, faded=faded)
        return Novelty(Change.FLASH, self._is_known(cells)) if flashes else None

    def remember(self, frame: VideoFrame, *, blended: bool = False) -> None:
        """Remembers a picture that was taken as a sample; `blended`: it may show a scene of which more is to come."""
        self._known.append(self.measured.of(frame))
        self._blended, self._fading = blended, self._fades.goes_on and not self._has_settled
        self.strayed = False

    def repeats(self, frame: VideoFrame) -> bool:
        """True if the latest sample shows all of what a picture does."""
        return bool(self._known) and not differ(self._known[-1], self.measured.of(frame), share=REPEATED_SHARE)

    def has_shown(self, frame: VideoFrame, *, whole: bool = False) -> bool:
        """True if the latest sample shows what a picture does; `whole`: nearly all of it."""
        if not self._known:
            return False
        return not differ(self._known[-1], self.measured.of(frame), share=BLENDED_SHARE if whole else CHANGED_SHARE)

    @property
    def goes_on(self) -> bool:
        """True if no cut was between the latest sample and the picture that was shown last, and that moves: what came
        in piece by piece has come to rest."""
        # A keyframe codes all anew, so the picture itself changes.
        return not self.strayed and self._pace_before > MOVING_LEVELS

    def _settled(self, cells: Cells, *, faded: bool) -> Novelty | None:
        """News of a picture that has settled; None: the latest sample shows it."""
        share = BLENDED_SHARE if self._blended else CHANGED_SHARE
        if faded and self._fading:
            share = FADED_SHARE
        if self._known and not means_differ(self._known[-1], cells, share=share):
            return None
        return Novelty(Change.SETTLED, self._is_known(cells))

    def _is_known(self, cells: Cells) -> bool:
        return any(not differ(one, cells) for one in self._known)

    @property
    def shown(self) -> Cells | None:
        """Cells of the latest picture."""
        return self._cells

    def still_shows(self, earlier: Cells) -> bool:
        """True if the latest picture shows the same as an earlier one."""
        return self._cells is not None and not differ(earlier, self._cells)

    def _is_unusual(self, change: Measures, faint: Lumas | None, *, follows: bool) -> bool:
        """True if enough changes more than it did just before: else it is fast motion."""
        if self._usual is None:
            return follows and (is_other(change) or (faint is not None and is_other(faint)))
        if is_other(change, UNUSUAL * self._usual):
            return True
        return faint is not None and is_other(faint, UNUSUAL * self._usual_faint)

    def _has_calmed(self, pace: float, *, stirs: bool) -> bool:
        """True for the first picture that stays after some that all differed, as in a strobe."""
        if stirs:
            self._stirred = max(self._stirred, pace)
        return pace < CALM * self._stirred
