"""Windows in a still scene, made so that block means of the picture stay as they were: are they classified?"""

from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.clips import EncoderSetting
from bench.hidden_clips import ClipFolder, HiddenClip, encoded
from bench.hidden_rows import SEGMENT_SECONDS, X264_QUALITY, HiddenRow
from bench.sampling import HIDDEN_HEIGHT, HIDDEN_WIDTH
from bench.staging import StagedReel, planes, still_photograph
from bench.stream_cost import StreamCost
from config.profiles import SamplingProfile

SCENES = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")
WINDOWS, QUICK_WINDOWS = 10, 2
"""Windows in each scene."""
RATE = 6
"""Pictures a second: nothing moves."""
BLOCKS = 4
"""Blocks a side whose means are restored."""
NOISE_SIGMA = 2

I420 = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """Windows of a ninth of the picture, each shown for a segment."""

    classified: int
    """Windows of which a sample was classified, and did not take over the scores of the scene."""
    total: int


class _Windowed(StagedReel):
    """A scene for one segment, and with a window in it for another one."""

    def __init__(self, scene: I420, changed: I420) -> None:
        self.width, self.height, self.loops = HIDDEN_WIDTH, HIDDEN_HEIGHT, {}
        self._pictures = scene, changed

    def picture(self, name: str, index: int) -> I420:  # noqa: ARG002 (there is one film)
        """Picture `index`, whatever the name."""
        picture = self._pictures[index >= RATE * SEGMENT_SECONDS].copy()
        luma = planes(picture)[0]
        noise = np.random.default_rng((12, index)).normal(0, NOISE_SIGMA, luma.shape)
        luma[:] = np.clip(luma + noise, 16, 235)
        return picture


def measure_gate(profile: SamplingProfile, folder: ClipFolder, *, windows: int) -> GateResult:
    """Moderates each clip, the gate's state handed on from its first segment to its second."""
    classified = total = 0
    with StreamCost(profile) as pipeline:
        for scene in SCENES:
            for number in range(windows):
                hidden = folder.clip(f"gate {scene} {number}", partial(_make, scene, number))
                classified += any(pipeline.classified(hidden, from_seconds=SEGMENT_SECONDS - 0.5 / RATE))
                total += 1
    return GateResult(classified=classified, total=total)


def _make(scene: str, number: int) -> HiddenClip:
    random = np.random.default_rng((13, SCENES.index(scene), number))
    others = [name for name in SCENES if name != scene]
    ground, other = (_i420(name) for name in (scene, others[number % len(others)]))
    side = 1 / 3
    left, top = random.uniform(0.04, 0.96 - side, 2).tolist()
    changed = _restored(ground, other, (side, left, top))
    row = HiddenRow(name="gate", gop_pictures=2 * RATE)
    encoder: EncoderSetting = replace(X264_QUALITY, frames_per_second=RATE)
    staged = _Windowed(ground, changed)
    frames = 2 * SEGMENT_SECONDS * RATE
    return encoded(row, encoder, staged, [], base=scene, frames=frames, judged=False)


def _i420(name: str) -> I420:
    rgb = still_photograph(name, HIDDEN_WIDTH, HIDDEN_HEIGHT)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)


def _restored(ground: I420, other: I420, window: tuple[float, float, float]) -> I420:
    """`ground` with `other` in the window, whose luma is shifted in each block so that the block's mean is kept."""
    side, left, top = window
    changed = ground.copy()
    for target, source in zip(planes(changed), planes(other), strict=True):
        rows, columns = target.shape
        height, width = round(rows * side), round(columns * side)
        part = target[round(rows * top) :, round(columns * left) :][:height, :width]
        part[:] = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
    luma, before = planes(changed)[0], planes(ground)[0]
    rows, columns = luma.shape
    inside = np.zeros(luma.shape, bool)
    inside[round(rows * top) :, round(columns * left) :][: round(rows * side), : round(columns * side)] = True
    for row in range(BLOCKS):
        for column in range(BLOCKS):
            place = np.s_[
                row * rows // BLOCKS : (row + 1) * rows // BLOCKS,
                column * columns // BLOCKS : (column + 1) * columns // BLOCKS,
            ]
            if not inside[place].any():
                continue
            # Clipping moves the mean again.
            for _ in range(8):
                wanted = float(before[place].astype(float).sum() - luma[place].astype(float).sum())
                part = luma[place].astype(float)
                part[inside[place]] += wanted / inside[place].sum()
                luma[place] = np.clip(np.rint(part), 16, 235)
    return changed
