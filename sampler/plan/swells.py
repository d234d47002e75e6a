"""Changes of scene that build up over many pictures, none of which stands out: wipes and dissolves by blocks.

Where a tenth of the picture is new in each of ten pictures, all of their packets are a little larger than those before
and after them, and together they are as large as a keyframe. So stretches of packets are weighed as single ones are
(sampler/plan/cut_score.py), but for the largest of each: a cut among them says nothing of the rest, and is found
alone.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from statistics import median

from sampler.demux.packets import VideoPacket
from sampler.plan.cut_score import (
    AGAINST_FLOOR,
    QUANTISER_DOUBLING,
    SMALLEST_BYTES,
    TWO_SCALES,
    WITHOUT_NEIGHBOURS,
    Cut,
    shown_as_decoded,
)

SWELL_SECONDS = 0.4
"""Length of a stretch. Of 0.3 s less of a wipe of 0.5 s is in it, of 0.5 s a wipe of 0.33 s stands out less."""
LEAST_PACKETS = 4
"""In a stretch, which is longer between B-frames: 0.67 s where 6 pictures a second are shown as they are decoded. The
mean of fewer says little without the largest."""
SPARSE_PACKETS, SPARSE_DOUBLINGS = 2, 1.0
"""With fewer (<) in `SWELL_SECONDS` each of them stands out. With fewer than `LEAST_PACKETS` so much more is required:
of 22 photographs each that came in by blocks in 0.4 and 0.7 s all are sampled so, as with 0.2, and of a montage 51
pictures in 20 s, not 56 (48 where nothing is looked for between B-frames)."""
SPARSE_AFTER = 2
"""Packets after a stretch of few that are left for what comes in last: a third of a second."""
LARGEST_PART = 6
"""One packet in so many, and one more, is left out of a stretch's mean: the largest."""


def find_swells(packets: Sequence[VideoPacket], start: int, stop: int, threshold: float) -> list[Cut]:
    """The stretches with score >= `threshold` among packets [start, stop), a run whose first packet is its keyframe:
    the pictures after each of them, and before it. No two overlap."""
    group = shown_as_decoded(packets, start, stop)
    seconds = packets[group[-1]].seconds - packets[group[0]].seconds if group else 0.0
    within = round(SWELL_SECONDS * (len(group) - 1) / seconds) if seconds > 0 else 0
    length = max(within, LEAST_PACKETS)
    if within < SPARSE_PACKETS or len(group) < 2 * length:
        return []
    is_sparse = within < LEAST_PACKETS
    threshold += SPARSE_DOUBLINGS * is_sparse
    scales = _scales(packets, group)
    weighed = _weigh(scales, length)
    found: list[Cut] = []
    taken: list[int] = []
    for score, first in sorted(weighed, reverse=True):
        if score < threshold:
            break
        if all(abs(first - other) >= length for other in taken):
            taken.append(first)
            before, after = _ends(scales[-1], first, length)
            # The last of what comes in is small, and what is sampled should show all of it.
            after = min(after + SPARSE_AFTER * is_sparse, len(group) - 1)
            found.append(Cut(index=group[after], before=group[before], score=score, stands_out=score))
    return found


def _scales(packets: Sequence[VideoPacket], group: Sequence[int]) -> list[list[float]]:
    """Sizes in bytes, and those that they would have at one quantiser, where every one is known."""
    sizes = [float(max(packets[index].size_bytes, SMALLEST_BYTES)) for index in group]
    quantisers = [packets[index].quantiser for index in group]
    complexities = [
        size * 2 ** (quantiser / QUANTISER_DOUBLING)
        for size, quantiser in zip(sizes, quantisers, strict=True)
        if quantiser is not None
    ]
    return [sizes, complexities] if len(complexities) == len(sizes) else [sizes]


def _weigh(scales: Sequence[Sequence[float]], length: int) -> list[tuple[float, int]]:
    """(score, place) of each stretch of `length`, by its first packet's place."""
    looks = TWO_SCALES * (len(scales) - 1)
    measured = [(values[0], *_stretches(values, length)) for values in scales]
    weighed = []
    for first in range(1, len(scales[0]) - length + 1):
        against, least, most = AGAINST_FLOOR, -math.inf, -math.inf
        for keyframe, means, sides in measured:
            level, before, after = means[first], sides[first - 1], sides[first - 1 + 2 * length]
            low = WITHOUT_NEIGHBOURS if before is None else math.log2(level / before)
            high = WITHOUT_NEIGHBOURS if after is None else math.log2(level / after)
            if low > high:
                low, high = high, low
            least, most = max(least, low), max(most, high)
            excess = length * (level - max(before or 0.0, after or 0.0))
            against = max(against, min(math.log2(max(excess, 1.0) / keyframe), 0.0))
        weighed.append((least + most / 2 + against - looks, first))
    return weighed


def _stretches(values: Sequence[float], length: int) -> tuple[list[float], list[float | None]]:
    """Mean without the largest of each stretch from its first packet's place on; and the median of each that lies
    beside one, from place `1 - length` on, as `_beside` gives it."""
    left = length - length // LARGEST_PART - 1
    lower, upper = (length - 1) // 2, length // 2
    means, medians = [], []
    ordered = sorted(values[:length])
    for first, following in enumerate([*values[length:], 0.0]):
        means.append(sum(ordered[:left]) / left)
        medians.append((ordered[lower] + ordered[upper]) / 2)
        del ordered[bisect_left(ordered, values[first])]
        insort(ordered, following)
    before = [_beside(values, place, length) for place in range(1 - length, 1)]
    after = [_beside(values, place, length) for place in range(len(medians), len(values) + 1)]
    return means, [*before, *medians[1:], *after]


def _beside(values: Sequence[float], first: int, length: int) -> float | None:
    """Median of the stretch that begins at a place, or of half of it at a run's ends; None: there is less. The keyframe
    is in none."""
    part = values[max(first, 1) : max(first + length, 1)]
    return median(part) if len(part) >= length // 2 else None


def _ends(values: Sequence[float], first: int, length: int) -> tuple[int, int]:
    """Places of the pictures before and after what is larger than its surroundings about a stretch."""
    around = [*values[max(first - length, 1) : first], *values[first + length : first + 2 * length]]
    bound = math.sqrt(sum(values[first : first + length]) / length * median(around))
    before, after = first - 1, first + length
    while before > max(first - length, 0) and max(values[max(before - 1, 1) : before + 1]) > bound:
        before -= 1
    while after < min(first + 2 * length, len(values)) and max(values[after : after + 2]) > bound:
        after += 1
    return before, min(after, len(values) - 1)
