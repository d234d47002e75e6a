"""What of an input's timeline was looked at, and what was not."""

from collections.abc import Sequence
from itertools import pairwise

from sampler.frames import Stretch

SECOND_VIDEO_STREAM = "second_video_stream"


def longest_gap_seconds(seen_seconds: Sequence[float], duration_seconds: float) -> float:
    """The longest stretch without a sample that moderates (their times, ascending), both ends included."""
    edges = [0.0, *seen_seconds, duration_seconds]
    return max(after - before for before, after in pairwise(edges))


def unseen_stretches(
    seen_seconds: Sequence[float],
    *,
    duration_seconds: float,
    frame_seconds: float,
    max_gap_seconds: float,
    reason: str,
) -> tuple[Stretch, ...]:
    """The stretches further than `max_gap_seconds` from every sample.

    Args:
        seen_seconds: times of the samples that moderate, ascending, from the input's first picture.
        duration_seconds: of the input, to the end of its last picture.
        frame_seconds: one picture's time: a stretch no longer than this is not told, for samples fall on pictures.
        max_gap_seconds: how far a sample reaches.
        reason: why a stretch is unmoderated, if one is. A second video stream leaves all unmoderated, whatever the
            first one showed: nobody knows which of them a player shows.
    """
    if not seen_seconds or reason == SECOND_VIDEO_STREAM:
        return (Stretch(start_seconds=0.0, end_seconds=duration_seconds, reason=reason),)
    reach = max_gap_seconds
    unseen = [
        (0.0, seen_seconds[0] - reach),
        *((before + reach, after - reach) for before, after in pairwise(seen_seconds)),
        (seen_seconds[-1] + reach, duration_seconds),
    ]
    return tuple(
        Stretch(start_seconds=start, end_seconds=end, reason=reason)
        for start, end in unseen
        if end - start > frame_seconds
    )
