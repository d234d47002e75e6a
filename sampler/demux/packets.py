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
    """Pictures shown earlier belong to the run before: the leading pictures of an open GOP lean on its pictures."""
    tail: int = 0
    """Packets [stop, tail) are the next run's up to the last of its leading pictures, which come out right only if
    they are decoded after this run's; `stop` where it has none."""
    headless: bool = False
    """Begins without a keyframe, in the middle of a GOP: what pictures lean on is made up, until a recovery point
    has passed."""
    recovered: int | None = None
    """The packet of a headless run from which on all is right; None: none."""


def runs(packets: Sequence[VideoPacket]) -> list[PacketRun]:
    """The stretches that are decoded separately: one for each keyframe, with all up to the next and its leading
    pictures.

    What comes before the first keyframe belongs to a GOP that began in an earlier segment, or to a stream with intra
    refresh, which has no keyframes.
    """
    starts = [index for index, packet in enumerate(packets) if packet.keyframe]
    found: list[PacketRun] = []
    tail = len(packets)
    for start, stop in reversed(list(pairwise([*starts, len(packets)]))):
        found.append(PacketRun(start=start, stop=stop, clean_from_seconds=packets[start].seconds, tail=max(tail, stop)))
        tail = _leading_stop(packets, start, stop)
    headless = starts[0] if starts else len(packets)
    if headless:
        found.append(_headless_run(packets, headless, max(tail, headless)))
    return found[::-1]


def own_pictures(packets: Sequence[VideoPacket], run: PacketRun) -> list[int]:
    """Pictures that are shown and that come out right if the run is decoded, each in one run, by presentation time."""
    following_seconds = packets[run.stop].seconds if run.stop < run.tail else 0.0
    indices = [
        index
        for index in range(run.start, run.tail)
        if packets[index].shown
        and packets[index].seconds >= run.clean_from_seconds
        and (index < run.stop or packets[index].seconds < following_seconds)
    ]
    return sorted(indices, key=lambda index: packets[index].seconds)


def _leading_stop(packets: Sequence[VideoPacket], start: int, stop: int) -> int:
    """The end of a run's leading pictures, in decoding order; its start where it has none."""
    keyframe_seconds = packets[start].seconds
    leading = (index for index in range(stop - 1, start, -1) if packets[index].seconds < keyframe_seconds)
    return next(leading, start - 1) + 1


def _headless_run(packets: Sequence[VideoPacket], stop: int, tail: int) -> PacketRun:
    """The run of packets [0, stop), which have no keyframe."""
    points = (
        index + recovery
        for index in range(stop)
        if (recovery := packets[index].recovery_frames) is not None and index + recovery < stop
    )
    first_seconds = min(packet.seconds for packet in packets[:stop])
    return PacketRun(
        start=0,
        stop=stop,
        clean_from_seconds=first_seconds,
        tail=tail,
        headless=True,
        recovered=min(points, default=None),
    )
