"""Pictures in front of the one with which an MP4 begins to be shown. Runs in the decoder child."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from sampler.demux.mp4.track_headers import begins_at
from sampler.demux.source import Read

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream


@dataclass(frozen=True, kw_only=True, slots=True)
class Trim:
    """The pictures of a track that are decoded for others only."""

    begins_ticks: int | None = None
    """Those before are; None: none."""

    @classmethod
    def of(cls, read: Read, track: int, time_base: Fraction) -> "Trim":
        """That of a track of a file without fragments."""
        return cls(begins_ticks=begins_at(read, track, time_base))

    def hides(self, payload: "Packet[VideoStream]") -> bool:
        """True if the picture of a packet is one of them."""
        # By a tick it may be rounded.
        early = self.begins_ticks is not None and payload.pts is not None and payload.pts < self.begins_ticks - 1
        return early or payload.is_discard
