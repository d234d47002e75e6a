"""Packets of a run that are decoded for its pictures. Runs in the decoder child."""

from collections.abc import Iterable

from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import PacketRun
from sampler.plan.planned_picture import PlannedPicture


def decodable(window: PacketWindow, run: PacketRun) -> list[int]:
    """All packets of a run that can be decoded in it."""
    return [index for index in range(run.start, run.tail) if run.decodes(index, window.packets[index])]


def needed_packets(
    window: PacketWindow, run: PacketRun, targets: tuple[PlannedPicture, ...], besides: Iterable[int] = ()
) -> list[int]:
    """Packets to be decoded for the targets, and for the pictures of other packets `besides`, in decoding order: up to
    the last one, without those none leans on."""
    wanted = {target.index for target in targets}.union(besides)
    if not wanted:
        return []
    needed: list[int] = []
    # A picture of two fields is given once both are there.
    for index, packet in enumerate(window.packets[run.start : max(wanted) + 2], run.start):
        if packet.completes:
            if needed and needed[-1] == index - 1:
                needed.append(index)
        elif index in wanted or (index <= max(wanted) and packet.reference and run.decodes(index, packet)):
            needed.append(index)
    return needed


def leaned_on(window: PacketWindow, run: PacketRun, index: int, count: int) -> list[int]:
    """The last packets before one, at most so many, that it may be predicted from; none where they may be fields."""
    found: list[int] = []
    for other in range(index - 1, run.start - 1, -1):
        packet = window.packets[other]
        if packet.completes:
            return []
        if packet.reference and run.decodes(other, packet):
            found.append(other)
        if len(found) == count:
            break
    return found[::-1]
