"""Pictures as measures of their cells, compared in all and window by window. Runs in the decoder child.

Means of luma alone are blind to another picture's details over the same means, and to its colours: so texture and
chroma are compared as well, each by itself. All limits on luma are on levels of a picture of full contrast: dim
pictures, which differ by few levels, are as much to hashes and classifiers.
"""

from functools import cached_property

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

COLUMNS, ROWS = 32, 18
"""Cells that are compared: coarse enough for the motion and coding noise of one picture's time."""
LOOKED_AT_ROWS, LOOKED_AT_COLUMNS = 4 * ROWS, 8 * COLUMNS
"""Rows of a picture that are read, at least: all of them would take five times as long at 360p. Texture is read in as
many columns, so that it is the same at any size."""
CHROMA_ROWS, CHROMA_COLUMNS = 2 * ROWS, 2 * COLUMNS
"""Rows and columns of chroma that are read, at least."""
TEXTURE_GAIN = 4.0
"""Levels that a level of difference between neighbours counts for in a cell's texture, up to 255: so one limit holds
for all measures. What moves changes the sharpest edges, new details change what was smooth. Of another photograph's
details over kept means, at its contrast and at half of it, 24 of 24 changed over `CHANGED_SHARE`, 0.7 and 0.5 of the
cells in the median; of seven films without cuts, where change was unusual, up to 0.41 in one picture (`game`), else
under 0.32. At 3, 22 of 24 do; at 6 three films have such pictures. Deviations from the mean do not tell both apart."""
CHANGED_LEVELS = 8.0
"""Levels of 256 by which one measure of a cell must differ (>) to count as changed."""
UNUSUAL = 2.0
"""A cell changes (>) so many times as much as those around it did just before: else it is fast motion."""
CHANGED_SHARE = 0.4
"""Share of changed cells over which (>) the scene is another. From one picture of the film `carphone` to the next up to
0.21 changed, at 15 pictures a second 0.31; of others half as many."""
WINDOW_COLUMNS, WINDOW_ROWS = 8, 4
"""Cells of the smallest window that is another scene within a picture: an eighteenth of its area, so that one of a
ninth holds one wherever it lies."""
WINDOW_LEVELS, WINDOW_SHARE = 16.0, 0.7
"""Levels by which a cell of such a window must change (>), and share of such cells over which (>) it is one: what moves
changes at its edges only. Of films without cuts no window had over 0.56, at 15 pictures a second 0.66; of 24 in which
another film began or ended in a window of a ninth or a fourth none had under 0.78."""
LEAST_WINDOW_SHARE = WINDOW_SHARE * WINDOW_COLUMNS * WINDOW_ROWS / (ROWS * COLUMNS)
"""Share of all cells up to which (<=) there is no such window, wherever they are."""

FULL_SPREAD = 12.0
"""Standard deviation of the luma in a smallest window around a cell from which (>=) its contrast is full. In windows,
for bars beside a dim picture are no contrast of its own. Whole pictures of seven contents without cuts have 16 to 54, a
dark webcam's the least."""
LEAST_CONTRAST = 3 / 8
"""Contrast below which (<) coding noise would count: `CHANGED_LEVELS` stand for 3 levels at least. From one picture of
that webcam, with grain, to the next up to 0.14 of the cells change by that, by motion (H.264, HEVC and AV1). Of 192
photographs over others, both at 0.06 to 0.13 of their contrast, with noise, 17 showed as cuts at 8 levels, 168 do so
(all but half of those at 0.06), and no more pictures of those contents."""
EVEN_SPREAD = 2.0
"""Standard deviation of the luma in a smallest window around a cell under which (<) the ground is even."""
FAINT_LEVELS, FAINT_CLIP = 1.4, 4.0
"""Levels by which, in the mean, changes in such a window deviate from their own mean where something else shows there,
over (>) which it counts as changed; and the most that one cell's change counts for. Of 66 photographs at 0.1 to 0.2 of
their contrast in a quarter of a bright picture, over even ground, 56 are sampled so (before: 37; the others are of one
night sky, of which a shade is left), and no more pictures of contents without cuts, under light that changes too. At
1.0 as many are, and now and then the noise of a dark room with a tight buffer. With the mean itself in place of
deviations 65 are, and up to 4 pictures a second under such light."""

LUMA, MEANS = np.s_[..., 0], np.s_[..., :3]
"""The mean of luma in `Measures`; all means."""

Measures = NDArray[np.float32]
"""(ROWS, COLUMNS, 4), 0 to 255: means of luma (or green) and of both kinds of chroma (128 if none); texture. Or the
change of each."""

Lumas = NDArray[np.float32]
"""(ROWS, COLUMNS): mean luma of each cell; or its change."""


class Cells:
    """A picture's measures. It is compared several times, with the picture before it and with those after it."""

    def __init__(self, measures: Measures) -> None:
        """Takes them over."""
        self.measures = measures
        self.luma: Lumas = np.ascontiguousarray(measures[LUMA])

    @cached_property
    def variance(self) -> Lumas:
        """Variance of luma in the smallest window around each cell."""
        size = WINDOW_COLUMNS, WINDOW_ROWS
        mean = cv2.blur(self.luma, size)
        return np.asarray(cv2.sqrBoxFilter(self.luma, cv2.CV_32F, size) - mean * mean, np.float32)


def differ(before: Cells, after: Cells, *, share: float = CHANGED_SHARE) -> bool:
    """True if a picture shows something else than the one before it, over (>) such a share of its cells or in a
    window."""
    return is_other(change_between(before, after), share=share) or _is_faint(before, after)


def means_differ(before: Cells, after: Cells, *, share: float = CHANGED_SHARE) -> bool:
    """True if it does by its means: grain comes and goes with the kind of picture, all over, as texture does."""
    return is_other(change_between(before, after)[MEANS], share=share) or _is_faint(before, after)


def change_between(before: Cells, after: Cells) -> Measures:
    """Changes of all measures; of luma as `luma_change` gives them."""
    change = np.abs(after.measures - before.measures)
    change[LUMA] = luma_change(before, after)
    return change


def faint_change(before: Cells, after: Cells) -> Lumas | None:
    """Changes where the ground is even in one of both pictures: what is faint differs from it by few levels everywhere,
    and none of them counts alone. Light that changes does so alike in all of a window. None: there are none that count.
    """
    size = WINDOW_COLUMNS, WINDOW_ROWS
    levels = np.clip(after.luma - before.luma, -FAINT_CLIP, FAINT_CLIP)
    deviation = cv2.blur(np.abs(levels - cv2.blur(levels, size)), size)
    if deviation.max() <= FAINT_LEVELS / UNUSUAL:
        # With less nothing counts, nor what follows as usual.
        return None
    is_even = np.minimum(before.variance, after.variance) < EVEN_SPREAD**2
    return np.asarray(is_even * (deviation * np.float32(WINDOW_LEVELS / FAINT_LEVELS)), np.float32)


def _is_faint(before: Cells, after: Cells) -> bool:
    faint = faint_change(before, after)
    return faint is not None and is_other(faint)


def luma_change(before: Cells, after: Cells) -> Lumas:
    """Changes in levels of a picture of full contrast, by the larger contrast of both."""
    variance = np.maximum(before.variance, after.variance)
    limited = np.minimum(np.maximum(variance, np.float32((LEAST_CONTRAST * FULL_SPREAD) ** 2)), FULL_SPREAD**2)
    return np.asarray(np.abs(after.luma - before.luma) * (FULL_SPREAD / np.sqrt(limited)), np.float32)


def is_other(change: Measures | Lumas, usual: Measures | Lumas | float = 0.0, *, share: float = CHANGED_SHARE) -> bool:
    """True if so many cells changed by more than is usual, in all or in one window, that it shows something else.

    Each of the measures that are given counts by itself: details, or colours, may be all that is new.
    """
    changed_share = max(cv2.mean(_over(change, CHANGED_LEVELS, usual)))
    if changed_share > share:
        return True
    if changed_share <= LEAST_WINDOW_SHARE:
        return False
    changed = _over(change, WINDOW_LEVELS, usual)
    if max(cv2.mean(changed)) <= LEAST_WINDOW_SHARE:
        return False
    shares = cv2.blur(changed.astype(np.float32), (WINDOW_COLUMNS, WINDOW_ROWS), borderType=cv2.BORDER_CONSTANT)
    return bool(shares.max() > WINDOW_SHARE)


def _over(change: Measures | Lumas, levels: float, usual: Measures | Lumas | float) -> NDArray[np.uint8]:
    """1 where a measure changed by more, else 0."""
    return (change > np.maximum(np.float32(levels), usual)).view(np.uint8)


def cells_of(frame: VideoFrame) -> Cells:
    """Measures a picture."""
    component, planes = frame.format.components[0], frame.planes
    fields = 2 if frame.interlaced_frame else 1
    rows = _rows_of(planes[component.plane], component.bits, LOOKED_AT_ROWS, fields=fields)
    chroma = [_NO_CHROMA, _NO_CHROMA]
    if len(planes) >= 3:
        chroma_rows = (_rows_of(plane, component.bits, CHROMA_ROWS, fields=fields) for plane in planes[1:3])
        chroma = [_means(_columns_of(one, CHROMA_COLUMNS)) for one in chroma_rows]
    return Cells(cv2.merge([_means(rows), *chroma, _means(_texture(rows))]).astype(np.float32))


class LatestCells:
    """Cells of the picture that was measured last: what decides on it, and what remembers it, ask in turn."""

    def __init__(self) -> None:
        self._frame: VideoFrame | None = None
        self._cells: Cells | None = None

    def of(self, frame: VideoFrame) -> Cells:
        """As `cells_of`. Keeps the picture until the next one is asked for."""
        if self._cells is None or self._frame is not frame:
            self._frame, self._cells = frame, cells_of(frame)
        return self._cells


def _texture(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Difference of each point from its neighbour above to the left: one for edges of both directions."""
    points = _columns_of(rows, LOOKED_AT_COLUMNS)
    texture = np.zeros(points.shape, np.uint8)
    texture[1:, 1:] = cv2.absdiff(points[1:, 1:], points[:-1, :-1])
    return np.asarray(cv2.convertScaleAbs(texture, dst=texture, alpha=TEXTURE_GAIN), np.uint8)


_NO_CHROMA = np.full((ROWS, COLUMNS), 128, np.uint8)


def _rows_of(plane: VideoPlane, bits: int, at_least: int, *, fields: int) -> NDArray[np.uint8]:
    """Rows of a plane at even distances, 8 bits each; of two fields as many of the one as of the other."""
    samples = np.frombuffer(memoryview(plane), np.dtype(np.uint16 if bits > 8 else np.uint8))
    step = max(plane.height // at_least, 1)
    if fields > 1 and step % fields == 0:
        step -= 1
    rows = samples.reshape(plane.height, -1)[::step, : plane.width]
    return rows if bits <= 8 else (rows >> (bits - 8)).astype(np.uint8)


def _columns_of(rows: NDArray[np.uint8], at_least: int) -> NDArray[np.uint8]:
    """Columns at even distances."""
    return np.ascontiguousarray(rows[:, :: max(rows.shape[1] // at_least, 1)])


def _means(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means by cells."""
    return np.asarray(cv2.resize(samples, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.uint8)
