"""The latest sample of an input, and the planned pictures that it speaks for. Runs in the decoder child."""

import math

from sampler.decode.scenes.scene_watch import SceneWatch
from sampler.decode.settled import DecodedTarget
from sampler.demux.timeline import SAME_INSTANT_SECONDS


class LatestSample:
    """Is given what is taken, one picture after another."""

    def __init__(self, scenes: SceneWatch, *, gap_seconds: float) -> None:
        """`gap_seconds`: for so long a sample speaks for what comes after it."""
        self._scenes = scenes
        self._gap_seconds = gap_seconds
        self._seconds = -math.inf

    def shows(self, taken: DecodedTarget) -> bool:
        """True if the picture need not be taken: it is the last of a scene or a keyframe, and the latest sample shows
        the same, or the scene that the keyframe goes on with."""
        target = taken.target
        if target.ends:
            return self._scenes.has_shown(taken.frame, whole=target.settles)
        if target.until_seconds is None or taken.concealed:
            return False
        if target.until_seconds - self._seconds > self._gap_seconds + SAME_INSTANT_SECONDS:
            return False
        if not target.goes_on and not self._scenes.repeats(taken.frame):
            return False
        self._scenes.strayed = False
        return True

    def take(self, taken: DecodedTarget, seconds: float) -> None:
        """Takes a picture, which is shown at that time; one that is concealed speaks for nothing."""
        self._scenes.remember(taken.frame, blended=taken.target.settles)
        self._seconds = -math.inf if taken.concealed else seconds
