"""Account of leading pictures: those that were decoded, and those that no sample speaks for. Runs in the child."""

from collections.abc import Collection

from sampler.demux.packet_reader import PacketWindow
from sampler.demux.packets import leading_stop, orphans
from sampler.plan.coverage import leading_stretches


class LeadingPictures:
    """Leading pictures of one input that were not decoded, counted window by window."""

    def __init__(self) -> None:
        self.lost: list[tuple[float, float]] = []
        """(start, end) of the time in which each would be shown, on the container's timeline."""
        self.wanted_seconds = 0.0
        """Time of those that the segment before would show."""
        self._first = True

    def account(self, window: PacketWindow, taken: Collection[int], end_seconds: float, *, broken: bool) -> None:
        """Counts one window.

        Args:
            window: after it was decoded.
            taken: indices of the packets whose pictures were taken.
            end_seconds: where the window's last picture ends.
            broken: whether damage was met in its first run.
        """
        begins = window.primer
        own = range(begins, leading_stop(window.packets, begins))
        lost = set(orphans(window.packets))
        if begins and (broken or not any(index in taken for index in own if window.packets[index].leading)):
            # The GOP before was another's, or is damaged: nothing shows what these pictures are.
            lost.update(index for index in own if window.packets[index].leading and window.packets[index].shown)
        shown = sorted(packet.seconds for packet in window.packets if packet.shown)
        self.lost += leading_stretches(shown, {window.packets[index].seconds for index in lost}, end_seconds)
        if self._first:
            wanted = {window.packets[index].seconds for index in lost if index in own}
            self.wanted_seconds = sum(end - start for start, end in leading_stretches(shown, wanted, end_seconds))
        self._first = False


def only_leading(window: PacketWindow) -> None:
    """Leaves of a window its primer, first keyframe, and leading pictures of that."""
    stop = max(leading_stop(window.packets, window.primer), window.primer + 1)
    del window.packets[stop:], window.payloads[stop:]
