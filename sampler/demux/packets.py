"""Video packets: the plan's knowledge of pictures before anything is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


class VideoPacket(NamedTuple):
    """One coded picture; a list of them is in decoding order. A tuple, for one is made of every packet."""

    seconds: float
    """Presentation time from the input's first picture."""
    size_bytes: int
    """Bytes of picture data in it."""
    keyframe: bool
    """Decoding can begin here, and this picture itself comes out right."""
    reference: bool = True
    """True if other pictures may be predicted from it. False only where the bitstream marks it so."""
    quantiser: int | None = None
    """Quantiser, on H.264's scale (6 more: twice as coarse); None: not known."""
    completes: bool = False
    """The second field of the picture before, with which it is decoded. It is not shown alone."""
    shown: bool = True
    """False: an edit list hides it; it is decoded for the others only."""
    recovery_frames: int | None = None
    """A recovery point that is no keyframe: decoding may begin here, and so many pictures later all is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PacketRun:
    """Packets [start, stop) that are decoded from `start` on, without what came before."""

    start: int
    stop: int
    clean_from_seconds: float
    """Pictures shown earlier are skipped: the leading pictures of an open GOP need pictures that were not decoded."""
    headless: bool = False
    """Begins without a keyframe, in the middle of a GOP: what pictures lean on is made up, until a recovery point
    has passed."""
    recovered: int | None = None
    """The packet of a headless run from which on all is right; None: none."""


def runs(packets: Sequence[VideoPacket]) -> list[PacketRun]:
    """The stretches that are decoded separately: one for each keyframe, with all up to the next.

    What comes before the first keyframe belongs to a GOP that began in an earlier segment, or to a stream with intra
    refresh, which has no keyframes.
    """
    starts = [index for index, packet in enumerate(packets) if packet.keyframe]
    found = [
        PacketRun(start=start, stop=stop, clean_from_seconds=packets[start].seconds)
        for start, stop in pairwise([*starts, len(packets)])
    ]
    headless = starts[0] if starts else len(packets)
    if headless:
        found.insert(0, _headless_run(packets, headless))
    return found


def _headless_run(packets: Sequence[VideoPacket], stop: int) -> PacketRun:
    """The run of packets [0, stop), which have no keyframe."""
    points = (
        index + recovery
        for index in range(stop)
        if (recovery := packets[index].recovery_frames) is not None and index + recovery < stop
    )
    first_seconds = min(packet.seconds for packet in packets[:stop])
    return PacketRun(
        start=0, stop=stop, clean_from_seconds=first_seconds, headless=True, recovered=min(points, default=None)
    )
