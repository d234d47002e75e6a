"""Recovery points of H.264, from SEI messages (ITU-T H.264, D.1.8). Nothing here is trusted."""

SEI_RECOVERY_POINT = 6
LARGEST_MESSAGES = 64
"""SEI messages of one NAL unit that are read."""
HIGHEST_COUNT = 0xFFFF
"""The most pictures (<=) until all is right, as frame numbers go; decoders pass over more."""
READ_BYTES = 4096
"""As much of one is read. Encoders write their names and settings in front, in under 1 kB."""


def recovery_frames(payload: bytes, known: int | None) -> int | None:
    """recovery_frame_cnt of the SEI messages in `payload` (H.264 7.3.2.3.1, D.1.8)."""
    payload, position = payload[:READ_BYTES].replace(b"\x00\x00\x03", b"\x00\x00"), 0
    for _ in range(LARGEST_MESSAGES):
        kind, position = _number(payload, position)
        size, position = _number(payload, position)
        if position >= len(payload):
            return known
        if kind == SEI_RECOVERY_POINT:
            count = _golomb(payload[position : position + size])
            return known if count is None or count > HIGHEST_COUNT else count
        position += size
    return known


def _number(payload: bytes, position: int) -> tuple[int, int]:
    """(value, position after it): as many times 255 as bytes are full, and the byte after them."""
    end = position
    while payload[end : end + 1] == b"\xff":
        end += 1
    return 255 * (end - position) + sum(payload[end : end + 1]), end + 1


def _golomb(data: bytes) -> int | None:
    """The unsigned Exp-Golomb code (H.264 9.1) that `data` begins with; None if it is cut off."""
    bits = len(data) * 8
    value = int.from_bytes(data, "big")
    zeros = bits - value.bit_length()
    length = 2 * zeros + 1
    return (value >> (bits - length)) - 1 if length <= bits else None
