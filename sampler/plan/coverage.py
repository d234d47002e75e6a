"""Coverage of an input's timeline by its samples."""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from sampler.demux.timeline import SAME_INSTANT_SECONDS
from sampler.frames import LEAVES_ALL, Stretch
from sampler.plan.intervals import Interval, at_most, joined, without

STEADY = 1.5
"""A step between two pictures is one picture's if it is no longer (<=) than so many of the shortest."""
TURNED = "turned"
"""Note, and reason of stretches: pictures are to be shown at an angle or a slant, which few players do."""
NO_PICTURES = "no_pictures"
"""Reason of a stretch of the input in which a video track has none."""
LEADING = "leading"
"""Reason of a stretch of leading pictures whose GOP before is not there."""
LEADING_STRETCHES = 64
"""So many are told apart. Real inputs have one, at their beginning."""
GAP = "gap"
"""Reason of stretches further from all samples than the profile's gap."""
BUDGET = "budget"
"""Reason of stretches that the profile's budget has no room for."""
UNDECODABLE = "undecodable"
"""Reason of stretches of which the decoder gave no picture."""
CONCEALED = "concealed"
"""Reason of stretches of pictures that depend on others that were made up."""
MOST_REFUSED = 256
"""Stretches of one input that are told apart (<=); nearest ones are joined beyond."""


def longest_gap_seconds(
    seen_seconds: Sequence[float], duration_seconds: float, *, begins_seconds: float = 0.0
) -> float:
    """The longest stretch without a sample that moderates (their times, ascending), both ends included."""
    edges = [begins_seconds, *seen_seconds, duration_seconds]
    return max(after - before for before, after in pairwise(edges))


def spoken_for_until(
    shown_seconds: Sequence[float], seconds: float, *, end_seconds: float, max_gap_seconds: float
) -> float:
    """Until when a sample at `seconds` moderates: it speaks for every picture that begins within the gap after it.

    Args:
        shown_seconds: when pictures begin to be shown, ascending.
        seconds: of the sample.
        end_seconds: where the last picture's time ends.
        max_gap_seconds: of the profile.
    """
    reach = seconds + max_gap_seconds
    index = bisect_right(shown_seconds, reach + SAME_INSTANT_SECONDS)
    return shown_seconds[index] if index < len(shown_seconds) else max(reach, end_seconds)


def unseen_stretches(
    seen: Sequence[tuple[float, float]],
    *,
    duration_seconds: float,
    frame_seconds: float,
    max_gap_seconds: float,
    reason: str,
    lost: Sequence[Stretch] = (),
    cut_seconds: float = 0.0,
    begins_seconds: float = 0.0,
) -> tuple[Stretch, ...]:
    """The stretches that no sample speaks for.

    A profile promises that no stretch longer than its gap, and the picture then being shown, goes without a sample. So
    a sample speaks for what follows it, and the first one for what comes before it as well, each as far as the gap.

    Args:
        seen: (time, `spoken_for_until`) of the samples that moderate, ascending, from the input's first picture.
        duration_seconds: of the input, to the end of its last picture.
        frame_seconds: one picture's time: a stretch no longer than this is left out, for a sample may be the picture
            after the one that was wanted.
        max_gap_seconds: how far a sample reaches.
        reason: why a stretch is unmoderated, if one is. Those of `LEAVES_ALL` leave all so.
        lost: stretches of pictures that were not decoded, ascending and apart. No sample speaks for them, for they may
            show anything.
        cut_seconds: of the last cut up to the first of the samples. What was before it was another scene, for which
            that sample does not speak.
        begins_seconds: of the track's own first picture, from the input's.
    """
    if not seen or reason in LEAVES_ALL:
        return (Stretch(start_seconds=begins_seconds, end_seconds=duration_seconds, reason=reason),)
    unseen = [
        (begins_seconds, max(seen[0][0] - max_gap_seconds, cut_seconds)),
        *((until, following) for (_, until), (following, _) in pairwise(seen)),
        (seen[-1][1], duration_seconds),
    ]
    holes = [(stretch.start_seconds, stretch.end_seconds) for stretch in lost]
    apart = [(start, end) for start, end in without(unseen, holes) if end - start > frame_seconds]
    return tuple(sorted([*_stretches(apart, reason), *lost], key=lambda stretch: stretch.start_seconds))


def picture_seconds(shown_seconds: Sequence[float]) -> float:
    """The longest time of one picture among those whose times these are, ascending: so little over the shortest one
    that two never take it. Infinite, if there are not two times."""
    steps = (after - before for before, after in pairwise(shown_seconds) if after - before > SAME_INSTANT_SECONDS)
    return STEADY * min(steps, default=math.inf)


def picture_stretches(
    shown_seconds: Sequence[float], lost_seconds: Collection[float], end_seconds: float
) -> list[Interval]:
    """(start, end) of the time in which each picture that was not decoded would be shown.

    Args:
        shown_seconds: when pictures begin to be shown, ascending.
        lost_seconds: those of the pictures that were not.
        end_seconds: where the last picture's time ends.
    """
    return [
        (seconds, following)
        for seconds, following in pairwise([*shown_seconds, end_seconds])
        if seconds in lost_seconds and following > seconds
    ]


def refused_stretches(
    refused_seconds: Sequence[float], seen_seconds: Sequence[float], duration_seconds: float
) -> list[Interval]:
    """The stretches that the budget leaves unseen: from each picture that was refused to the next sample.

    Args:
        refused_seconds: times of pictures that were refused, from the input's first picture.
        seen_seconds: times of the samples that moderate.
        duration_seconds: of the input.

    Returns:
        At most `MOST_REFUSED`, ascending, apart from each other; where there are more, those with the least between
        them are one.
    """
    seen = sorted(seen_seconds)
    ends = [*seen, duration_seconds]
    spans = (
        (max(seconds, 0.0), ends[bisect_right(seen, seconds + SAME_INSTANT_SECONDS)]) for seconds in refused_seconds
    )
    return at_most(joined(spans), MOST_REFUSED)


def with_refused(unseen: Sequence[Stretch], refused: Sequence[Interval]) -> tuple[Stretch, ...]:
    """Unseen stretches and those that were refused, by time. Where both are, a gap is for the budget, and anything else
    is not seen for its own reason."""
    others = [stretch for stretch in unseen if stretch.reason != GAP]
    theirs = [(stretch.start_seconds, stretch.end_seconds) for stretch in others]
    gaps = [(stretch.start_seconds, stretch.end_seconds) for stretch in unseen if stretch.reason == GAP]
    found = [
        *others,
        *_stretches(without(refused, theirs), BUDGET),
        *_stretches(without(gaps, joined([*theirs, *refused])), GAP),
    ]
    return tuple(sorted(found, key=lambda stretch: stretch.start_seconds))


def _stretches(intervals: Iterable[Interval], reason: str) -> list[Stretch]:
    return [Stretch(start_seconds=start, end_seconds=end, reason=reason) for start, end in intervals]
