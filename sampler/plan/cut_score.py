"""The score by which each packet suggests new picture content inside a GOP, before anything is decoded.

A predicted picture costs few bits while the scene goes on, and about as many as a keyframe where everything is new.
Rate control blurs that: a tight buffer makes keyframes and cuts small and coarse, and starves the pictures after
them. So a packet is measured on two scales, both in doublings (log2): its size, and its complexity, which is its
size times the step of its quantiser, the bits that it would have taken at one and the same quality. Three things
are weighed, each on the scale that shows more:

    score = min(before, after) + max(before, after) / 2 + against

`before` and `after` compare the packet with the median of the few like it that are shown before and after it: at a
cut to a calmer scene only the one stands out much, at a cut to a livelier scene the other, at a cut both somewhat.
`against` compares it with its GOP's keyframe: what stands out yet is small is motion, not a new scene.

Both ends of an insert are cuts. The plan takes the pictures on both sides of each, so an insert is missed only if
neither end is seen. The form comes from logistic regressions over inserts of 0.25 to 2 s in ten contents × six settings
of x264, each pair judged by a fit that had seen neither, its weights rounded to simple ratios.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from sampler.demux.packets import VideoPacket
from sampler.demux.timeline import SAME_INSTANT_SECONDS

NEIGHBOURS = 4
"""Packets on each side that one is compared with: 0.13 s at 30 frames a second without B-frames. With more, the two
ends of a short insert would hide each other."""
SMALLEST_BYTES = 40
"""Sizes below this count as this: headers of pictures that repeat the one before; ratios of them mean nothing."""
AGAINST_FLOOR = -2.0
"""However complex the keyframe is, `against` is no lower: a broadcaster could make it so on purpose."""
WITHOUT_NEIGHBOURS = 0.5
"""For a side without neighbours, at a run's ends: a little more than nothing, a picture there may well be new."""
QUANTISER_DOUBLING = 6
"""So much more QP, and the quantiser's step is twice as large (ITU-T H.264, 8.5.9)."""
REPEAT_DOUBLINGS = 2.5
"""Doublings by which a picture that repeats the one before is smaller than those that do not, at least."""
REPEATED_PART = 4
"""Part of a group's pictures that repeat others, at least, where any do; of as many at least that do not, the smallest
is what those are measured against."""
LEAST_FRESH = 3
"""Pictures of a group that repeat none, at least, where others do: an insert into a still scene begins and ends with
two."""
MOST_REPEATS = 6
"""Pictures in a row (<=) that repeat one, as of 10 a second sent as 60: more are a scene in which nothing moves. Those
between P-frames count: with eight of them none repeats another."""
REPEATED_SECONDS = 0.2
"""So long (<=) is the same shown for a slow camera: an insert at 5 to 12 pictures a second may be as few in a row."""
TWO_SCALES = 0.5
"""Taken off where both scales were measured: the larger of two chances is larger by chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A picture that seems to begin something new."""

    index: int
    """Index of its packet, in decoding order."""
    before: int
    """Index of the packet whose picture shows best the scene before."""
    score: float
    """In doublings."""
    stands_out: float
    """The part of the score that compares the packet with its neighbours."""


def find_cuts(packets: Sequence[VideoPacket], start: int, stop: int, threshold: float) -> list[Cut]:
    """The cuts with score >= `threshold` among packets [start, stop), a run whose first packet is its keyframe.

    Pictures are compared with their like: those shown in the order they are decoded in (P, or everything if there
    are no B-frames), B-frames that others lean on, and B-frames that none does.
    """
    forward, between = _by_kind(packets, start, stop)
    measured = measure(packets, start, stop)
    found = [
        Cut(index=index, before=forward[position], score=score, stands_out=stands_out)
        for position, (index, score, stands_out) in enumerate(_weigh(forward[1:], measured, start))
        if score >= threshold
    ]
    for group in between.values():
        for index, score, stands_out in _weigh(group, measured, start):
            if score >= threshold:
                before = _last_shown_before(packets, forward, index)
                found.append(Cut(index=index, before=before, score=score, stands_out=stands_out))
    return found


def shown_as_decoded(packets: Sequence[VideoPacket], start: int, stop: int) -> list[int]:
    """Those of packets [start, stop) that are shown in the order they are decoded in, without repeats."""
    return _by_kind(packets, start, stop)[0]


def _by_kind(packets: Sequence[VideoPacket], start: int, stop: int) -> tuple[list[int], dict[bool, list[int]]]:
    """Packets [start, stop) in the order of a player, without repeats: those shown in the order they are decoded in,
    the first of which begins the run; and the others, by whether any leans on them. The next run's keyframe, on which
    leading pictures lean, is like none of them."""
    shown_latest = -math.inf
    forward: list[int] = []
    between: dict[bool, list[int]] = {True: [], False: []}
    whole = [index for index in range(start, stop) if not packets[index].completes]
    for index in whole:
        seconds = packets[index].seconds
        if seconds > shown_latest:
            shown_latest = seconds
            if not forward or not packets[index].keyframe:
                forward.append(index)
        else:
            between[packets[index].reference].append(index)
    whole.sort(key=lambda index: packets[index].seconds)
    forward = forward[:1] + _without_repeats(packets, forward[1:], whole)
    for reference, group in between.items():
        group.sort(key=lambda index: packets[index].seconds)
        # They repeat the pictures on both sides of them, which are none of theirs.
        between[reference] = _without_repeats(packets, group, group)
    return forward, between


def _without_repeats(packets: Sequence[VideoPacket], group: list[int], among: Sequence[int]) -> list[int]:
    """The pictures of a group but those that repeat the one before: beside them every other one would stand out, in a
    camera of 10 pictures a second that is sent as 30.

    Args:
        packets: of the window.
        group: in the order of a player.
        among: in that order, those by which it is counted how many repeat one in a row.
    """
    sizes = sorted(packets[index].size_bytes for index in group)
    fresh = max(len(sizes) // REPEATED_PART + 1, LEAST_FRESH)
    if len(sizes) < fresh:
        return group
    bound = max(sizes[-fresh] / 2**REPEAT_DOUBLINGS, 1)
    if sizes[0] >= bound:
        return group
    places = {index: place for place, index in enumerate(among)}
    kept: list[int] = []
    before = places[group[0]] - 1
    for is_small, several in groupby(group, lambda index: packets[index].size_bytes < bound):
        stretch = list(several)
        last = places[stretch[-1]]
        repeats = is_small and last - before <= MOST_REPEATS
        if repeats and among is not group:
            shown = packets[stretch[-1]].seconds - packets[among[before]].seconds
            repeats = shown <= REPEATED_SECONDS + SAME_INSTANT_SECONDS
        kept += [] if repeats else stretch
        before = last
    return kept if len(group) - len(kept) >= len(group) / REPEATED_PART else group


def measure(packets: Sequence[VideoPacket], start: int, stop: int) -> list[list[float]]:
    """For each scale the doublings of packets [start, stop); complexity only where every quantiser is known."""
    sizes = [math.log2(max(packets[index].size_bytes, SMALLEST_BYTES)) for index in range(start, stop)]
    complexities = []
    for size, index in zip(sizes, range(start, stop), strict=True):
        quantiser = packets[index].quantiser
        if quantiser is None:
            return [sizes]
        complexities.append(size + quantiser / QUANTISER_DOUBLING)
    return [sizes, complexities]


def _weigh(group: Sequence[int], measured: list[list[float]], start: int) -> list[tuple[int, float, float]]:
    """(index, score, the part of it without the keyframe) of each packet of a group in presentation order."""
    sides = [_compare([scale[index - start] for index in group]) for scale in measured]
    looks = TWO_SCALES * (len(measured) - 1)
    weighed = []
    for position, index in enumerate(group):
        against, least, most = AGAINST_FLOOR, -math.inf, -math.inf
        for scale, side in zip(measured, sides, strict=True):
            before, after = side[position]
            least = max(least, min(before, after))
            most = max(most, before, after)
            against = max(against, scale[index - start] - scale[0])
        stands_out = least + most / 2 - looks
        weighed.append((index, stands_out + against, stands_out))
    return weighed


def _compare(values: list[float]) -> list[tuple[float, float]]:
    """For each value how far it lies over the median of the `NEIGHBOURS` before it, and of those after it."""
    count = len(values)
    # Each full stretch of neighbours lies before one position and after another: its median is taken once.
    full = [_median_of_four(values[position : position + NEIGHBOURS]) for position in range(count - NEIGHBOURS + 1)]
    compared = []
    for position, value in enumerate(values):
        if position >= NEIGHBOURS:
            before = value - full[position - NEIGHBOURS]
        else:
            before = value - median(values[:position]) if position else WITHOUT_NEIGHBOURS
        if position + NEIGHBOURS < count:
            after = value - full[position + 1]
        else:
            after = value - median(values[position + 1 :]) if position + 1 < count else WITHOUT_NEIGHBOURS
        compared.append((before, after))
    return compared


def _median_of_four(values: list[float]) -> float:
    values.sort()
    return (values[1] + values[2]) / 2


def _last_shown_before(packets: Sequence[VideoPacket], forward: Sequence[int], index: int) -> int:
    """The last picture, in presentation order, shown before that of packet `index`."""
    seconds = packets[index].seconds
    return max((other for other in forward if packets[other].seconds < seconds), default=forward[0])
