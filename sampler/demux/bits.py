"""Bits of headers (ITU-T H.264, 7.2 and 9.1; H.265 and AV1 have the same codes)."""

LARGEST_COUNT = 255
"""Counts over this (reference pictures, cycles, slice groups) are refused; the standard allows none."""


class HeaderError(Exception):
    """The bits make no sense, or end. Never leaves the modules that read headers."""


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
        taken = self._value >> left
        self._value &= (1 << left) - 1
        return taken

    def ue(self) -> int:
        """An unsigned Exp-Golomb code (9.1): as many zeros in front as bits follow the one."""
        value = self._value
        self._left = left = 2 * value.bit_length() - self._left - 1
        if left < 0:
            raise HeaderError
        code = value >> left
        self._value = value & (1 << left) - 1
        return code - 1

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
