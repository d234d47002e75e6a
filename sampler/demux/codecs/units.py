"""NAL units of packets, as FFmpeg parts them (ISO/IEC 14496-15, 5.3.4.2; H.264, annex B). Runs in the decoder child."""

from collections.abc import Callable

from sampler.demux.codecs.parameter_sets import START_CODE
from sampler.demux.codecs.set_cost import SetUnits

FORBIDDEN_BIT = 0x80
"""Set in the first byte of units that decoders skip (H.264 7.4.1, H.265 7.4.2.2)."""
LARGEST_UNITS = 512
"""NAL units of one packet that are read: slices cut to fit into network packets are under 200 in a keyframe."""
UNITS_A_PICTURE = 48
"""The same in the mean of all packets so far, so that a segment of nothing but tiny units costs under a second."""
MOST_COUNTED_UNITS = 1_000
"""NAL units of one packet beyond those that are read that are counted."""
MOST_PARTED_UNITS = 200_000
"""The same of all packets that are parted to find parameter sets, where they have no start codes: 50 ms."""
LEAST_SET_BYTES = 3
"""Bytes of the smallest parameter set."""


class Units:
    """Parts the packets of one stream, in order."""

    def __init__(self, length_bytes: int, is_read: Callable[[bytes], bool], sets: SetUnits) -> None:
        """Parts nothing yet.

        Args:
            length_bytes: bytes of the length in front of each unit; 0: they have start codes.
            is_read: True of units that decoders do not skip.
            sets: signs of parameter sets that count.
        """
        self.length_bytes = length_bytes
        self._is_read = is_read
        self._sets = sets
        self._parted_left = MOST_PARTED_UNITS
        self._left = LARGEST_UNITS
        self.unread = 0
        """Units of the last packet that were not read, up to about `MOST_COUNTED_UNITS`."""
        self.unread_sets = 0
        """Parameter sets that count among all that were not read (<=)."""
        self.nested = False
        """A unit with a length in front had a start code in it, and a unit that counts after that: some players read
        that one, and others, who go by lengths alone, do not. No encoder writes a start code there (7.4.1)."""

    def begin_packet(self) -> None:
        """Allows for the units of one more packet."""
        self._left = min(self._left + UNITS_A_PICTURE, LARGEST_UNITS)

    def of(self, packet: bytes) -> list[bytes]:
        """The NAL units that decoders read; one of Annex B may have a byte of the next start code at its end."""
        self.unread = self.unread_sets = 0
        if self.length_bytes:
            units = self._measured(packet)
        else:
            units = packet.split(START_CODE, self._left)[1:]
            if len(units) == self._left:
                self.unread = units[-1].count(START_CODE)
                self.unread_sets = len(self._sets.pattern.findall(units[-1]))
        self._left -= len(units)
        return [unit for unit in units if len(unit) > 1 and not unit[0] & FORBIDDEN_BIT]

    def _measured(self, packet: bytes) -> list[bytes]:
        """Each has its length in front."""
        units: list[bytes] = []
        end, size = 0, self.length_bytes
        is_nested = START_CODE in packet
        while len(units) < self._left:
            begin = end + size
            if begin + 1 >= len(packet):
                break
            end = begin + int.from_bytes(packet[begin - size : begin], "big")
            units.append(packet[begin:end])
            if is_nested and START_CODE in units[-1]:
                first, *others = units.pop().split(START_CODE, self._left - len(units))
                units += [first, *others]
                self.nested |= any(len(unit) > 1 and self._is_read(unit) for unit in others)
        while (begin := end + size) + 1 < len(packet):
            self.unread += self.unread < MOST_COUNTED_UNITS
            if not self._parted_left:
                self.unread_sets += (len(packet) - end) // (size + LEAST_SET_BYTES)
                break
            self._parted_left -= 1
            self.unread_sets += packet[begin] in self._sets.heads
            end = begin + int.from_bytes(packet[begin - size : begin], "big")
        return units
