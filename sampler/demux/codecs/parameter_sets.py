"""The parameter sets in force in front of each packet, and at the end of an input. Runs in the decoder child.

Packets that are not decoded may have changed them: whoever begins at a keyframe behind those needs them. FFmpeg's HLS
muxer writes those of a stream of open GOPs, or of intra refresh, into the first MPEG-TS segment alone. Whoever plays on
from there has them; so must whoever decodes a later segment.
"""

from collections.abc import Callable, Mapping

from sampler.demux.codecs.bits import Bits, HeaderError
from sampler.demux.codecs.hevc_sets import read_sps_head

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
    """The latest unit of each parameter set of one stream, whose units it is given in order, packet by packet."""

    def __init__(self, identify: Callable[[bytes], tuple[int, int]]) -> None:
        """`identify`: `h264_set` or `hevc_set`."""
        self._identify = identify
        # In the order in which they came last: what one refers to is what was there when it came, as in FFmpeg.
        self._kept: dict[tuple[int, int], bytes] = {}
        self._before: dict[tuple[int, int], bytes] | None = None
        self._early: dict[tuple[int, int], bytes] = {}
        self.changes = self.changes_before = 0
        """Units that were new so far, and before the latest packet."""
        self.known = self.known_before = True
        """False once a unit may have been missed, or did not make sense; so far, and before the latest packet."""
        self._came: set[tuple[int, int]] = set()
        self.is_first = self.is_first_late = False
        """The latest packet brought a set that none before it did; and behind its picture."""

    def begin_stream(self) -> None:
        """Tells what packets bring from what was given before them."""
        self._came, self.is_first, self.is_first_late = set(), False, False

    def begin_packet(self) -> None:
        """Tells what follows from what came before."""
        self.is_first = self.is_first_late = False
        self._before, self.changes_before, self.known_before = None, self.changes, self.known
        self._early.clear()

    def learn(self, unit: bytes, *, early: bool) -> None:
        """Takes a parameter set, as it is in a packet; `early`: before the packet's picture, which may use it."""
        unit = unit.rstrip(b"\x00")
        if not self.known or not unit:
            return
        try:
            place = self._identify(unit)
        except HeaderError:
            self.known = False
            return
        if early:
            self._early[place] = unit
        if place not in self._came:
            self._came.add(place)
            self.is_first, self.is_first_late = True, self.is_first_late or not early
        if self._before is None:
            self._before = self._kept.copy()
        is_new = self._kept.pop(place, None) != unit
        self._kept[place] = unit
        if is_new:
            self.changes += 1
            self.known = self.changes <= MOST_CHANGES and self._size_bytes(self._kept) <= MOST_BYTES

    def lacking(self) -> list[bytes]:
        """Those in force before the latest packet, in the order in which they came; none, if it repeats all of them in
        front of its picture."""
        before = self._kept if self._before is None else self._before
        return [] if before.items() <= self._early.items() else [*before.values()]

    def annex_b(self) -> bytes:
        """All with start codes; b"": there are none, or they are not known."""
        return b"".join(START_CODE + unit for unit in self._kept.values()) if self.known else b""

    @staticmethod
    def _size_bytes(units: Mapping[tuple[int, int], bytes]) -> int:
        return sum(map(len, units.values())) + len(units) * len(START_CODE)


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
