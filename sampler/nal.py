"""The few bits of H.264 and H.265 that a plan needs: whether other pictures lean on this one, recovery points, QP.

Only the head of a packet is read, and nothing is trusted: where the bits make no sense the answer is "needed by
others". Sections are those of ITU-T H.264 and H.265.
"""

from dataclasses import dataclass
from enum import Enum

from sampler.h264 import PPS, SLICE_HEAD_BYTES, SPS, QuantiserReader, slice_kind

HEAD_BYTES = 256
"""Access unit delimiters and SEI come before the first slice; where they are longer, nothing is told."""
KEY_HEAD_BYTES = 2048
"""Keyframes have parameter sets as well, and the first one x264's banner of 700 bytes; x265's is longer than this, so
then all of the packet is read."""
START_CODE = b"\x00\x00\x01"
H264_SLICE, H264_IDR, H264_SEI = 1, 5, 6
SEI_RECOVERY_POINT = 6
HEVC_SPS = 33
HEVC_SLICES = range(32)
HEVC_IRAP = range(16, 24)
"""BLA, IDR and CRA pictures, and reserved ones (H.265, table 7-1)."""
HEVC_SUBLAYER_NON_REFERENCE = range(0, 16, 2)
"""TRAIL_N, TSA_N, STSA_N, RADL_N, RASL_N and reserved (H.265, table 7-1)."""
AVCC_LENGTH_BYTE, HVCC_LENGTH_BYTE = 4, 21
"""Where avcC and hvcC tell the size of NAL unit lengths (ISO/IEC 14496-15)."""


class NalCodec(Enum):
    """Codecs whose packets are NAL units."""

    H264 = "h264"
    HEVC = "hevc"


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureHead:
    """What the head of a packet tells."""

    reference: bool = True
    """Whether other pictures may be predicted from this one."""
    recovery_frames: int | None = None
    """Of a recovery point SEI (H.264 D.2.8): so many pictures later all is right."""
    quantiser: int | None = None
    """QP that the first slice begins with; H.264 only."""
    begins: bool = False
    """Whether decoding may begin here, by the picture's own coding: all of it is intra."""


UNKNOWN = PictureHead()


class NalReader:
    """Reads the heads of the packets of one stream, in order."""

    def __init__(self, codec: NalCodec, extradata: bytes) -> None:
        """`extradata` is the container's: avcC or hvcC in MP4, start codes or nothing in MPEG-TS."""
        self._codec = codec
        self._length_bytes = 0
        self._sublayers: int | None = None
        self._quantisers = QuantiserReader()
        place = AVCC_LENGTH_BYTE if codec is NalCodec.H264 else HVCC_LENGTH_BYTE
        if extradata[:1] == b"\x01" and len(extradata) > place:
            self._length_bytes = (extradata[place] & 3) + 1
            if codec is NalCodec.HEVC:
                self._sublayers = extradata[place] >> 3 & 7
            else:
                for unit in _avcc_units(extradata):
                    self._quantisers.learn(unit)

    @property
    def picture_pixels(self) -> int:
        """Size of the pictures, as far as H.264 parameter sets have told it: of the largest. Else 0."""
        return self._quantisers.picture_pixels

    def read(self, packet: memoryview, *, flagged: bool) -> PictureHead:
        """What a packet tells of its picture.

        Args:
            packet: all of it; only its first bytes are read, unless it may be a keyframe.
            flagged: whether the container calls it a keyframe. That alone is not believed: a broadcaster who flags
                predicted pictures would have us begin at them and see garbage, while players go on from before.
        """
        for size in (KEY_HEAD_BYTES, len(packet)) if flagged else (HEAD_BYTES,):
            head = self._read(packet, size, flagged=flagged)
            if head is not None:
                return head
        return UNKNOWN

    def _read(self, packet: memoryview, size: int, *, flagged: bool) -> PictureHead | None:
        """As `read`, of the first `size` bytes; None: the first slice lies further on."""
        head = bytes(packet[:size])
        recovery = None
        position = 0
        while (unit := self._next_unit(head, position)) is not None:
            begin, position = unit
            if self._codec is NalCodec.HEVC:
                kind = head[begin] >> 1 & 0x3F
                if kind in HEVC_SLICES:
                    leaf = kind in HEVC_SUBLAYER_NON_REFERENCE and head[begin + 1] & 7 == self._sublayers
                    return PictureHead(reference=not leaf, begins=kind in HEVC_IRAP)
                if kind == HEVC_SPS and begin + 2 < len(head):
                    self._sublayers = (head[begin + 2] >> 1 & 7) + 1
                continue
            kind = head[begin] & 0x1F
            if kind in (H264_SLICE, H264_IDR):
                return PictureHead(
                    reference=head[begin] & 0x60 != 0,
                    recovery_frames=recovery if kind == H264_SLICE else None,
                    quantiser=self._quantisers.read(head[begin : begin + SLICE_HEAD_BYTES]),
                    begins=kind == H264_IDR or (flagged and not recovery and self._is_intra(bytes(packet))),
                )
            if kind in (SPS, PPS):
                self._quantisers.learn(head[begin:position])
            if kind == H264_SEI:
                recovery = _recovery_frames(head[begin + 1 : position], recovery)
        return None

    def _is_intra(self, packet: bytes) -> bool:
        """Whether all slices of an H.264 picture are intra."""
        position = 0
        while (unit := self._next_unit(packet, position)) is not None:
            begin, position = unit
            if packet[begin] & 0x1F == H264_SLICE and slice_kind(packet[begin : begin + SLICE_HEAD_BYTES]) != "I":
                return False
        return True

    def _next_unit(self, head: bytes, position: int) -> tuple[int, int] | None:
        """[begin, end) of the NAL unit that begins at or after `position`; its end may lie past the head."""
        if self._length_bytes:
            begin = position + self._length_bytes
            end = begin + int.from_bytes(head[position:begin], "big")
        else:
            code = head.find(START_CODE, position)
            begin = code + len(START_CODE) if code >= 0 else len(head)
            end = head.find(START_CODE, begin)
            end = end if end >= 0 else len(head)
        return (begin, end) if begin + 1 < len(head) else None


def _avcc_units(extradata: bytes) -> list[bytes]:
    """The parameter sets in an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1)."""
    units = []
    position = AVCC_LENGTH_BYTE + 1
    for mask in (0x1F, 0xFF):
        count = extradata[position] & mask if position < len(extradata) else 0
        position += 1
        for _ in range(count):
            size = int.from_bytes(extradata[position : position + 2], "big")
            units.append(extradata[position + 2 : position + 2 + size])
            position += 2 + size
    return [unit for unit in units if unit]


def _recovery_frames(payload: bytes, known: int | None) -> int | None:
    """recovery_frame_cnt of the SEI messages in `payload` (H.264 7.3.2.3.1, D.1.8)."""
    position = 0
    while position + 2 < len(payload):
        kind, size = payload[position], payload[position + 1]
        if 0xFF in (kind, size):
            return known
        if kind == SEI_RECOVERY_POINT:
            return _golomb(payload[position + 2 : position + 2 + size])
        position += 2 + size
    return known


def _golomb(data: bytes) -> int:
    """The unsigned Exp-Golomb code (H.264 9.1) that `data` begins with; 0 if it is cut off."""
    bits = len(data) * 8
    value = int.from_bytes(data, "big")
    zeros = bits - value.bit_length()
    length = 2 * zeros + 1
    return (value >> (bits - length)) - 1 if length <= bits else 0
