"""Which pictures of an input are worth decoding, and why: decided from packets alone, before any decoding.

A pure function of (packets, profile, seed). Each segment is planned by itself: its first decodable picture is taken,
and no more than `max_gap_seconds` is left at its end, so that segments may be worked on in any order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from config.profiles import SamplingProfile
from sampler.frames import SampleReason
from sampler.packets import Run, VideoPacket, runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A picture to take."""

    index: int
    """Of its packet, in decoding order."""
    reason: SampleReason


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """What is taken of one run; nothing is decoded of a run without targets."""

    run: Run
    targets: tuple[Target, ...]
    """By presentation time, no picture twice."""


def plan(packets: Sequence[VideoPacket], *, profile: SamplingProfile, end_seconds: float) -> tuple[RunPlan, ...]:
    """The pictures to take of `packets`, run by run.

    Args:
        packets: of one input or one window of it, in decoding order.
        profile: how closely to look.
        end_seconds: where the last picture's time ends.
    """
    parts = runs(packets)
    chosen: dict[int, SampleReason] = {}
    last_seconds = -math.inf
    for run in parts:
        first = _first_clean(packets, run)
        if first is not None and packets[first].seconds - last_seconds >= profile.keyframe_spacing_seconds:
            chosen[first] = SampleReason.KEYFRAME
            last_seconds = packets[first].seconds
    for run, next_run in zip(parts, [*parts[1:], None], strict=True):
        until = packets[next_run.start].seconds if next_run is not None else end_seconds
        _fill_gaps(packets, run, until, profile.max_gap_seconds, chosen)
    return tuple(
        RunPlan(
            run=run,
            targets=tuple(
                Target(index=index, reason=chosen[index])
                for index in sorted(range(run.start, run.stop), key=lambda index: packets[index].seconds)
                if index in chosen
            ),
        )
        for run in parts
    )


def _first_clean(packets: Sequence[VideoPacket], run: Run) -> int | None:
    """The first picture of the run that comes out right."""
    clean = _clean(packets, run)
    return clean[0] if clean else None


def _clean(packets: Sequence[VideoPacket], run: Run) -> list[int]:
    """Pictures of the run that are shown and come out right, by presentation time."""
    indices = [
        index
        for index in range(run.start, run.stop)
        if packets[index].shown and packets[index].seconds >= run.clean_from_seconds
    ]
    return sorted(indices, key=lambda index: packets[index].seconds)


def _fill_gaps(
    packets: Sequence[VideoPacket], run: Run, until: float, gap_seconds: float, chosen: dict[int, SampleReason]
) -> None:
    """Adds pictures of the run so that none of its stretches, up to `until`, is longer than the gap.

    The last one is taken as early as it may be, `gap_seconds` before `until`, since all before it must be decoded for
    it; those between stand even.
    """
    clean = _clean(packets, run)
    if not clean:
        return
    anchors = [packets[index].seconds for index in clean if index in chosen]
    previous = anchors[0] if anchors else packets[clean[0]].seconds - gap_seconds
    for following in [*anchors[1:], until]:
        span = following - previous
        count = math.ceil(span / gap_seconds - 1e-6) - 1
        if count > 0:
            even = (span - gap_seconds) / count
            wanted = [previous + even * (step + 1) for step in range(count)]
            for index in _nearest_at_or_after(packets, clean, wanted):
                chosen.setdefault(index, SampleReason.GAP)
        previous = following


def _nearest_at_or_after(packets: Sequence[VideoPacket], clean: list[int], wanted: list[float]) -> list[int]:
    """For each instant the picture shown first at it or after it; the last one where there is none."""
    found = []
    position = 0
    for seconds in wanted:
        while position < len(clean) - 1 and packets[clean[position]].seconds < seconds - 1e-6:
            position += 1
        found.append(clean[position])
    return found
