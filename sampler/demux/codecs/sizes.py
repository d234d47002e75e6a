"""Sizes of pictures, read from the heads of coded pictures before anything is decoded.

A container may claim another size than its stream, MPEG-TS has none, and the stream may change its size. The decoder
refuses pictures that are far too large, with an error that looks like damage. Runs in the decoder child. Nothing here
is trusted: a head that makes no sense gives 0, and every loop ends.
"""

from collections.abc import Callable, Iterator

from sampler.demux.codecs import av1, vp9
from sampler.demux.codecs.av1_sizes import Av1Sizes
from sampler.demux.codecs.bits import Bits, HeaderError
from sampler.demux.codecs.configuration import HVCC_LENGTH_BYTE, hvcc_units
from sampler.demux.codecs.hevc_sets import read_sps_head
from sampler.limits import ROOM

HEVC_SPS = 33
UNITS = 64
"""NAL units of one packet that are read: parameter sets come before the slices."""
HEAD_BYTES = 512
"""As much of each is read."""
HEVC_CHROMA_SHIFTS = {0: (0, 0), 1: (1, 1), 2: (1, 0), 3: (0, 0)}
"""By chroma_format_idc: log2 of SubWidthC and SubHeightC (H.265, table 6-1)."""
MPEG2_SEQUENCE = b"\x00\x00\x01\xb3"


def announced_pixels(codec: str, packet: bytes, extradata: bytes = b"") -> int:
    """Pixels of the largest picture that a keyframe's packet announces; 0: unknown.

    Where the decoder works on more than is shown, 1 / `ROOM` of that counts, if it is more.

    Args:
        codec: name of the decoder.
        packet: all of it, or `extradata` itself.
        extradata: the container's parameters, with the layout of packets.
    """
    read = READERS.get(codec)
    if read is None:
        return 0
    try:
        return max(read(packet, extradata), default=0)
    except HeaderError:
        return 0


def _hevc(packet: bytes, extradata: bytes) -> Iterator[int]:
    """H.265, 7.3.2.2 and 7.3.3."""
    hvcc = packet is extradata and packet[:1] == b"\x01"
    for unit in hvcc_units(packet) if hvcc else _units(packet, extradata):
        if len(unit) < 3 or unit[0] >> 1 & 0x3F != HEVC_SPS:
            continue
        head = read_sps_head(Bits(unit[2:HEAD_BYTES]))
        left, right, top, bottom = head.window
        across, down = HEVC_CHROMA_SHIFTS.get(head.chroma, (0, 0))
        shown = max(head.width - (left + right << across), 0) * max(head.height - (top + bottom << down), 0)
        yield max(shown, head.width * head.height // ROOM)


def _units(packet: bytes, extradata: bytes) -> Iterator[bytes]:
    """The first NAL units, each from its header on."""
    length_bytes = position = 0
    if extradata[:1] == b"\x01" and len(extradata) > HVCC_LENGTH_BYTE:
        length_bytes = (extradata[HVCC_LENGTH_BYTE] & 3) + 1
    for _ in range(UNITS):
        if length_bytes:
            size = int.from_bytes(packet[position : position + length_bytes], "big")
            begin, position = position + length_bytes, position + length_bytes + size
        else:
            begin = packet.find(b"\x00\x00\x01", position) + 3
            size, position = HEAD_BYTES, begin
            if begin < 3:
                return
        yield packet[begin : begin + min(size, HEAD_BYTES)]
        if position >= len(packet):
            return


def _vp9(packet: bytes, _extradata: bytes) -> Iterator[int]:
    return vp9.sizes_in(packet)


def _mpeg2(packet: bytes, _extradata: bytes) -> Iterator[int]:
    """ISO/IEC 13818-2, 6.2.2.1."""
    start = packet.find(MPEG2_SEQUENCE, 0, HEAD_BYTES)
    if start >= 0:
        bits = Bits(packet[start + len(MPEG2_SEQUENCE) :][:HEAD_BYTES], escaped=False)
        yield bits.take(12) * bits.take(12)


ANYWHERE = vp9.DECODERS | av1.DECODERS
"""Decoders of codecs of which any picture may be of another size."""
READERS: dict[str, Callable[[bytes, bytes], Iterator[int]]] = {
    "hevc": _hevc,
    **dict.fromkeys(vp9.DECODERS, _vp9),
    "mpeg2video": _mpeg2,
}
"""By decoder. H.264's parameter sets are read where its packets are (sampler/demux/codecs/nal.py), and of AV1 no packet
tells by itself."""


class AnnouncedSizes:
    """Sizes that the packets of one stream announce, read in order."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        """Takes the decoder's name and the container's parameters."""
        self._codec, self._extradata = codec, extradata
        self._av1 = Av1Sizes(extradata) if codec in av1.DECODERS else None

    @property
    def leaves_out(self) -> bool:
        """True if pictures came that are in no layer which decoders are to show, as `Av1Sizes.leaves_out`."""
        return self._av1 is not None and self._av1.leaves_out

    def largest(self, packet: bytes) -> int:
        """Pixels of the largest picture that the next packet announces, as `announced_pixels`."""
        if self._av1 is not None:
            return self._av1.largest(packet)
        return announced_pixels(self._codec, packet, self._extradata)
