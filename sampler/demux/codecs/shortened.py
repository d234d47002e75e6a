"""Packets with a part of one slice, to be decoded alone. Runs in the decoder child."""

from typing import NamedTuple

from sampler.demux.codecs.configuration import AVCC_LENGTH_BYTE, HVCC_LENGTH_BYTE
from sampler.demux.codecs.nal import H264_PICTURE, HEVC_SLICES, PADDING
from sampler.demux.codecs.parameter_sets import H264_PPS, H264_SPS, HEVC_PPS, HEVC_SPS, HEVC_VPS, START_CODE
from sampler.demux.codecs.units import FORBIDDEN_BIT

LARGEST_SLICES = 64
"""Slices of one packet that one is chosen of."""
LEFT_OUT = 3
"""Bytes, so few that what both parts lack is the same but for a slice that ended by chance."""
H264_SETS, HEVC_SETS = frozenset([H264_SPS, H264_PPS]), frozenset([HEVC_VPS, HEVC_SPS, HEVC_PPS])


class Shortened(NamedTuple):
    """Packets of one slice; what a decoder of H.265 needs before it is in all of them."""

    whole: bytes
    part: bytes
    shorter: bytes
    """A part that is shorter by `LEFT_OUT`."""


class Shortener:
    """Takes the packets of one stream apart."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        """`codec` as FFmpeg calls it; `extradata` is the container's, and says how units are parted."""
        self._is_h264 = codec == "h264"
        offset = AVCC_LENGTH_BYTE if self._is_h264 else HVCC_LENGTH_BYTE
        self._length_bytes = (extradata[offset] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > offset else 0

    def shorten(self, packet: bytes, *, share: float, place: float) -> Shortened | None:
        """One slice of a packet, alone; None: it has none.

        Args:
            packet: all of it.
            share: of the slice's bytes that are left in the part.
            place: from 0 to (<) 1, which slice: that to which so much of all their bytes comes.
        """
        sets: list[bytes] = []
        slices: list[bytes] = []
        for unit in self._units(packet):
            # Of other layers, or without a temporal one: no part of the picture.
            if not self._is_h264 and (unit[0] & 1 or unit[1] >> 3 or not unit[1] & 7):
                continue
            kind = unit[0] & 0x1F if self._is_h264 else unit[0] >> 1
            if kind in (H264_PICTURE if self._is_h264 else HEVC_SLICES):
                slices.append(unit.rstrip(PADDING))
            elif kind in (H264_SETS if self._is_h264 else HEVC_SETS) and not slices:
                sets.append(unit)
        left = place * sum(map(len, slices))
        for number, chosen in enumerate(slices):
            left -= len(chosen)
            if left < 0:
                # A decoder of H.265 begins with a picture's first slice.
                before = [*sets, *(slices[:number] if not self._is_h264 else ())]
                size = round(share * len(chosen))
                parts = chosen, chosen[: max(size, 1)], chosen[: max(size - LEFT_OUT, 1)]
                return Shortened(*(self._joined([*before, part]) for part in parts))
        return None

    def _units(self, packet: bytes) -> list[bytes]:
        if not self._length_bytes:
            units = packet.split(START_CODE, LARGEST_SLICES)[1:]
        else:
            units, end = [], 0
            while len(units) < LARGEST_SLICES and end + self._length_bytes < len(packet):
                begin = end + self._length_bytes
                end = begin + int.from_bytes(packet[end:begin], "big")
                units.append(packet[begin:end])
        return [unit for unit in units if len(unit) > 2 and not unit[0] & FORBIDDEN_BIT]

    def _joined(self, units: list[bytes]) -> bytes:
        size = self._length_bytes
        return b"".join((len(unit).to_bytes(size, "big") if size else START_CODE) + unit for unit in units)
