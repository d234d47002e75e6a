"""Runs whose suspects are probed by their own packets, before all up to them is decoded. Runs in the decoder child."""

from typing import NamedTuple

from sampler.decode.runs.needed import leaned_on
from sampler.decode.runs.probe import PROBED_AFTER, Prober
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import PacketRun
from sampler.plan.planned_picture import PlannedPicture, proofs_of_all
from sampler.plan.run_plan import RunPlan
from sampler.plan.suspects import Proof


class ProbedRun(NamedTuple):
    """A run whose suspects were probed."""

    part: RunPlan
    targets: tuple[PlannedPicture, ...]
    """Those that are left."""
    refuted: set[int]
    """Packets of suspects that are no cuts."""


def probed_run(prober: Prober | None, window: PacketWindow, part: RunPlan) -> ProbedRun:
    """The run with its targets up to the last one that is sure, or whose cut its own packet proves; and the suspects
    after that.

    All before that is decoded anyway, and each cut there proves itself in passing: asking costs a picture.
    """
    run, targets = part.run, part.targets
    if prober is None or part.watched:
        return ProbedRun(part, targets, set())
    sure = max((target.index for target in targets if not target.proofs), default=-1)
    refuted: set[int] = set()
    for suspect in reversed(proofs_of_all(targets)):
        if suspect.packet <= sure:
            break
        if is_proven(prober, window, run, suspect):
            break
        refuted.add(suspect.packet)
    return ProbedRun(part, tuple(target for target in targets if not target.is_refuted(refuted)), refuted)


def is_proven(prober: Prober, window: PacketWindow, run: PacketRun, proof: Proof) -> bool:
    """True if a suspect's own packet shows new content, or cannot refute it."""
    before = [window.payloads[index] for index in leaned_on(window, run, proof.packet, PROBED_AFTER)]
    return proof.predicted_share is None or prober.is_new_content(
        window.payloads[proof.packet], window.payloads[run.start], proof.predicted_share, before=before
    )
