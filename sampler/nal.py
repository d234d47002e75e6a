"""The few bits of H.264 and H.265 slice headers that a plan needs: what kind of picture, and whether others need it.

Only the first `HEAD_BYTES` of a packet are read, and nothing is trusted: where the bits make no sense the answer is
"unknown, and needed by others". Sections are those of ITU-T H.264 and H.265.
"""

from dataclasses import dataclass
from enum import Enum

from sampler.packets import PictureKind

HEAD_BYTES = 2048
"""Access unit delimiters, parameter sets and SEI come before the first slice; x264's banner alone has 700 bytes."""
SLICE_BYTES = 24
"""First bytes of a slice NAL unit that are read for its header."""


class NalCodec(Enum):
    """Codecs whose packets are NAL units."""

    H264 = "h264"
    HEVC = "hevc"


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureHead:
    """What the head of a packet tells."""

    kind: PictureKind = PictureKind.UNKNOWN
    reference: bool = True
    recovery_frames: int | None = None
    """From a recovery point SEI (H.264 D.2.8)."""
    intra_start: bool = False
    """An IDR picture, or with H.265 any IRAP picture: decoding may begin here without a recovery point."""


UNKNOWN = PictureHead()

_H264_KINDS = (
    PictureKind.PREDICTED,
    PictureKind.BIDIRECTIONAL,
    PictureKind.INTRA,
    PictureKind.PREDICTED,
    PictureKind.INTRA,
)
_H264_SLICE, _H264_IDR, _H264_SEI = 1, 5, 6
_SEI_RECOVERY_POINT = 6
_HEVC_IRAP = range(16, 24)
_HEVC_SLICES = range(32)


class Bits:
    """Reads bits from the front of a few bytes; past their end come zeros."""

    def __init__(self, data: bytes) -> None:
        # The start code emulation prevention byte (H.264 7.4.1) is no part of the payload.
        data = data.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        """The next `count` bits, unsigned."""
        self._left -= count
        if self._left < 0:
            return 0
        taken = self._value >> self._left
        self._value &= (1 << self._left) - 1
        return taken

    def golomb(self) -> int:
        """An unsigned Exp-Golomb code (H.264 9.1)."""
        zeros = self._left - self._value.bit_length()
        return self.take(2 * zeros + 1) - 1 if 0 <= zeros < self._left else 0


def read_head(head: bytes, *, codec: NalCodec, length_bytes: int) -> PictureHead:
    """What the first bytes of a packet tell of its picture.

    Args:
        head: up to `HEAD_BYTES` first bytes of the packet.
        codec: whose NAL units they are.
        length_bytes: size of the length in front of each NAL unit (MP4); 0: start codes (MPEG-TS, Annex B).
    """
    recovery: int | None = None
    start = _next_nal(head, 0, length_bytes)
    while start is not None:
        begin, end = start
        if codec is NalCodec.H264:
            unit = head[begin] & 0x1F
            if unit in (_H264_SLICE, _H264_IDR):
                return _h264_slice(head[begin : begin + SLICE_BYTES], recovery)
            if unit == _H264_SEI:
                recovery = _recovery_frames(head[begin + 1 : end], recovery)
        elif head[begin] >> 1 & 0x3F in _HEVC_SLICES:
            return _hevc_slice(head[begin : begin + SLICE_BYTES])
        start = _next_nal(head, end, length_bytes)
    return UNKNOWN


def _next_nal(head: bytes, position: int, length_bytes: int) -> tuple[int, int] | None:
    """[begin, end) of the NAL unit that begins at or after `position`; the end may lie past the head."""
    if length_bytes:
        begin = position + length_bytes
        if begin + 1 >= len(head):
            return None
        return begin, begin + int.from_bytes(head[position:begin], "big")
    code = head.find(b"\x00\x00\x01", position)
    if code < 0 or code + 4 >= len(head):
        return None
    end = head.find(b"\x00\x00\x01", code + 3)
    return code + 3, end if end >= 0 else len(head)


def _h264_slice(unit: bytes, recovery: int | None) -> PictureHead:
    """H.264 7.3.3: first_mb_in_slice, slice_type."""
    bits = Bits(unit[1:])
    bits.golomb()
    return PictureHead(
        kind=_H264_KINDS[bits.golomb() % 5],
        reference=unit[0] & 0x60 != 0,
        recovery_frames=recovery,
        intra_start=unit[0] & 0x1F == _H264_IDR,
    )


def _hevc_slice(unit: bytes) -> PictureHead:
    """H.265 7.4.2.2: the type tells whether pictures of the same temporal sub-layer may refer to this one."""
    kind = unit[0] >> 1 & 0x3F
    sublayer_non_reference = kind < 16 and kind % 2 == 0
    return PictureHead(
        kind=PictureKind.INTRA if kind in _HEVC_IRAP else PictureKind.UNKNOWN,
        reference=not sublayer_non_reference or unit[1] & 7 == 1,
        intra_start=kind in _HEVC_IRAP,
    )


def _recovery_frames(payload: bytes, known: int | None) -> int | None:
    """recovery_frame_cnt of the SEI messages in `payload` (H.264 7.3.2.3.1, D.1.8)."""
    position = 0
    while position + 2 < len(payload):
        kind, size = payload[position], payload[position + 1]
        if 0xFF in (kind, size):
            return known
        if kind == _SEI_RECOVERY_POINT:
            return Bits(payload[position + 2 : position + 2 + size]).golomb()
        position += 2 + size
    return known
