"""Packets that are planned and decoded together. Runs in the decoder child."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from av.packet import Packet
from av.video.stream import VideoStream

from sampler.demux.packets import VideoPacket


@dataclass(kw_only=True, slots=True)
class PacketWindow:
    """Packets that are planned and decoded together: whole GOPs, where there are keyframes to part them."""

    packets: list[VideoPacket] = field(default_factory=list)
    payloads: "list[Packet[VideoStream]]" = field(default_factory=list)
    """As FFmpeg gave them; index for index those of `packets`."""
    size_bytes: int = 0
    next_keyframe_seconds: float | None = None
    """Time of the keyframe that the next window begins with."""
    primer: int = 0
    """So many packets in front are the GOP before the input's first keyframe, or the window's: they are decoded for the
    leading pictures only, and are not shown."""
    sets_known_from: int = 0
    """The packet, by index, up to which it is not known which parameter sets were in force: the first one of a place
    came with it."""
    _leaned_on: int = field(default=0, init=False)
    """So many packets in front are references already, but for the last of them, which a field may have changed."""

    def lean_on_all(self) -> None:
        """Calls all packets so far references. Every other one may ask for it, so none is changed twice."""
        for index in range(max(self._leaned_on - 1, 0), len(self.packets)):
            self.packets[index] = self.packets[index]._replace(reference=True)
        self._leaned_on = len(self.packets)

    def replace(self, packets: Mapping[int, VideoPacket]) -> None:
        """Puts others in the place of packets, by index."""
        for index, packet in packets.items():
            self.packets[index] = packet
