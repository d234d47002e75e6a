"""Changes to a calmer scene, which no packet shows by its own size: under grain, or where a camera shakes, all pictures
are as large as one that is new.

After such a change the pictures are small, and stay so: their packets fall to another level. They do so where a camera
comes to rest too, so that pictures are compared before anything is sampled for it.
"""

from collections.abc import Sequence
from statistics import median

from sampler.demux.packets import VideoPacket
from sampler.plan.cut_score import NEIGHBOURS, Cut, measure, shown_as_decoded

FALL_DOUBLINGS = 1.5
"""By which packets fall, at least. In clips without cuts one picture in 20 s was suspected so (a trial, 2026-12-02)."""
LEAST_BUSY, BUSY_SECONDS = 3, 0.25
"""Packets before a fall, and their time from the keyframe on, at least: encoders first make up for what it lacks."""
LEAST_CALM = 2
"""Packets after it, at least. With one, the last of a run falls in many streams."""


def find_calms(packets: Sequence[VideoPacket], start: int, stop: int) -> list[Cut]:
    """The falls among packets [start, stop), a run whose first packet is its keyframe: the second picture of each calm
    stretch, and the picture before that stretch."""
    group = shown_as_decoded(packets, start, stop)[1:]
    busy_until = packets[start].seconds + BUSY_SECONDS
    scales = [_falls([scale[index - start] for index in group]) for scale in measure(packets, start, stop)]
    falls = [min(several) for several in zip(*scales, strict=True)]
    found = []
    for place, fall in enumerate(falls):
        around = falls[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS + 1]
        if fall >= max(FALL_DOUBLINGS, *around) and fall not in around[: min(place, NEIGHBOURS)]:
            before, _, calm = group[place + LEAST_BUSY - 1 : place + LEAST_BUSY + 2]
            if packets[before].seconds >= busy_until:
                found.append(Cut(index=calm, before=before, score=fall, stands_out=fall))
    return found


def _falls(values: Sequence[float]) -> list[float]:
    """For each value but the first `LEAST_BUSY` and the last `LEAST_CALM` the distance of the median of those before it
    from the highest of those after it."""
    return [
        median(values[max(place - NEIGHBOURS, 0) : place]) - max(values[place + 1 : place + 1 + NEIGHBOURS])
        for place in range(LEAST_BUSY, len(values) - LEAST_CALM)
    ]
