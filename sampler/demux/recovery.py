"""Recovery points of H.264, from SEI messages (ITU-T H.264, D.1.8). Nothing here is trusted."""

SEI_RECOVERY_POINT = 6
LARGEST_MESSAGES = 64
"""SEI messages of one NAL unit that are read."""


def recovery_frames(payload: bytes, known: int | None) -> int | None:
    """recovery_frame_cnt of the SEI messages in `payload` (H.264 7.3.2.3.1, D.1.8)."""
    position = 0
    for _ in range(LARGEST_MESSAGES):
        if position + 2 >= len(payload):
            return known
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
