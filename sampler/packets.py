"""What the plan knows of the pictures before anything is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoPacket:
    """One coded picture; a list of them is in decoding order."""

    seconds: float
    """Presentation time from the input's first picture."""
    size_bytes: int
    keyframe: bool
    """Decoding can begin here, and this picture itself comes out right."""
    reference: bool = True
    """Whether other pictures may be predicted from it. False only where the bitstream says so."""
    quantiser: int | None = None
    """How coarsely it is coded, on H.264's scale (6 more: twice as coarse); None: not known."""
    shown: bool = True
    """False: an edit list hides it; it is decoded for the others only."""
    recovery_frames: int | None = None
    """A recovery point that is no keyframe: decoding may begin here, and so many pictures later all is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Packets [start, stop) that are decoded from `start` on, without what came before."""

    start: int
    stop: int
    clean_from_seconds: float
    """Pictures shown earlier lean on what was not decoded: the leading pictures of an open GOP."""


def runs(packets: Sequence[VideoPacket]) -> list[Run]:
    """The stretches that are decoded each by itself: one for each keyframe, with all up to the next.

    What comes before the first keyframe is a run of its own. Where it has a recovery point (intra refresh) it begins
    there; else it is decoded with concealment, and only if there is no keyframe at all.
    """
    starts = [index for index, packet in enumerate(packets) if packet.keyframe]
    found = [
        Run(start=start, stop=stop, clean_from_seconds=packets[start].seconds)
        for start, stop in pairwise([*starts, len(packets)])
    ]
    headless = starts[0] if starts else len(packets)
    points = [index for index in range(headless) if packets[index].recovery_frames is not None]
    for start in points[:1]:
        clean = start + (packets[start].recovery_frames or 0)
        if clean < headless:
            found.insert(0, Run(start=start, stop=headless, clean_from_seconds=packets[clean].seconds))
    if not found and packets:
        found.append(Run(start=0, stop=len(packets), clean_from_seconds=min(packet.seconds for packet in packets)))
    return found
