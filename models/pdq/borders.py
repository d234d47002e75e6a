"""Bars and borders around a picture: of any one level, with a caption or logo on them, or of a blurred copy of it.

A picture with a border hashes to something else than the one in the list, so what is inside is hashed too. One bar is
enough, and two may differ: a broadcaster who hides a picture need not centre it. Borders may be nested (a framed
picture between bars); each level is an answer of its own, since the listed picture may have had the inner one.

An axis is judged on lines across it, of which at most _SAMPLES_A_LINE pixels are read, so that this costs less than a
hash. A border that is found in vain, at a plain background, costs a hash and its comparisons, and hides nothing: the
whole picture is compared as well.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from models.pdq.blurred_borders import between_blurred
from models.pdq.border_lines import SOFT_LINES, LineBytes, shares_of
from models.pdq.pdq import MIN_SIDE_PIXELS, Picture

MAX_LEVELS = 3
"""Nested borders that are followed: each may cost eight hashes."""

MAX_BOXES = MAX_LEVELS + 1
"""Answers at most, with those for borders that are not the same at both ends."""

TOLERANCES = (8, 20)
"""Grey levels by which (<=) a pixel of a plain border may be off its level: the narrow one keeps a dark scene apart
from black bars, the wide one takes a codec's ringing between letters. Whichever ends more sharply is believed."""

PLAIN_SHARE = 0.95
"""Share of a line at the border's level, at or over which the line is border."""

CAPTION_SHARE = 0.2
"""Share of a line at the border's level, at or over which it may be one with a logo or letters on it, if plain lines
follow. Bold letters leave 0.3 of their line."""

CAPTION_HEIGHT = 0.15
"""Share of a side: the height of letters or a logo between two plain lines of a border at most (<=)."""

FIRST_LINE_SHARE = 0.01
"""Share of a side up to which (<=) the plainest line gives a border's level: the outermost may be an encoder's
leftover, and those after it cut letters."""

SOFT_SHARE = 0.75
"""A line belongs to the soft edge if it is off the border's level by less than this share of what the next line is."""

MIN_SHARPNESS = 0.2
"""Share of one of the picture's first SOFT_LINES that is off the border's level by more than twice the tolerance, at or
over which (>=) there was a border: a dark scene or a plain sky goes over into what is in it."""

MIN_BORDER_SHARE = 0.02
"""Share of a side: less than this at both ends together moves the hash by a few bits only, and is left."""

MIN_PICTURE_SHARE = 0.2
"""Share of a side: if less would be left, it is a plain picture with something in it. An upright telephone's picture in
a wide one has 0.32 of its width."""

_SAMPLES_A_LINE = 96


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of a picture in pixels: rows [top, bottom), columns [left, right)."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, luma: Picture) -> Picture:
        """That part, as a view."""
        return luma[self.top : self.bottom, self.left : self.right]

    def within(self, outer: "Box") -> "Box":
        """The same part, in the pixels of the picture of which `outer` is a part."""
        return Box(
            top=outer.top + self.top,
            bottom=outer.top + self.bottom,
            left=outer.left + self.left,
            right=outer.left + self.right,
        )

    def is_between_two(self, luma: Picture) -> bool:
        """True if something is left out of the picture at opposite ends."""
        height, width = luma.shape
        return (self.top > 0 and self.bottom < height) or (self.left > 0 and self.right < width)


def without_borders(luma: Picture) -> tuple[tuple[Box, ...], tuple[Box, ...]]:
    """The picture inside its borders.

    Args:
        luma: uint8 or float32, (height, width), 0 to 255.

    Returns:
        What is inside its border, and inside the borders within, outermost first, at most MAX_LEVELS; and, to MAX_BOXES
        in all, other answers where a border is not the same at both ends of an axis: what is inside one that is (a
        white sky hides the end of a white border, and any sky that of a blurred one), and what is between two blurred
        ones, of which one may be even enough to count as plain.
    """
    height, width = luma.shape
    outer = Box(top=0, bottom=height, left=0, right=width)
    levels: list[Box] = []
    others: list[Box] = []
    while len(levels) < MAX_LEVELS:
        picture = outer.of(luma)
        rows, columns = _rows(picture), _columns(picture)
        plain = _box(_plain(rows, columns), picture)
        found = [] if plain is None else [plain, _evened(plain, picture)]
        if plain is None or not plain.is_between_two(picture):
            blurred = zip(between_blurred(rows), between_blurred(columns), strict=True)
            found += [_box(inside, picture) for inside in blurred]
        boxes = list(dict.fromkeys(box.within(outer) for box in found if box is not None))
        if not boxes:
            break
        outer = boxes[0]
        levels.append(outer)
        others += boxes[1:]
    return tuple(levels), tuple(others[: MAX_BOXES - len(levels)])


def _box(inside: tuple[tuple[int, int], tuple[int, int]], luma: Picture) -> Box | None:
    """Rows and columns that are inside a border; None: that is all of the picture, or too little."""
    (top, bottom), (left, right) = inside
    if (bottom - top, right - left) == luma.shape or min(bottom - top, right - left) < MIN_SIDE_PIXELS:
        return None
    return Box(top=top, bottom=bottom, left=left, right=right)


def _evened(box: Box, luma: Picture) -> Box | None:
    """The box inside a border that is as wide at both ends of each axis, as most are; None: that is the same box, or
    too little.

    Where only one end has a border, the other has as much: but if the other axis has none it may be a caption.
    """
    height, width = luma.shape
    rows, columns = (box.top, height - box.bottom), (box.left, width - box.right)
    row_border, column_border = (min(ends) or max(ends) for ends in (rows, columns))
    if 0 in (row_border, column_border) and min(rows) == min(columns) == 0:
        return None
    evened = _box(
        (_worth_cutting(height, row_border, row_border), _worth_cutting(width, column_border, column_border)), luma
    )
    return None if evened == box else evened


def _rows(luma: Picture) -> LineBytes:
    """All rows, with pixels from a part of the columns: uint8, (height, _SAMPLES_A_LINE or less)."""
    step = -(-luma.shape[1] // _SAMPLES_A_LINE)
    return np.ascontiguousarray(luma[:, step // 2 :: step].astype(np.uint8, copy=False))


def _columns(luma: Picture) -> LineBytes:
    """All columns, as rows, with pixels from a part of the rows: uint8, (width, _SAMPLES_A_LINE or less)."""
    step = -(-luma.shape[0] // _SAMPLES_A_LINE)
    return np.asarray(cv2.transpose(luma[step // 2 :: step].astype(np.uint8)), np.uint8)


def _plain(rows: LineBytes, columns: LineBytes) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns inside plain borders of one level: of the sharpest one; others are left for a next pass."""
    found = [_plain_border(lines) for lines in (rows, rows[::-1], columns, columns[::-1])]
    level = max((border.sharpness, border.level) for border in found)[1]
    top, bottom, left, right = (one.lines if abs(one.level - level) <= TOLERANCES[1] else 0 for one in found)
    return _worth_cutting(len(rows), top, bottom), _worth_cutting(len(columns), left, right)


def _worth_cutting(lines: int, before: int, after: int) -> tuple[int, int]:
    """Lines [first, end) that are picture; all of them if too few would be cut, or too few left."""
    left = lines - before - after
    if before + after < MIN_BORDER_SHARE * lines or left < MIN_PICTURE_SHARE * lines:
        return 0, lines
    return before, lines - after


@dataclass(frozen=True, kw_only=True)
class _PlainBorder:
    lines: int
    """Count of lines from the edge on that belong to it; 0: there is none."""
    level: int
    sharpness: float
    """As of MIN_SHARPNESS, 0 to 1."""


def _plain_border(lines: LineBytes) -> _PlainBorder:
    """The border of one level at the first lines."""
    count = len(lines)
    outer = lines[: round(FIRST_LINE_SHARE * count) + 1]
    ordered = np.sort(outer, axis=1)
    samples = outer.shape[1]
    rest = int((1 - PLAIN_SHARE) / 2 * samples)
    spread = ordered[:, samples - 1 - rest] - ordered[:, rest]
    first = int(spread.argmin())
    level = int(ordered[first, samples // 2])
    if spread[first] > 2 * TOLERANCES[1]:
        return _PlainBorder(lines=0, level=level, sharpness=0.0)  # almost every picture, at a tenth of the cost
    apart = _apart(lines, np.full_like(lines, level))
    ends = [_end_of_border(apart, first, tolerance) for tolerance in TOLERANCES]
    sharpness, end = max(ends, key=lambda one: one[0])
    return _PlainBorder(lines=end, level=level, sharpness=sharpness)


def _end_of_border(apart: LineBytes, first: int, tolerance: int) -> tuple[float, int]:
    """Sharpness of a border and its count of lines, from their difference to its level; none: (0, 0)."""
    count = len(apart)
    shares = shares_of(apart <= tolerance)
    plain = first + np.flatnonzero(shares[first:] >= PLAIN_SHARE)
    if plain.size == 0:
        return 0.0, 0
    pictured = np.cumsum(shares < CAPTION_SHARE)[plain]
    apart_too_far = (np.diff(plain) > CAPTION_HEIGHT * count) | (np.diff(pictured) > 0)
    end = _past_soft_edge(apart, int(plain[np.append(apart_too_far, True).argmax()]) + 1)
    beyond = apart[end : end + SOFT_LINES] > 2 * tolerance
    sharpness = float(beyond.mean(axis=1).max(initial=0))
    too_much = end < MIN_BORDER_SHARE / 2 * count or end > (1 - MIN_PICTURE_SHARE) * count
    return (0.0, 0) if too_much or sharpness < MIN_SHARPNESS else (sharpness, end)


def _past_soft_edge(apart: LineBytes, end: int) -> int:
    means = apart[end : end + SOFT_LINES + 1].mean(axis=1)
    for line, (one, following) in enumerate(pairwise(means)):
        if one >= SOFT_SHARE * following:
            return end + line
    return end + max(0, len(means) - 1)


def _apart(one: LineBytes, other: LineBytes) -> LineBytes:
    return np.asarray(cv2.absdiff(one, other), np.uint8)
