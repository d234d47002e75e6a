"""Packets that may be larger than what they show: bytes behind a slice's end, which decoders skip.

With them a broadcaster makes the packets around a cut as large as the cut's own, so that it stands out from none. What
a slice is made of cannot be told from its bytes; but a decoder that is given a part of it misses the rest, unless that
was nothing. So a few pictures are decoded in part: those that are large for long, of which a cut may be one.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from math import log2
from typing import NamedTuple

from config.profiles import SamplingProfile
from sampler.demux.packets import VideoPacket
from sampler.plan.cut_score import AGAINST_FLOOR, QUANTISER_DOUBLING, TWO_SCALES, shown_as_decoded
from sampler.plan.gaps import SecretInstants
from sampler.plan.run_plan import Doubt, Plan, RunPlan
from sampler.plan.suspects import PROBED_DOUBLINGS

DOUBT_SECONDS, SELDOM_SECONDS = 4.0, 8.0
"""One picture is decoded in part for so much of a window, in the mean; the second where packets are small beside their
keyframe, or have no quantiser, as H.265's, whose decoder makes up all that a picture leans on, at twice the cost."""
LEAST_BYTES, MACROBLOCK_BYTES = 300, 1.0
"""Packets under (<) so many bytes, in all or for a macroblock, have no room for anything new."""
LONG = 4
"""Packets on each side with which one is large together: as many as hide a cut (cut_score.NEIGHBOURS)."""
FLAT_DOUBTS = 3
"""Pictures that are decoded in part of each run whose pictures are all of one size, and that is not watched."""
DOUBT_PICTURES = 1.5
"""Pictures that decoding one in part counts for (<=): H.265's decoder takes it in part and whole."""
LEAST_SHARE, MOST_SHARE = 0.35, 0.45
"""Share of a slice that is decoded, the least and the most: it costs what it is. Of a packet that is padded to hide a
cut mostly less is real."""


class _Large(NamedTuple):
    """A packet in which there is room for more than it shows."""

    weight: float
    packet: int
    share: float


def with_room(packets: Sequence[VideoPacket], plan: Plan, flat: Set[int]) -> tuple[Plan, set[int]]:
    """The plan, and the numbers of those runs of one size that there are macroblocks to decode in part for. What the
    others show after their samples is seen by nobody."""
    spare, unseen, doubted = plan.spare_macroblocks, {*plan.refused_seconds}, set()
    for number in sorted(flat):
        part = plan.runs[number]
        costs = [plan.bound.picture_cost(packets[index]) for index in part.own[1:]] if plan.bound is not None else []
        cost = FLAT_DOUBTS * DOUBT_PICTURES * max(costs, default=0.0)
        if cost <= spare:
            spare -= cost
            doubted.add(number)
        else:
            unseen |= _not_taken(packets, part)
    return replace(plan, refused_seconds=tuple(sorted(unseen)), spare_macroblocks=spare), doubted


def _not_taken(packets: Sequence[VideoPacket], part: RunPlan) -> set[float]:
    """Times of a run's pictures that are not to be taken."""
    taken = {target.index for target in part.targets}
    return {packets[index].seconds for index in part.own if index not in taken}


def find_doubts(
    packets: Sequence[VideoPacket],
    parts: Sequence[RunPlan],
    profile: SamplingProfile,
    instants: SecretInstants,
    picture_macroblocks: float,
    *,
    flat: Set[int] = frozenset(),
) -> tuple[Doubt, ...]:
    """The pictures to decode in part, of runs that are not watched, the larger the likelier.

    Args:
        packets: of a window.
        parts: its runs.
        profile: score from which a packet is a suspected cut.
        instants: draw them.
        picture_macroblocks: size of the largest picture.
        flat: numbers of those whose pictures are all of one size.
    """
    threshold = profile.cut_doublings - PROBED_DOUBLINGS * (packets[0].quantiser is None)
    least = max(LEAST_BYTES, MACROBLOCK_BYTES * picture_macroblocks)
    by_run = {number: _large(packets, part, threshold, least) for number, part in enumerate(parts) if not part.watched}
    large = [one for several in by_run.values() for one in several]
    if not large:
        return ()
    begin, end = min(packet.seconds for packet in packets), max(packet.seconds for packet in packets)
    draws = instants.draws("padding", begin)
    found = [doubt for number in sorted(flat) for doubt in _drawn(by_run[number], FLAT_DOUBTS, draws)]
    has_room = packets[0].quantiser is not None and any(one.share > LEAST_SHARE for one in large)
    # In the mean, for a window may be shorter.
    count = int((end - begin) / (DOUBT_SECONDS if has_room else SELDOM_SECONDS) + next(draws))
    return (*found, *_drawn(large, count, draws))


def _drawn(large: Sequence[_Large], count: int, draws: Iterator[float]) -> Iterator[Doubt]:
    """So many of them, apart from each other."""
    for _ in range(count):
        if not large:
            return
        left = next(draws) * sum(one.weight for one in large)
        for one in large:
            left -= one.weight
            if left <= 0:
                break
        yield Doubt(one.packet, one.share, next(draws))
        large = [other for other in large if abs(other.packet - one.packet) > LONG]


def _large(packets: Sequence[VideoPacket], part: RunPlan, threshold: float, least: float) -> list[_Large]:
    run = part.run
    group = shown_as_decoded(packets, run.start, run.stop)[1:]
    sizes = [packets[index].size_bytes for index in group]
    planned = {target.index for target in part.targets}
    found = []
    for place, index in enumerate(group):
        around = sorted(sizes[max(place - LONG, 0) : place + LONG + 1])
        level = around[len(around) // 2]
        if not max(least, level / 2) <= sizes[place] <= level or index in planned:
            continue
        found.append(_Large(float(level) ** 3, index, _share(packets, run.start, index, around[-1], threshold)))
    return found


def _share(packets: Sequence[VideoPacket], keyframe: int, index: int, most: int, threshold: float) -> float:
    """The part of a packet that is real, if with its neighbours it hides a cut as large as the largest of them: were
    it less, the cut would not have been hidden."""
    first, packet = packets[keyframe], packets[index]
    against = log2(most / max(first.size_bytes, 1))
    if first.quantiser is not None and packet.quantiser is not None:
        against = max(against, against + (packet.quantiser - first.quantiser) / QUANTISER_DOUBLING)
        threshold += TWO_SCALES
    doublings = (threshold - max(against, AGAINST_FLOOR)) / 1.5
    return min(max(2**-doublings, LEAST_SHARE), MOST_SHARE)


def watched_whole(packets: Sequence[VideoPacket], plan: Plan) -> Plan:
    """The plan for a window whose packets say nothing: its runs are watched, as many as there are macroblocks for.
    What the others show after their samples is seen by nobody."""
    spare = plan.spare_macroblocks
    parts, unseen = [], set(plan.refused_seconds)
    for part in plan.runs:
        if not part.watched and part.watching_macroblocks > spare:
            unseen |= _not_taken(packets, part)
        elif not part.watched:
            spare -= part.watching_macroblocks
            targets = tuple(target for target in part.targets if not target.proofs)
            part = replace(part, watched=True, targets=targets)
        parts.append(replace(part, over_bound=()))
    return replace(plan, runs=tuple(parts), refused_seconds=tuple(sorted(unseen)), spare_macroblocks=spare, doubts=())
