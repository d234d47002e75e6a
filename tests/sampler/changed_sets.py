"""H.264 whose picture parameter sets change on the way: slices are given another identifier, and what the first one
says is another thing from there on. A player that has all packets shows what the encoder meant.

Sections are those of ITU-T H.264.
"""

from collections.abc import Callable

from fields import BitWriter

SLICE, IDR_SLICE, SPS, PPS = 1, 5, 7, 8
LOWEST_QUANTISER = -26
"""pic_init_qp_minus26: residuals are scaled by far less."""
USED = 1
"""Identifier of the set that slices are made to use."""


def kind_of(unit: bytes) -> int:
    """nal_unit_type."""
    return unit[0] & 0x1F


def false_and_used(unit: bytes) -> list[bytes]:
    """The PPS under another identifier, and what stands in its place with a false quantiser."""
    return [_changed(unit, put_pps=lambda _: (USED, None)), _changed(unit, put_pps=lambda old: (old, LOWEST_QUANTISER))]


def uses(unit: bytes) -> bytes:
    """The slice, which refers to that other identifier (7.3.3)."""
    bits = _bits(unit)
    _, at = _ue(bits, 0)
    _, at = _ue(bits, at)
    _, end = _ue(bits, at)
    return _unit(unit[0], bits[:at] + _code(USED) + bits[end:])


def _changed(unit: bytes, put_pps: Callable[[int], tuple[int, int | None]]) -> bytes:
    """A PPS (7.3.2.2) with another identifier and quantiser."""
    bits = _bits(unit)
    identifier, begin = _ue(bits, 0)
    _, at = _ue(bits, begin)
    at += 2
    for _ in range(3):
        _, at = _ue(bits, at)
    at += 3
    _, end = _ue(bits, at)
    number, quantiser = put_pps(identifier)
    code = bits[at:end] if quantiser is None else _code(-2 * quantiser if quantiser <= 0 else 2 * quantiser - 1)
    return _unit(unit[0], _code(number) + bits[begin:at] + code + bits[end:])


def _bits(unit: bytes) -> str:
    return "".join(f"{octet:08b}" for octet in unit[1:].replace(b"\0\0\3", b"\0\0"))


def _ue(bits: str, at: int) -> tuple[int, int]:
    """An unsigned Exp-Golomb code (9.1), and where it ends."""
    zeros = bits.index("1", at) - at
    end = at + 2 * zeros + 1
    return int(bits[at + zeros : end], 2) - 1, end


def _code(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def _unit(header: int, bits: str) -> bytes:
    """The NAL unit without its start code; `bits` end with its stop bit."""
    writer = BitWriter()
    for bit in bits.rstrip("0")[:-1]:
        writer.put(int(bit))
    return writer.unit(header).removeprefix(b"\0\0\0\1")
