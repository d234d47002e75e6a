"""Runs that are decoded by a second decoder, alone or beside the stream's own, since players use the one or the other.

Packets of VP9 may have more in them than one decoder reads, and only decoding tells: no byte says where a picture ends.
"""

from collections.abc import Sequence
from dataclasses import replace

from sampler.demux.packets import VideoPacket
from sampler.plan.gaps import SecretInstants
from sampler.plan.run_plan import Decoding, Plan, RunPlan

COMPARED_SHARE = 1 / 6
"""Share of the runs that are decoded by both, by chance, if there is room: a talking head of 360p costs 1.6 times as
much as with one decoder if all are. What is hidden for longer meets one, and is seen in half of the others."""


def with_second_opinion(packets: Sequence[VideoPacket], plan: Plan, instants: SecretInstants) -> Plan:
    """The plan with some of its watched runs decoded by both, as far as there are macroblocks for it, and half of the
    others by the second alone; nobody knows which.

    A run without a keyframe is left to the stream's own: its pictures moderate nothing.
    """

    def draws(part: RunPlan) -> tuple[float, float]:
        drawn = instants.draws("decoder", packets[part.own[0]].seconds)
        return next(drawn), next(drawn)

    drawn = {number: draws(part) for number, part in enumerate(plan.runs) if not part.run.headless}
    spare = plan.spare_macroblocks
    chosen: dict[int, Decoding] = {}
    for number in sorted(drawn, key=drawn.__getitem__):
        part = plan.runs[number]
        if drawn[number][0] < COMPARED_SHARE and part.watched and part.watching_macroblocks <= spare:
            spare -= part.watching_macroblocks
            chosen[number] = Decoding.BOTH
        elif drawn[number][1] < 1 / 2:
            chosen[number] = Decoding.SECOND
    parts = (replace(part, decoding=chosen.get(number, Decoding.OWN)) for number, part in enumerate(plan.runs))
    return replace(plan, runs=tuple(parts), spare_macroblocks=spare)
