"""Account of pictures that lean on the segment before: those that were decoded, and those that no sample speaks for.
Runs in the child.

They are the leading pictures of a keyframe, or the first ones of an input that begins without a keyframe.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from sampler.demux.packet_reader import Demuxer
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import leading_stop, orphans
from sampler.demux.timeline import SAME_INSTANT_SECONDS
from sampler.frames import SampleReason
from sampler.plan.coverage import picture_stretches
from sampler.plan.intervals import Interval
from sampler.plan.planned_picture import PlannedPicture
from sampler.plan.run_plan import Plan
from sampler.plan.suspects import Proof


class LeadingPictures:
    """Pictures of one input that lean on the segment before, and did not come out, counted window by window. All times
    are on the container's timeline."""

    def __init__(self) -> None:
        self.lost: list[Interval] = []
        """(start, end) of the time in which each leading picture would be shown."""
        self.wanted_seconds = 0.0
        """Time of the leading pictures that the segment before would show."""
        self.leaning_until_seconds: float | None = None
        """The end of the first pictures, as far as they lean on the segment before, which is not there; None: they do
        not."""
        self.end_seconds = math.inf
        """The end of the pictures that are sampled with the segment before, and of nothing else."""
        self._first = True

    def leave(self, window: PacketWindow, until_seconds: float) -> None:
        """Leaves of the first window what is decoded for the pictures that lean on the segment before.

        Args:
            window: with its primer, if there is one.
            until_seconds: the end of these pictures, as the first result has it, where there is no keyframe before.
        """
        if not _is_headless(window):
            _only_leading(window)
            self.end_seconds = window.packets[window.primer].seconds
            self.leaning_until_seconds = until_seconds
            return
        _only_first(window, until_seconds)
        self.end_seconds = until_seconds
        self.leaning_until_seconds = None if window.primer else until_seconds

    def account(
        self,
        window: PacketWindow,
        taken: Collection[int],
        end_seconds: float,
        *,
        broken: bool,
        refused: Collection[float],
        wrong: Sequence[Interval],
    ) -> None:
        """Counts one window.

        Args:
            window: after it was decoded.
            taken: indices of the packets whose pictures were taken, or look like the keyframe's, which is.
            end_seconds: where the window's last picture ends.
            broken: whether damage was met in its first run.
            refused: times of the pictures that there was no budget for, which are accounted as such.
            wrong: stretches of pictures that did not come out, or not right.
        """
        begins = window.primer
        own = range(begins, leading_stop(window.packets, begins))
        leading = [index for index in own if window.packets[index].leading]
        answered = any(index in taken or window.packets[index].seconds in refused for index in leading)
        lost = set(orphans(window.packets))
        if begins and (broken or not answered):
            # The GOP before was another's, or is damaged: nothing shows what these pictures are.
            lost.update(index for index in leading if window.packets[index].shown)
        shown = sorted(packet.seconds for packet in window.packets if packet.shown)
        self.lost += picture_stretches(shown, {window.packets[index].seconds for index in lost}, end_seconds)
        if self._first and _is_headless(window) and not begins and math.isinf(self.end_seconds):
            right = min((window.packets[index].seconds for index in taken), default=math.inf)
            self.leaning_until_seconds = _leaning_until(window, wrong, right if broken else math.inf)
        if self._first:
            wanted = {window.packets[index].seconds for index in lost if index in own}
            self.wanted_seconds = sum(end - start for start, end in picture_stretches(shown, wanted, end_seconds))
        self._first = False

    def leaning_seconds(self, demuxer: Demuxer, picture_seconds: float) -> float:
        """The end of the track's first pictures that lean on the segment before, from the input's first one; 0: none
        do, or no more than one."""
        if self.leaning_until_seconds is None:
            return 0.0
        until = self.leaning_until_seconds - demuxer.origin_seconds
        if until > demuxer.duration_seconds - SAME_INSTANT_SECONDS:
            until = demuxer.duration_seconds
        one_picture = demuxer.begins_seconds + picture_seconds + SAME_INSTANT_SECONDS
        return until if until > one_picture else 0.0


def _is_headless(window: PacketWindow) -> bool:
    """True if a window's first picture leans on what came before it."""
    return not window.packets[window.primer].keyframe


def _leaning_until(window: PacketWindow, wrong: Sequence[Interval], damaged_after: float) -> float | None:
    """The end of the pictures that are wrong before the first keyframe; None: there are none. Those that begin at or
    after a time may be wrong for damage of this input's own."""
    keyframe = next((packet.seconds for packet in window.packets if packet.keyframe), math.inf)
    return max((end for start, end in wrong if start < min(keyframe, damaged_after)), default=None)


def _only_first(window: PacketWindow, until_seconds: float) -> None:
    """Leaves of a window its primer, and what is decoded for the pictures that are shown after that, before a time."""
    packets, primer = window.packets, window.primer
    keyframe = next((index for index in range(primer, len(packets)) if packets[index].keyframe), len(packets))
    limit = leading_stop(packets, keyframe) if keyframe < len(packets) else keyframe
    wanted = [index for index in range(primer, limit) if packets[index].seconds < until_seconds]
    stop = max(wanted, default=primer) + 1
    stop += stop < len(packets) and packets[stop].completes
    del window.packets[stop:], window.payloads[stop:]
    late = (index for index in range(primer, stop) if packets[index].seconds >= until_seconds)
    window.replace({index: packets[index]._replace(shown=False) for index in late})


def _only_leading(window: PacketWindow) -> None:
    """Leaves of a window its primer, first keyframe, and leading pictures of that."""
    stop = max(leading_stop(window.packets, window.primer), window.primer + 1)
    del window.packets[stop:], window.payloads[stop:]


def leading_plan(window: PacketWindow, planned: Plan, *, max_gap_seconds: float) -> Plan:
    """The part of a window's plan that is for its leading pictures: nothing, where the GOP before is not there.

    A picture that is taken for nothing but time is taken only if the keyframe, whose sample is within the gap, looks
    different.
    """
    if _is_headless(window):
        return planned
    end_seconds = window.packets[window.primer].seconds

    def unless_alike(target: PlannedPicture) -> PlannedPicture:
        late = end_seconds - window.packets[target.index].seconds > max_gap_seconds
        if late or target.proofs or target.reason is not SampleReason.GAP:
            return target
        return replace(target, proofs=(Proof(window.primer, None, before=target.index),))

    return replace(
        planned,
        runs=tuple(
            replace(part, targets=tuple(map(unless_alike, part.targets)))
            for part in planned.runs
            if part.run.start < window.primer
        ),
        refused_seconds=tuple(seconds for seconds in planned.refused_seconds if seconds < end_seconds),
        doubts=(),
    )
