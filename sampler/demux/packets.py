"""Video packets: the plan's knowledge of pictures before anything is decoded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from sampler.demux.timeline import SAME_INSTANT_SECONDS

if TYPE_CHECKING:
    from sampler.demux.codecs.picture_head import PictureHead

STAMPED_EARLY_SECONDS: Final = 0.5
"""A keyframe that is stamped earlier than this before its place stays where it is: a broadcaster may lie."""
EMPTY_STEPS: Final = 1.5
"""Steps between pictures, the shortest of their GOP, at least (>=), where one is missing."""


class VideoPacket(NamedTuple):
    """One coded picture; a list of them is in decoding order. A tuple, for one is made of every packet."""

    seconds: float
    """Presentation time from the input's first picture."""
    size_bytes: int
    """Bytes of picture data in it, and in the second field that `completes` it, which itself has none."""
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
    leading: bool = False
    """Shown before the keyframe that it follows, and may be predicted from the GOP before that: it comes out right only
    if both were decoded. Pictures that need the keyframe alone (RADL) are none."""
    outside: bool = False
    """It leans on a picture before the keyframe that it follows, though it is none of its leading pictures."""
    unread_units: int = 0
    """NAL units in it beyond any that an encoder makes: they are there for nothing but work."""
    pictures: int = 1
    """Pictures that decoding it takes: hidden ones besides the one that it shows, or none where it shows one again."""


def describe(
    head: "PictureHead",
    seconds: float,
    keyframe_seconds: float | None,
    *,
    hidden: bool = False,
) -> VideoPacket:
    """The plan's view of a packet; the picture's own coding precedes the container's claims.

    `hidden`: players that obey the container do not show it. `keyframe_seconds` is the time of the keyframe before it,
    and None after a picture that is none of its leading ones: those that say they are, by their kind or their time,
    lean on pictures of the GOP, and others on them.
    """
    leads = keyframe_seconds is not None
    earlier = keyframe_seconds is not None and seconds < keyframe_seconds - SAME_INSTANT_SECONDS
    leading = leads and not head.begins and (earlier if head.leading is None else head.leading)
    # By position, which takes half the time.
    return VideoPacket(
        seconds,
        head.size_bytes,
        head.begins,
        head.reference,
        head.quantiser,
        head.completes,
        not hidden and not head.completes,
        None if head.begins else head.recovery_frames,
        leading,
        head.outside and not leading,
        head.unread_units,
        head.pictures,
    )


def joined(first: VideoPacket, second: "PictureHead") -> "tuple[VideoPacket, PictureHead]":
    """The two fields of a picture, the first with the bytes of both: a cut may begin with either."""
    return first._replace(size_bytes=first.size_bytes + second.size_bytes), second._replace(size_bytes=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class PacketRun:
    """Packets [start, tail) that are decoded from `start` on, without what came before."""

    start: int
    stop: int
    tail: int
    """Packets [stop, tail) are the next run's up to the last of its leading pictures, which come out right only if
    they are decoded after this run's; `stop` where it has none."""
    headless: bool = False
    """Begins without a keyframe, in the middle of a GOP: what pictures lean on is made up, until a recovery point
    has passed."""
    recovered: int | None = None
    """The packet of a headless run from which on all is right; None: none."""

    def decodes(self, index: int, packet: VideoPacket) -> bool:
        """True if the run has all that packet `index` may be predicted from."""
        return (self.start <= index < self.stop and not packet.leading) or self.stop <= index < self.tail


def runs(packets: Sequence[VideoPacket]) -> list[PacketRun]:
    """The stretches that are decoded separately: one for each keyframe, with all up to the next and its leading
    pictures.

    What comes before the first keyframe belongs to a GOP that began in an earlier segment, or to a stream with intra
    refresh, which has no keyframes.
    """
    starts = [index for index, packet in enumerate(packets) if packet.keyframe]
    found = [
        PacketRun(start=start, stop=stop, tail=leading_stop(packets, stop))
        for start, stop in pairwise([*starts, len(packets)])
    ]
    headless = starts[0] if starts else len(packets)
    if headless:
        found.insert(0, _headless_run(packets, headless))
    return found


def is_paired(packets: Sequence[VideoPacket], index: int) -> bool:
    """True if a packet is the first field of a picture whose second one follows."""
    return index + 1 < len(packets) and packets[index + 1].completes


def own_pictures(packets: Sequence[VideoPacket], run: PacketRun) -> list[int]:
    """Pictures that are shown and that come out right if the run is decoded, each in one run, by presentation time."""
    indices = [
        index
        for index in range(run.start, run.tail)
        if packets[index].shown and run.decodes(index, packets[index]) and (index < run.stop or packets[index].leading)
    ]
    return sorted(indices, key=lambda index: packets[index].seconds)


def demoted(packets: Sequence[VideoPacket]) -> dict[int, VideoPacket]:
    """Packets, by index, of GOPs that lean on the one before, as part of that: nobody can begin at their keyframes."""
    found: dict[int, VideoPacket] = {}
    stop = len(packets)
    for start in range(len(packets) - 1, -1, -1):
        if packets[start].keyframe:
            if any(packet.outside for packet in packets[start:stop]):
                found[start] = packets[start]._replace(keyframe=False)
                found |= {
                    index: packets[index]._replace(leading=False)
                    for index in range(start + 1, stop)
                    if packets[index].leading
                }
            stop = start
    return found


def keyframes_as_shown(packets: Sequence[VideoPacket]) -> dict[int, VideoPacket]:
    """Keyframes, by index, that are stamped no later than their leading pictures, at the empty place after these:
    FFmpeg's HLS muxer stamps the first one of an fMP4 segment so."""
    found: dict[int, VideoPacket] = {}
    for start, keyframe in enumerate(packets):
        if not keyframe.keyframe or (stop := leading_stop(packets, start)) == start:
            continue
        gop = takewhile(lambda packet: not packet.keyframe, packets[start + 1 :])
        times = sorted(packet.seconds for packet in gop if packet.shown)
        before = max((packet.seconds for packet in packets[start + 1 : stop] if packet.shown), default=math.inf)
        after = next((seconds for seconds in times if seconds > before), math.inf)
        shortest = min((later - earlier for earlier, later in pairwise(times) if later > earlier), default=math.inf)
        place = (before + after) / 2
        is_empty = after - before >= EMPTY_STEPS * shortest
        is_early = 0 < place - keyframe.seconds <= STAMPED_EARLY_SECONDS
        if is_empty and is_early and keyframe.seconds <= times[0] + SAME_INSTANT_SECONDS:
            found[start] = keyframe._replace(seconds=place)
    return found


def orphans(packets: Sequence[VideoPacket]) -> list[int]:
    """The leading pictures that no run of `packets` decodes: what they lean on is not there."""
    found: list[int] = []
    stop = 0
    for index, packet in enumerate(packets):
        if packet.keyframe:
            stop = leading_stop(packets, index) if index else 0
        elif packet.leading and packet.shown and index >= stop:
            found.append(index)
    return found


def led_up_to(packets: Sequence[VideoPacket]) -> dict[int, VideoPacket]:
    """Packets, by index, of an input that begins without a keyframe, as they are with the segment before in front of
    them: none of the first pictures needs more than that."""
    first = takewhile(lambda packet: not packet.keyframe, packets)
    return {index: packet._replace(leading=False) for index, packet in enumerate(first) if packet.leading}


def reordered_seconds(packets: Sequence[VideoPacket]) -> float:
    """The longest time by which a picture is shown after one that is decoded later: for so long pictures of the next
    segment, the leading ones of its keyframe, may be shown before this one's would end."""
    longest, earliest = 0.0, math.inf
    for packet in reversed(packets):
        if packet.shown:
            longest, earliest = max(longest, packet.seconds - earliest), min(earliest, packet.seconds)
    return longest


def has_leading(packets: Sequence[VideoPacket]) -> bool:
    """True if the first packet is a keyframe with leading pictures after it: they need the GOP before."""
    return bool(packets) and packets[0].keyframe and leading_stop(packets, 0) > 0


def leading_stop(packets: Sequence[VideoPacket], keyframe: int) -> int:
    """The end of the leading pictures that directly follow a keyframe; `keyframe` itself where there are none.

    Encoders put them nowhere else: those that come later in the GOP would have all up to there decoded twice.
    """
    stop = keyframe + 1
    while stop < len(packets) and not packets[stop].keyframe and (packets[stop].leading or packets[stop].completes):
        stop += 1
    return stop if any(packet.leading for packet in packets[keyframe + 1 : stop]) else keyframe


def _headless_run(packets: Sequence[VideoPacket], stop: int) -> PacketRun:
    """The run of packets [0, stop), which have no keyframe."""
    points = (
        index + recovery
        for index in range(stop)
        if (recovery := packets[index].recovery_frames) is not None and index + recovery < stop
    )
    return PacketRun(
        start=0,
        stop=stop,
        tail=leading_stop(packets, stop),
        headless=True,
        recovered=min(points, default=None),
    )
