"""Runs that are decoded up to their last pictures, so that the keyframe after them can be compared with these.

Encoders of short GOPs send keyframes nearer than a gap may be. One that goes on with the scene that the latest sample
shows need not be taken: in small pictures decoding what leads to it costs less than a sample.
"""

from collections.abc import Sequence, Set
from dataclasses import replace
from itertools import pairwise
from typing import Final

from sampler.demux.packets import VideoPacket
from sampler.demux.timeline import SAME_INSTANT_SECONDS
from sampler.plan.budget import DecodingBound
from sampler.plan.cut_score import shown_as_decoded
from sampler.plan.planned_picture import PlannedPicture
from sampler.plan.run_plan import Plan, RunPlan

RESTING_SHARE: Final = 0.1
"""Packets after a keyframe that have all together less (<) than this part of its bytes show nothing that moves: the
keyframe after them most likely repeats the sample before."""
LONGEST_SECONDS: Final = 1.25
"""Longest run (<=) that is led to its end. `economy`, which may leave out 4 s, keeps the keyframes of longer ones."""
LAST_PICTURES: Final = 2
"""Pictures before a keyframe that it is compared with: two show whether they move. Those that repeat the one before,
of a camera of 10 pictures a second that is sent as 30, look as if nothing did, and B-frames cost more."""


def with_leads(packets: Sequence[VideoPacket], plan: Plan, *, gap_seconds: float, silent: Set[int]) -> Plan:
    """The plan, with the last pictures of such runs.

    Args:
        packets: of the window, in decoding order.
        gap_seconds: for so long a sample speaks for what comes after it.
        silent: numbers of runs whose packets do not say what they show.
    """
    if plan.bound is None or not plan.runs:
        return plan
    parts, spare = [*plan.runs], plan.spare_macroblocks
    latest = _last_sure(packets, parts[0].targets, default=packets[parts[0].own[0]].seconds)
    for number, (part, after) in enumerate(pairwise(plan.runs)):
        targets = list(after.targets)
        keyframe = next((target for target in targets if target.index == after.run.start), None)
        if (
            keyframe is not None
            and keyframe.until_seconds is not None
            and keyframe.until_seconds - latest <= gap_seconds + SAME_INSTANT_SECONDS
            and part.run.stop == after.run.start
            and not (part.watched or after.watched or part.run.headless or silent & {number, number + 1})
            and packets[after.run.start].seconds - packets[part.run.start].seconds <= LONGEST_SECONDS
            and _moves(packets, part)
            and (cost := _cost(packets, part, plan.bound)) <= min(part.sample_macroblocks, spare)
        ):
            parts[number] = replace(part, led_to=_last_pictures(packets, part))
            spare -= cost
            targets.remove(keyframe)
        latest = _last_sure(packets, targets, default=latest)
    return replace(plan, runs=tuple(parts), spare_macroblocks=spare)


def _last_sure(packets: Sequence[VideoPacket], targets: Sequence[PlannedPicture], *, default: float) -> float:
    """Time of the last picture that is taken anyway."""
    return max((packets[target.index].seconds for target in targets if not target.proofs), default=default)


def _moves(packets: Sequence[VideoPacket], part: RunPlan) -> bool:
    after = sum(packet.size_bytes for packet in packets[part.run.start + 1 : part.run.stop])
    return after >= RESTING_SHARE * packets[part.run.start].size_bytes


def _last_pictures(packets: Sequence[VideoPacket], part: RunPlan) -> tuple[int, ...]:
    forward = shown_as_decoded(packets, part.run.start, part.run.stop)
    return tuple(index for index in forward[-LAST_PICTURES:] if index in part.own)


def _cost(packets: Sequence[VideoPacket], part: RunPlan, bound: DecodingBound) -> float:
    """Macroblocks of the pictures that others lean on, after those that are decoded anyway, and of the last ones."""
    begin = max((target.index for target in part.targets if not target.proofs), default=part.run.start) + 1
    references = (packet for packet in packets[begin : part.run.tail] if packet.reference)
    return sum(map(bound.picture_cost, references)) + LAST_PICTURES * bound.picture_macroblocks
