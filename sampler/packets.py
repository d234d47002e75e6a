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
    """Pictures shown earlier lean on what was not decoded: the leading pictures of an open GOP, or those before a
    recovery point is reached."""
    leading: bool = True
    """Whether pictures shown before `clean_from_seconds` need not be decoded at all."""
    concealed: bool = False
    """Nothing here comes out right: what is missing is made up."""


def runs(packets: Sequence[VideoPacket]) -> list[Run]:
    """The stretches that are decoded each by itself: one for each keyframe, with all up to the next.

    What comes before the first keyframe is decoded from its recovery point on (intra refresh), and up to there with
    concealment: it belongs to a GOP that began in an earlier segment.
    """
    starts = [index for index, packet in enumerate(packets) if packet.keyframe]
    headless = starts[0] if starts else len(packets)
    return [
        *_headless_runs(packets, headless),
        *(
            Run(start=start, stop=stop, clean_from_seconds=packets[start].seconds)
            for start, stop in pairwise([*starts, len(packets)])
        ),
    ]


def _headless_runs(packets: Sequence[VideoPacket], stop: int) -> list[Run]:
    """The runs of packets [0, stop), which have no keyframe."""
    found = []
    start = stop
    for index in range(stop):
        recovery = packets[index].recovery_frames
        if recovery is not None and index + recovery < stop:
            start = index
            clean = packets[index + recovery].seconds
            found.append(Run(start=start, stop=stop, clean_from_seconds=clean, leading=False))
            break
    if start:
        first = min(packet.seconds for packet in packets[:start])
        found.insert(0, Run(start=0, stop=start, clean_from_seconds=first, leading=False, concealed=True))
    return found
