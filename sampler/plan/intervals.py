"""Intervals of an input's timeline: (start, end) in seconds, in ascending lists that do not overlap."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter

from sampler.demux.timeline import SAME_INSTANT_SECONDS

Interval = tuple[float, float]


def joined(intervals: Iterable[Interval]) -> list[Interval]:
    """Joins intervals, in any order, that overlap or touch; empty ones are left out."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if end <= start:
            continue
        if found and start <= found[-1][1] + SAME_INSTANT_SECONDS:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def at_most(intervals: Sequence[Interval], most: int) -> list[Interval]:
    """Joins those with the least between them, so that no more than `most` are left."""
    if len(intervals) <= most:
        return list(intervals)
    between = sorted(after[0] - before[1] for before, after in pairwise(intervals))
    widest = between[len(between) - most + 1] if most > 1 else math.inf
    left = [intervals[0]]
    for start, end in intervals[1:]:
        if start - left[-1][1] >= widest and len(left) < most:
            left.append((start, end))
        else:
            left[-1] = (left[-1][0], end)
    return left


def without(intervals: Sequence[Interval], holes: Sequence[Interval]) -> list[Interval]:
    """Takes the holes, ascending, out of the intervals."""
    left: list[Interval] = []
    first = 0
    for start, end in intervals:
        at = start
        while first < len(holes) and holes[first][1] <= start:
            first += 1
        for hole_start, hole_end in holes[first : bisect_left(holes, end, first, key=itemgetter(0))]:
            if hole_end <= at:
                continue
            if hole_start > at:
                left.append((at, hole_start))
            at = max(at, hole_end)
        if at < end:
            left.append((at, end))
    return left


def length(intervals: Iterable[Interval]) -> float:
    """Returns the seconds of all intervals."""
    return sum(end - start for start, end in intervals)
