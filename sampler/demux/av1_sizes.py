"""Sizes of AV1's pictures, by their frame headers (AV1 bitstream specification, 5.5, 5.9.2 and 5.9.5 to 5.9.7). Runs in
the decoder child. Nothing here is trusted.

A sequence header tells the largest size that it allows. Encoders that change sizes, or could, name a large one there,
and each picture has its own.
"""

from typing import Final, NamedTuple

from sampler.demux.av1 import (
    AV1C_BYTES,
    AV1C_MARK,
    FRAME,
    FRAME_HEADER,
    HEAD_BYTES,
    KEY_FRAME,
    SEQUENCE_HEADER,
    Obu,
    obus_of,
)
from sampler.demux.bits import Bits, HeaderError

REDUNDANT_FRAME_HEADER: Final = 7
"""dav1d takes one for a header where there was none before."""
HEADERS: Final = frozenset([FRAME_HEADER, FRAME, REDUNDANT_FRAME_HEADER])
INTRA_ONLY_FRAME, SWITCH_FRAME = 2, 3
BY_PICTURE: Final = 2
"""SELECT_SCREEN_CONTENT_TOOLS and SELECT_INTEGER_MV: each picture tells."""
REFERENCES, REFERENCES_A_PICTURE = 8, 7
ALL_REFERENCES: Final = 0xFF


class _Layer(NamedTuple):
    """An operating point."""

    layers: int
    """operating_point_idc: bits of temporal layers, and from the ninth on of spatial ones; 0: all."""
    has_model: bool


class _Sequence(NamedTuple):
    """As much of a sequence header as headers of frames need."""

    is_reduced: bool
    layers: tuple[_Layer, ...]
    time_bits: int
    """Bits of a shown picture's time; 0: it has none."""
    removal_bits: int
    """Bits of a time in the decoder model; 0: there is no model."""
    width_bits: int
    height_bits: int
    pixels: int
    """Those of the largest picture that is allowed."""
    id_bits: int
    """Bits of a picture's number; 0: it has none."""
    delta_id_bits: int
    screen_tools: int
    integer_motion: int
    order_bits: int


class Av1Sizes:
    """Reads the packets of one stream, in order."""

    def __init__(self, extradata: bytes) -> None:
        """Reads the sequence header of an av1C box, if there is one."""
        self._sequence: _Sequence | None = None
        if extradata[:1] == AV1C_MARK:
            self.largest(extradata[AV1C_BYTES:])

    def largest(self, packet: bytes) -> int:
        """Pixels of the largest picture that the packet says to code; 0: all have sizes of pictures before them.

        Of a head that makes no sense those of the largest that its sequence allows, 0 where no sequence is known.
        """
        pixels = end = 0
        try:
            for obu in obus_of(packet):
                end = obu.end
                data = packet[obu.begin : min(obu.end, obu.begin + HEAD_BYTES)]
                if obu.kind == SEQUENCE_HEADER:
                    self._sequence = _read_sequence(Bits(data, escaped=False))
                elif obu.kind in HEADERS and self._sequence is not None:
                    pixels = max(pixels, _read_frame(Bits(data, escaped=False), self._sequence, obu))
        except HeaderError:
            end = 0
        # What is not read may be a picture as well.
        is_read = end >= len(packet)
        return pixels if is_read or self._sequence is None else max(pixels, self._sequence.pixels)


def _read_sequence(bits: Bits) -> _Sequence:
    """5.5.1 to 5.5.5."""
    bits.take(4)
    layers, time_bits, removal_bits = [_Layer(0, False)], 0, 0
    if is_reduced := bool(bits.take(1)):
        bits.take(5)
    else:
        delay_bits = 0
        if bits.take(1):
            bits.take(64)
            if is_even := bits.take(1):
                bits.ue()
            if bits.take(1):
                delay_bits = bits.take(5) + 1
                bits.take(32)
                removal_bits, time_bits = bits.take(5) + 1, bits.take(5) + 1
                time_bits *= not is_even
        has_delays = bits.take(1)
        layers = [_read_layer(bits, delay_bits, has_delays) for _ in range(bits.take(5) + 1)]
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    pixels = (bits.take(width_bits) + 1) * (bits.take(height_bits) + 1)
    id_bits = delta_id_bits = 0
    if not is_reduced and bits.take(1):
        delta_id_bits = bits.take(4) + 2
        id_bits = delta_id_bits + bits.take(3) + 1
    bits.take(3)
    screen_tools, integer_motion, order_bits = BY_PICTURE, BY_PICTURE, 0
    if not is_reduced:
        bits.take(4)
        has_order = bits.take(1)
        bits.take(2 * has_order)
        screen_tools = BY_PICTURE if bits.take(1) else bits.take(1)
        if screen_tools:
            integer_motion = BY_PICTURE if bits.take(1) else bits.take(1)
        order_bits = bits.take(3) + 1 if has_order else 0
    return _Sequence(
        is_reduced=is_reduced,
        layers=tuple(layers),
        time_bits=time_bits,
        removal_bits=removal_bits,
        width_bits=width_bits,
        height_bits=height_bits,
        pixels=pixels,
        id_bits=id_bits,
        delta_id_bits=delta_id_bits,
        screen_tools=screen_tools,
        integer_motion=integer_motion,
        order_bits=order_bits,
    )


def _read_layer(bits: Bits, delay_bits: int, has_delays: int) -> _Layer:
    layers = bits.take(12)
    # seq_tier, of levels over 7.
    bits.take(bits.take(5) > 7)
    has_model = bool(delay_bits and bits.take(1))
    if has_model:
        bits.take(2 * delay_bits + 1)
    if has_delays and bits.take(1):
        bits.take(4)
    return _Layer(layers, has_model)


def _read_frame(bits: Bits, sequence: _Sequence, obu: Obu) -> int:
    """Pixels of a picture, by its header up to frame_size (5.9.2); 0: it is one again, or of another's size."""
    if sequence.is_reduced:
        return sequence.pixels
    if bits.take(1):
        return 0
    kind, is_shown = bits.take(2), bits.take(1)
    # frame_presentation_time, or showable_frame.
    bits.take(sequence.time_bits if is_shown else 1)
    begins = kind == KEY_FRAME and is_shown
    is_resilient = begins or kind == SWITCH_FRAME or bits.take(1)
    is_intra = kind in (KEY_FRAME, INTRA_ONLY_FRAME)
    bits.take(1)
    has_tools = bits.take(1) if sequence.screen_tools == BY_PICTURE else sequence.screen_tools
    if has_tools and sequence.integer_motion == BY_PICTURE:
        bits.take(1)
    bits.take(sequence.id_bits)
    has_size = kind == SWITCH_FRAME or bits.take(1)
    bits.take(sequence.order_bits)
    if not is_intra and not is_resilient:
        bits.take(3)
    if sequence.removal_bits and bits.take(1):
        _pass_removal_times(bits, sequence, obu)
    refreshed = ALL_REFERENCES if begins or kind == SWITCH_FRAME else bits.take(8)
    if is_resilient and sequence.order_bits and (not is_intra or refreshed != ALL_REFERENCES):
        bits.take(REFERENCES * sequence.order_bits)
    if not is_intra:
        is_short = sequence.order_bits and bits.take(1)
        bits.take(6 if is_short else 0)
        bits.take(REFERENCES_A_PICTURE * ((0 if is_short else 3) + sequence.delta_id_bits))
        if has_size and not is_resilient and any(bits.take(1) for _ in range(REFERENCES_A_PICTURE)):
            return 0
    if not has_size:
        return sequence.pixels
    return (bits.take(sequence.width_bits) + 1) * (bits.take(sequence.height_bits) + 1)


def _pass_removal_times(bits: Bits, sequence: _Sequence, obu: Obu) -> None:
    for layer in sequence.layers:
        is_in = layer.layers >> obu.temporal_id & 1 and layer.layers >> obu.spatial_id + 8 & 1
        if layer.has_model and (not layer.layers or is_in):
            bits.take(sequence.removal_bits)
