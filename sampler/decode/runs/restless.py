"""Runs of which packets suspect so much that watching them costs less. Runs in the decoder child.

Fast motion is coded anew again and again, as a cut is, and each picture that is taken for it is classified. Where all
pictures are compared, motion is not taken for cuts.
"""

from collections.abc import Sequence
from dataclasses import replace

from sampler.decode.runs.needed import needed_packets
from sampler.decode.runs.probed_runs import ProbedRun
from sampler.demux.packet_window import PacketWindow
from sampler.frames import SampleReason
from sampler.plan.planned_picture import PlannedPicture

FOUND_BY_WATCHING = 2
"""Pictures that watching a run is expected to take: those on both sides of one cut."""


def watched_where_cheaper(
    window: PacketWindow, runs: Sequence[ProbedRun], spare: float
) -> tuple[list[ProbedRun], float]:
    """The runs, those watched that cost less so, while macroblocks are left; and the macroblocks left after that."""
    found = []
    for one in runs:
        if _is_cheaper_watched(window, one) and one.part.watching_macroblocks <= spare:
            spare -= one.part.watching_macroblocks
            kept = tuple(target for target in one.targets if _is_kept(one, target))
            one = ProbedRun(replace(one.part, watched=True, targets=kept), kept, set())
        found.append(one)
    return found, spare


def _is_cheaper_watched(window: PacketWindow, one: ProbedRun) -> bool:
    part = one.part
    cuts = sum(not _is_kept(one, target) for target in one.targets)
    if part.watched or not part.watching_macroblocks or cuts <= FOUND_BY_WATCHING:
        return False
    share = len(needed_packets(window, part.run, one.targets)) / (part.run.tail - part.run.start)
    saved = (cuts - FOUND_BY_WATCHING) * part.sample_macroblocks
    return saved > (1 - share) * part.watching_macroblocks


def _is_kept(one: ProbedRun, target: PlannedPicture) -> bool:
    """True of pictures that are taken whatever the others show. Of what comes in piece by piece each picture differs
    little from the one before it."""
    return target.reason is not SampleReason.CUT or (target.settles and one.part.run.recovered is None)
