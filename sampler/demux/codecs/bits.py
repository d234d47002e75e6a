"""Bits of headers (ITU-T H.264, 7.2 and 9.1; H.265 and AV1 have the same codes)."""

LARGEST_COUNT = 255
"""Counts over this (reference pictures, cycles, slice groups) are refused; the standard allows none."""


class HeaderError(Exception):
    """The bits make no sense, or end. Never leaves the modules that read headers."""


def _codes(window: int) -> tuple[int, int]:
    """The number that the `window`, of eight bits, begins with as an unsigned Exp-Golomb code, and the bits of that
    code; 0 bits: it is longer."""
    length = 2 * (8 - window.bit_length()) + 1
    return (0, 0) if length > 8 else ((window >> 8 - length) - 1, length)


_CODES = tuple(map(_codes, range(256)))
"""Nearly all codes of slice headers are that short."""


class Bits:
    """Reads bits from the front of a header. Few calls and one integer: it runs for every packet."""

    __slots__ = ("_left", "_value")

    def __init__(self, payload: bytes, *, escaped: bool = True) -> None:
        """`escaped`: it is a NAL unit's, and the emulation prevention bytes (7.4.1) in it are no part of it."""
        if escaped:
            payload = payload.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(payload, "big")
        self._left = len(payload) * 8

    def take(self, count: int) -> int:
        """The next `count` bits, u(n)."""
        self._left = left = self._left - count
        if left < 0:
            raise HeaderError
        return self._value >> left & (1 << count) - 1

    def ue(self) -> int:
        """An unsigned Exp-Golomb code (9.1): as many zeros in front as bits follow the one."""
        left = self._left
        if left >= 8:
            number, length = _CODES[self._value >> left - 8 & 0xFF]
            if length:
                self._left = left - length
                return number
        value = self._value & (1 << left) - 1
        self._left = left = 2 * value.bit_length() - left - 1
        if left < 0:
            raise HeaderError
        return (value >> left) - 1

    def se(self) -> int:
        """A signed Exp-Golomb code (9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def count(self) -> int:
        """An unsigned code that a loop runs to."""
        number = self.ue()
        if number > LARGEST_COUNT:
            raise HeaderError
        return number
