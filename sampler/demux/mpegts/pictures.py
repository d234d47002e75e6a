"""Units and pictures in the bytes of a video of an MPEG-TS, as FFmpeg's parsers tell them apart. Runs in the decoder
child."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sampler.demux.codecs.nal import FIRST_BLOCK, HEVC_SLICES
from sampler.demux.codecs.parameter_sets import START_CODE
from sampler.demux.mpegts.headers import Numbers, among

H264_TYPE, HEVC_TYPE = 0x1B, 0x24
"""stream_type (H.222.0, table 2-34). A descriptor may call others by this codec, too."""
H264_KIND: Final = 0x1F
"""Bits of a unit's first byte."""
H264_BEGINNINGS: Final = (1, 2, 5)
"""Kinds of slices of H.264 by which pictures are told apart."""
_IS_HEVC_SLICE: Final = np.array([octet >> 1 in HEVC_SLICES and not octet & 1 for octet in range(256)])
"""By a unit's first byte."""


class VideoUnits:
    """The units in the bytes of a video."""

    def __init__(self, payload: bytes) -> None:
        self.octets: NDArray[np.uint8] = np.frombuffer(payload + b"\0\0", np.uint8)
        octets = self.octets
        places = np.flatnonzero((octets[:-4] == 0) & (octets[1:-3] == 0) & (octets[2:-2] == 1)) + len(START_CODE)
        self.places: Numbers = places[places + 2 < len(octets)]
        """Those of their first bytes."""

    def __len__(self) -> int:
        return len(self.places)

    def beginnings(self, kind: int) -> Numbers:
        """Numbers of the units with which pictures begin in H.264 or H.265, whatever came before."""
        first, second, third = (self.octets[self.places + place] for place in range(3))
        if kind == HEVC_TYPE:
            is_beginning = (third & FIRST_BLOCK > 0) & (second >> 3 == 0) & _IS_HEVC_SLICE[first]
        else:
            is_beginning = (second & FIRST_BLOCK > 0) & among(first & H264_KIND, H264_BEGINNINGS)
        return np.flatnonzero(is_beginning)
