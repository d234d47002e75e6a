"""Parameter sets in containers' configuration records, avcC and hvcC (ISO/IEC 14496-15). Runs in the decoder child."""

from collections.abc import Iterator

AVCC_LENGTH_BYTE, HVCC_LENGTH_BYTE = 4, 21
"""Bytes of avcC and hvcC with the size of NAL unit lengths."""
HVCC_ARRAYS = 22
"""Byte of hvcC with the number of its arrays."""
HVCC_UNITS = 64
"""Units of one array that are read."""


def avcc_units(avcc: bytes) -> list[bytes]:
    """The NAL units in an AVCDecoderConfigurationRecord (5.3.3.1)."""
    units = []
    position = AVCC_LENGTH_BYTE + 1
    for mask in (0x1F, 0xFF):
        count = avcc[position] & mask if position < len(avcc) else 0
        position += 1
        for _ in range(count):
            size = int.from_bytes(avcc[position : position + 2], "big")
            units.append(avcc[position + 2 : position + 2 + size])
            position += 2 + size
    return [unit for unit in units if unit]


def hvcc_units(hvcc: bytes, *, most: int = HVCC_UNITS) -> Iterator[bytes]:
    """The NAL units in an HEVCDecoderConfigurationRecord (8.3.2); `most`: of one array."""
    position = HVCC_ARRAYS + 1
    for _ in range(hvcc[HVCC_ARRAYS] if len(hvcc) > HVCC_ARRAYS else 0):
        count = int.from_bytes(hvcc[position + 1 : position + 3], "big")
        position += 3
        for _ in range(min(count, most)):
            if position >= len(hvcc):
                return
            size = int.from_bytes(hvcc[position : position + 2], "big")
            yield hvcc[position + 2 : position + 2 + size]
            position += 2 + size
