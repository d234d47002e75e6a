"""Account of leading pictures: those that were decoded, and those that no sample speaks for. Runs in the child."""

from collections.abc import Collection
from dataclasses import replace

from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import leading_stop, orphans
from sampler.frames import SampleReason
from sampler.plan.coverage import picture_stretches
from sampler.plan.planned_picture import PlannedPicture
from sampler.plan.run_plan import Plan
from sampler.plan.suspects import Proof


class LeadingPictures:
    """Leading pictures of one input that were not decoded, counted window by window."""

    def __init__(self) -> None:
        self.lost: list[tuple[float, float]] = []
        """(start, end) of the time in which each would be shown, on the container's timeline."""
        self.wanted_seconds = 0.0
        """Time of those that the segment before would show."""
        self.end_seconds = 0.0
        """Time of the first keyframe, before which the leading pictures at the input's beginning are shown."""
        self._first = True

    def account(
        self,
        window: PacketWindow,
        taken: Collection[int],
        end_seconds: float,
        *,
        broken: bool,
        refused: Collection[float],
    ) -> None:
        """Counts one window.

        Args:
            window: after it was decoded.
            taken: indices of the packets whose pictures were taken, or look like the keyframe's, which is.
            end_seconds: where the window's last picture ends.
            broken: whether damage was met in its first run.
            refused: times of the pictures that there was no budget for, which are accounted as such.
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
        if self._first:
            self.end_seconds = window.packets[begins].seconds
            wanted = {window.packets[index].seconds for index in lost if index in own}
            self.wanted_seconds = sum(end - start for start, end in picture_stretches(shown, wanted, end_seconds))
        self._first = False


def only_leading(window: PacketWindow) -> None:
    """Leaves of a window its primer, first keyframe, and leading pictures of that."""
    stop = max(leading_stop(window.packets, window.primer), window.primer + 1)
    del window.packets[stop:], window.payloads[stop:]


def leading_plan(window: PacketWindow, planned: Plan, *, max_gap_seconds: float) -> Plan:
    """The part of a window's plan that is for its leading pictures: nothing, where the GOP before is not there.

    A picture that is taken for nothing but time is taken only if the keyframe, whose sample is within the gap, looks
    different.
    """
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
