"""The parameter sets in force at the end of an input, for the segment after it. Runs in the decoder child.

FFmpeg's HLS muxer writes those of a stream of open GOPs, or of intra refresh, into the first MPEG-TS segment alone.
Whoever plays on from there has them; so must whoever decodes a later segment.
"""

from collections.abc import Callable

from sampler.demux.bits import Bits, HeaderError
from sampler.demux.hevc import read_sps_head

START_CODE = b"\x00\x00\x01"
MOST_BYTES = 4096
"""Bytes of all of them, start codes included, <=. Those of encoders are 40 to 300."""
MOST_CHANGES = 256
"""Units that change one, <=: encoders repeat the same."""
HEAD_BYTES = 256
"""As much of each is read for its identifier, which is within the first 110 bytes."""
H264_SPS, H264_PPS = 7, 8
HEVC_VPS, HEVC_SPS, HEVC_PPS = 32, 33, 34


class ParameterSets:
    """The latest unit of each parameter set of one stream, whose units it is given in order."""

    def __init__(self, identify: Callable[[bytes], tuple[int, int]]) -> None:
        """`identify`: `h264_set` or `hevc_set`."""
        self._identify = identify
        self._kept: dict[tuple[int, int], bytes] = {}
        self.changes = 0
        """Units so far that were new."""
        self.known = True
        """False once a unit may have been missed, or did not make sense."""

    def learn(self, unit: bytes) -> None:
        """Takes a parameter set, as it is in a packet."""
        unit = unit.rstrip(b"\x00")
        if not self.known or not unit:
            return
        try:
            place = self._identify(unit)
        except HeaderError:
            self.known = False
            return
        if self._kept.get(place) != unit:
            self._kept[place] = unit
            self.changes += 1
            self.known = self.changes <= MOST_CHANGES

    def units(self) -> list[bytes]:
        """All, those in front that others refer to; none where they are not known."""
        found = [self._kept[place] for place in sorted(self._kept)] if self.known else []
        return found if sum(map(len, found)) + len(found) * len(START_CODE) <= MOST_BYTES else []

    def annex_b(self) -> bytes:
        """All with start codes; b"": there are none, or they are not known."""
        return b"".join(START_CODE + unit for unit in self.units())


def h264_set(unit: bytes) -> tuple[int, int]:
    """Type and identifier of an SPS or PPS (H.264, 7.3.2.1.1 and 7.3.2.2).

    Raises:
        HeaderError: it ends before that.
    """
    bits = Bits(unit[1:HEAD_BYTES])
    kind = unit[0] & 0x1F
    bits.take(24 if kind == H264_SPS else 0)
    return kind, bits.ue()


def hevc_set(unit: bytes) -> tuple[int, int]:
    """Type and identifier of a VPS, SPS or PPS (H.265, 7.3.2.1 to 7.3.2.3).

    Raises:
        HeaderError: it ends before that.
    """
    bits = Bits(unit[2:HEAD_BYTES])
    kind = unit[0] >> 1
    if kind == HEVC_SPS:
        return kind, read_sps_head(bits).identifier
    return kind, bits.take(4) if kind == HEVC_VPS else bits.ue()
