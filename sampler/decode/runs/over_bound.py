"""Suspects that the bound has no macroblocks for, probed before they are refused. Runs in the decoder child.

Late in a run all up to a suspect would be decoded for it, which at 1080p is more than the bound. But most suspects are
no cuts, and their own packets show it.
"""

from collections.abc import Iterable

from sampler.decode.runs.probe import Prober
from sampler.decode.runs.probed_runs import ProbedRun, is_proven
from sampler.demux.packet_window import PacketWindow
from sampler.plan.budget import DecodingBound
from sampler.plan.planned_picture import proofs_of_all


def refused_suspects(
    prober: Prober, window: PacketWindow, parts: Iterable[ProbedRun], bound: DecodingBound | None, spare: float
) -> tuple[list[float], float]:
    """Times of the pictures over the bound whose cuts their packets do not refute, of runs that are not watched; and
    the macroblocks that are left.

    Probes take what is spare, and what was set aside for samples of suspects that turned out to be no cuts.
    """
    waiting = [one for one in parts if not one.part.watched]
    spare += sum(one.part.sample_macroblocks * (len(one.part.targets) - len(one.targets)) for one in waiting)
    refused: list[float] = []
    for part in (one.part for one in waiting):
        refuted: set[int] = set()
        for proof in proofs_of_all(part.over_bound):
            cost = bound.picture_cost(window.packets[proof.packet]) if bound is not None else 0.0
            decoded = prober.frames_decoded
            if cost <= spare and not is_proven(prober, window, part.run, proof):
                refuted.add(proof.packet)
            spare -= cost * (prober.frames_decoded - decoded)
        # One cut that nobody sees, and the others may be its beginning, whatever their own packets show.
        if not all(target.is_refuted(refuted) for target in part.over_bound):
            refused += [window.packets[target.index].seconds for target in part.over_bound]
    return refused, spare
