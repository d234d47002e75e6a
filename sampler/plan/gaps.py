"""Samples by time alone: none further apart than the profile's gap, at instants that nobody can predict."""

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sampler.demux.packets import VideoPacket
from sampler.demux.timeline import SAME_INSTANT_SECONDS
from sampler.frames import SampleReason

SHORTEST_STEP = 0.5
"""Share of the gap that a step has at least: steps are drawn evenly from there to the whole gap. A broadcaster who
knows all but the seed is seen by them with an insert of 0.5, 1 and 1.5 s in 33, 67 and 92 % at a gap of 2 s."""
LONGEST_OVERRUN_SECONDS = 0.01
"""A stretch may be longer than the gap by this, if its last picture begins within it: 60 pictures at 29.97 a second
last 2.002 s, by clocks of which some count milliseconds."""


class SecretInstants:
    """Numbers that depend on the secret seed and a place in the input, and on nothing else."""

    def __init__(self, seed: bytes) -> None:
        self._key = hashlib.sha256(seed).digest()

    def draws(self, purpose: str, seconds: float) -> Iterator[float]:
        """Numbers in [0, 1), one after another."""
        for count in range(1 << 20):
            digest = hashlib.blake2b(f"{purpose} {seconds:.6f} {count}".encode(), key=self._key, digest_size=8)
            yield int.from_bytes(digest.digest(), "big") / 2**64


def fill_gaps(
    packets: Sequence[VideoPacket],
    clean: Sequence[int],
    last_seconds: float,
    until: float,
    gap_seconds: float,
    instants: SecretInstants,
    chosen: dict[int, SampleReason],
) -> bool:
    """Adds pictures of a run so that no stretch from `last_seconds`, the sample before, to `until` is longer than the
    gap. Samples fall on pictures, so a stretch may be longer by one picture's time (`begins_before`).

    Returns:
        True if pictures were added.
    """
    anchors = [packets[index].seconds for index in clean if index in chosen]
    if clean[0] not in chosen:
        anchors.insert(0, last_seconds)
    before = len(chosen)
    shown_seconds = [packets[index].seconds for index in clean]
    for previous, following in pairwise([*anchors, until]):
        draws = instants.draws("gap", max(previous, packets[clean[0]].seconds))
        wanted: list[float] = []
        at = previous
        last_begins = begins_before(shown_seconds, following)
        while last_begins - at > gap_seconds + SAME_INSTANT_SECONDS:
            if at == -math.inf:
                at = packets[clean[0]].seconds
            else:
                at += gap_seconds * (SHORTEST_STEP + (1 - SHORTEST_STEP) * next(draws))
            wanted.append(at)
        for index in first_at_or_after(packets, clean, wanted):
            chosen.setdefault(index, SampleReason.GAP)
    return len(chosen) > before


def close_holes(
    packets: Sequence[VideoPacket],
    owned: Sequence[Sequence[int]],
    gap_seconds: float,
    chosen: dict[int, SampleReason],
) -> None:
    """Adds pictures where GOPs lie in another order on the timeline than in the stream, or among one another: no
    encoder makes such streams, but a broadcaster who hides in a hole may."""
    last_seconds = -math.inf
    for seconds, index in sorted((packets[index].seconds, index) for own in owned for index in own):
        if index not in chosen and seconds - last_seconds > gap_seconds + SAME_INSTANT_SECONDS:
            chosen[index] = SampleReason.GAP
        if index in chosen:
            last_seconds = seconds


def audit(
    packets: Sequence[VideoPacket],
    clean: Sequence[int],
    until: float,
    audits_per_minute: float,
    instants: SecretInstants,
) -> int | None:
    """A random picture of the run, by the audit rate; None: not this time."""
    start = packets[clean[0]].seconds
    draws = instants.draws("audit", start)
    if next(draws) >= audits_per_minute * (until - start) / 60:
        return None
    return first_at_or_after(packets, clean, [start + next(draws) * (until - start)])[0]


def first_at_or_after(packets: Sequence[VideoPacket], clean: Sequence[int], wanted: Sequence[float]) -> list[int]:
    """For each instant, ascending, the picture shown first at it or after it; the last one where there is none."""
    found = []
    position = 0
    for seconds in wanted:
        while position < len(clean) - 1 and packets[clean[position]].seconds < seconds - SAME_INSTANT_SECONDS:
            position += 1
        found.append(clean[position])
    return found


def begins_before(shown_seconds: Sequence[float], seconds: float) -> float:
    """Time up to which a sample has to reach to speak for all that is shown before `seconds`: the beginning of the last
    picture, or `LONGEST_OVERRUN_SECONDS` before, if that is later. `shown_seconds`: ascending."""
    place = bisect_left(shown_seconds, seconds - SAME_INSTANT_SECONDS)
    return max(shown_seconds[place - 1], seconds - LONGEST_OVERRUN_SECONDS) if place else seconds


def first_after(ascending: Sequence[float], seconds: float, end_seconds: float) -> float:
    """The first of those times after another one; `end_seconds` where there is none."""
    place = bisect_right(ascending, seconds)
    return ascending[place] if place < len(ascending) else end_seconds
