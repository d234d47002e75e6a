"""Decides where pictures are decoded without the loop filter. Runs in the decoder child."""

from collections.abc import Sequence

from sampler.decode.runs.needed import needed_packets
from sampler.decode.runs.probed_runs import ProbedRun
from sampler.demux.packet_window import PacketWindow
from sampler.plan.run_plan import RunPlan

THRIFTY_SHARE = 0.5
"""If more of the pictures than this must be decoded, the loop filter is left out on all but intra pictures. That saves
a sixth of decoding and more. Over GOPs of 2 s it moved PDQ by 2 bits in the mean and 10 at the most, of a distance of
31."""
THRIFTY_RUN_SECONDS = 4.0
"""So long (<=) may a run be for that: what is left out adds up. Over 10 s, where pictures are coarse, it moved PDQ by
up to 22 bits."""
THRIFTY_SECONDS = 2.0
"""The same where nothing but suspects is decoded besides keyframes, none of them later (>) than this after its
keyframe: that saves a fifth to a quarter of decoding them (`talking head` at 360p and 720p), and most turn out to be no
cuts. A cut's own picture is coded anew, so that little adds up before it."""


def is_thrifty(window: PacketWindow, runs: Sequence[ProbedRun]) -> bool:
    """True if the loop filter is to be left out on all but intra pictures."""
    needed = sum(
        part.run.tail - part.run.start if part.watched else len(needed_packets(window, part.run, targets))
        for part, targets, _ in runs
    )
    if needed > THRIFTY_SHARE * len(window.packets) and all(_is_short(window, part) for part, *_ in runs):
        return True
    return _are_suspects(window, runs)


def _is_short(window: PacketWindow, part: RunPlan) -> bool:
    last, first = window.packets[part.own[-1]].seconds, window.packets[part.own[0]].seconds
    return last - first <= THRIFTY_RUN_SECONDS


def _are_suspects(window: PacketWindow, runs: Sequence[ProbedRun]) -> bool:
    """True if the pictures to decode besides keyframes are all suspects that come soon after theirs.

    Only of an input of one window: what the first one needs decides for all.
    """
    if window.next_keyframe_seconds is not None:
        return False
    late = [(part.run, target) for part, targets, _ in runs for target in targets if target.index != part.run.start]
    return all(
        target.proofs
        and not run.headless
        and window.packets[target.index].seconds - window.packets[run.start].seconds <= THRIFTY_SECONDS
        for run, target in late
    )
