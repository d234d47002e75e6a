"""Beginnings of an input's streams: for how long others have been going on when one's first picture comes. Runs in the
decoder child."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from av.stream import Discard

from sampler.demux.timeline import JUMP_SECONDS

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

LATE_VIDEO_SECONDS = 0.5
"""Sound or another video may begin so long before the pictures: packagers cut the one where they cut the other,
roughly."""

EARLY_PACKETS = 1_000
"""So many packets of another stream are read before the pictures: of sound 20 s, where all begin together."""


@dataclass(kw_only=True, slots=True)
class Beginning:
    """The first packet of a video track, and the earliest of other streams before it, in seconds of the container."""

    packet: "Packet[VideoStream] | None" = None
    """None: the track has none."""
    earliest: float | None = None
    """Time of any other stream's; None: there is none."""
    earliest_video: float | None = None
    """Time of those of other videos that are sampled; None: there is none."""

    def behind_video(self, first_seconds: float) -> float:
        """Time for which another video has been shown at the track's first picture, if over `LATE_VIDEO_SECONDS`, and
        else 0: in the file's order less tells nothing. Nor does a clock that is further away than a step of it."""
        behind = 0.0 if self.earliest_video is None else first_seconds - self.earliest_video
        return behind if LATE_VIDEO_SECONDS < behind <= JUMP_SECONDS else 0.0

    def behind_all(self, first_seconds: float) -> float:
        """Time for which any other stream has been going on at the track's first picture, if that is decoded over
        `LATE_VIDEO_SECONDS` after it begins, and else 0: muxers put sound beside the picture that is decoded then, and
        slow cameras reorder pictures by seconds."""
        decoded = None if self.packet is None else _decoding_seconds(self.packet)
        if self.earliest is None or decoded is None or decoded - self.earliest <= LATE_VIDEO_SECONDS:
            return 0.0
        return min(max(first_seconds - self.earliest, 0.0), JUMP_SECONDS)


def read_beginning(packets: "Iterable[Packet[Stream]]", index: int, videos: Collection[int]) -> Beginning:
    """Reads an input up to the first packet of a video track.

    Args:
        packets: all of the input, from its beginning.
        index: of the track's stream.
        videos: indices of the streams of all videos that are sampled.
    """
    found = Beginning()
    read: Counter[int] = Counter()
    for packet in packets:
        if packet.stream_index == index:
            found.packet = cast("Packet[VideoStream]", packet)
            break
        read[packet.stream_index] += 1
        if read[packet.stream_index] == EARLY_PACKETS:
            packet.stream.discard = Discard.all
        if (seconds := _seconds(packet)) is not None:
            found.earliest = _earlier(found.earliest, seconds)
            if packet.stream_index in videos:
                found.earliest_video = _earlier(found.earliest_video, seconds)
    return found


def leave_out_others(streams: "Iterable[Stream]", kept: "Stream") -> None:
    """Has FFmpeg pass over all streams but one, whose packets may be anywhere in an MP4: it goes there for each, and
    reads `open_input.READ_BYTES`. A million packets of sound, of a byte each, took 20 s."""
    for stream in streams:
        if stream.index != kept.index:
            stream.discard = Discard.all


def _seconds(packet: "Packet[Any]") -> float | None:
    return None if packet.pts is None else float(packet.pts * packet.time_base)


def _decoding_seconds(packet: "Packet[VideoStream]") -> float | None:
    return _seconds(packet) if packet.dts is None else float(packet.dts * packet.time_base)


def _earlier(known: float | None, seconds: float) -> float:
    return seconds if known is None else min(known, seconds)
