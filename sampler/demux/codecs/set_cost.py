"""The CPU that FFmpeg takes to read parameter sets, whether pictures use them or not. Runs in the decoder child.

It reads each one in front of a picture where it parts an MPEG-TS by pictures, and again where the packet is decoded. Of
H.265 it spreads each new PPS over all blocks of a picture: at 8K that takes up to a millisecond, for six bytes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Self

from sampler.demux.codecs.bits import Bits, HeaderError
from sampler.demux.codecs.hevc_sets import read_sps_head
from sampler.demux.codecs.parameter_sets import (
    H264_PPS,
    H264_SPS,
    HEAD_BYTES,
    HEVC_PPS,
    HEVC_SPS,
    HEVC_VPS,
    START_CODE,
    h264_set,
    hevc_set,
)
from sampler.errors import TooLargeError
from sampler.limits import Limits

HEVC_KINDS: Final = (HEVC_VPS, HEVC_SPS, HEVC_PPS)
MOST_SECONDS: Final = 0.09
"""CPU for those of a segment (<=), a talking head's of six seconds: as many pictures as a segment may have, each with
those of H.264, take 0.08 s."""
NEW_SECONDS: Final = 4e-6
"""For one that differs from the last with its identifier, here and below without decoding, which may read it again
(FFmpeg 7.1, 2026-12-02)."""
AGAIN_SECONDS: Final = {"h264": {H264_PPS: 4e-6}, "hevc": dict.fromkeys(HEVC_KINDS, 1e-6)}
"""For one that does not, by kind, where that counts: FFmpeg reads a PPS of H.264 all the same."""
HEVC_PIXEL_SECONDS: Final = 3.5e-11
"""For each pixel of the SPS that a PPS leans on besides, decoding included, which takes as long: with coding blocks of
16, of which 1.2 ms are that of 8K; with those of 64 a quarter."""
UNKNOWN_PIXELS: Final = 1 << 28
"""Pixels of an SPS that makes no sense here (<=): FFmpeg accepts none of more."""
HIGHEST: Final = {"h264": 255, "hevc": 63}
"""Highest identifier of a PPS (H.264 7.4.2.2, H.265 7.4.3.3.1); those of others are lower."""


class SetUnits(NamedTuple):
    """Signs of parameter sets in bytes that are not parted into units."""

    heads: frozenset[int]
    """Their first bytes."""
    pattern: re.Pattern[bytes]
    """Start codes in front of them."""

    @classmethod
    def of(cls, heads: Iterable[int], second: bytes = b"") -> Self:
        """Those with such first bytes, and such a second one."""
        known = frozenset(heads)
        return cls(known, re.compile(START_CODE + b"[" + re.escape(bytes(sorted(known))) + b"]" + second, re.DOTALL))


def _h264_heads(*kinds: int) -> Iterator[int]:
    """FFmpeg reads some that have the forbidden bit."""
    return (marks | kind for marks in range(0, 256, 32) for kind in kinds)


PARSED_SETS: Final = {
    "h264": SetUnits.of(_h264_heads(H264_SPS, H264_PPS)),
    "hevc": SetUnits.of((kind << 1 for kind in HEVC_KINDS), b"[\x01-\x07]"),
}
"""Those that FFmpeg reads before it decodes, by codec. Slices of the other one look like them by mistake only."""
DECODED_SETS: Final = {
    "h264": SetUnits.of(_h264_heads(H264_PPS)),
    "hevc": SetUnits.of(kind << 1 | layer for kind in HEVC_KINDS for layer in (0, 1)),
}
"""Those that take a decoder long: of H.265 those of other layers than the base one too."""


def set_share(limits: Limits) -> float:
    """Multiple of what a segment may have that an input may have, as it may have more pictures."""
    return limits.frames / Limits().frames


class SetCost:
    """The cost of one stream's parameter sets so far."""

    def __init__(self, codec: str, share: float = 1.0) -> None:
        """`codec`: "h264" or "hevc"; `share`: of `MOST_SECONDS`, which they may cost."""
        self._identify = h264_set if codec == "h264" else hevc_set
        self._again, self._highest = AGAIN_SECONDS[codec], HIGHEST[codec]
        self._latest: dict[tuple[int, int], bytes] = {}
        self._places: dict[bytes, tuple[int, int]] = {}
        """The same the other way round."""
        self._largest_pixels = 0
        self._left_seconds = share * MOST_SECONDS

    def add(self, unit: bytes) -> None:
        """Counts a parameter set, with its head.

        Raises:
            TooLargeError: all of them cost too much.
        """
        unit = unit.rstrip(b"\x00")
        if (place := self._places.get(unit)) is not None:
            self._spend(self._again.get(place[0], 0.0))
        elif unit:
            self._spend(NEW_SECONDS + self._learn(unit))

    def add_unread(self, count: int) -> None:
        """Counts so many that were not read, each as a PPS that differs from all others.

        Raises:
            TooLargeError: as `add`.
        """
        self._spend(count * (NEW_SECONDS + HEVC_PIXEL_SECONDS * self._largest_pixels))

    def _spend(self, seconds: float) -> None:
        self._left_seconds -= seconds
        if self._left_seconds < 0:
            raise TooLargeError("the video has more parameter sets than pictures need")

    def _learn(self, unit: bytes) -> float:
        """Keeps one that is new, and gives what it costs by its size."""
        try:
            kind, identifier = place = self._identify(unit)
            size = read_sps_head(Bits(unit[2:HEAD_BYTES])) if kind == HEVC_SPS else None
        except HeaderError:
            if unit[0] >> 1 == HEVC_SPS:
                self._largest_pixels = UNKNOWN_PIXELS
            return 0.0
        if identifier > self._highest:
            return 0.0
        if kind in (HEVC_VPS, HEVC_SPS):
            # FFmpeg drops what leans on it, and reads that anew.
            for other in [other for other in self._latest if other[0] == HEVC_PPS]:
                del self._places[self._latest.pop(other)]
        if place in self._latest:
            del self._places[self._latest[place]]
        self._latest[place], self._places[unit] = unit, place
        if size is not None:
            self._largest_pixels = max(self._largest_pixels, size.width * size.height)
        return HEVC_PIXEL_SECONDS * self._largest_pixels if kind == HEVC_PPS else 0.0
