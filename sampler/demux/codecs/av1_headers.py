"""Headers of AV1's sequences and pictures (AV1 bitstream specification, 5.5 and 5.9). Runs in the decoder child.
Nothing here is trusted."""

from typing import Final, NamedTuple

from sampler.demux.codecs.av1 import FRAME, FRAME_HEADER, KEY_FRAME, REDUNDANT_FRAME_HEADER, Obu
from sampler.demux.codecs.bits import Bits

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

    def holds(self, obu: Obu) -> bool:
        """True if an OBU is of its layers; one that names none is of all (7.18.2)."""
        return not self.layers or bool(self.layers >> obu.temporal_id & 1 and self.layers >> obu.spatial_id + 8 & 1)


class SequenceHead(NamedTuple):
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
    has_superres: bool
    """Pictures may be coded in a smaller width."""


def read_sequence(data: bytes) -> SequenceHead:
    """Reads a sequence header up to enable_superres (5.5.1).

    Raises:
        HeaderError: it ends too soon.
    """
    bits = Bits(data, escaped=False)
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
    return SequenceHead(
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
        has_superres=bool(bits.take(1)),
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


def read_pixels(bits: Bits, sequence: SequenceHead, obu: Obu) -> int:
    """Reads a frame header up to frame_size (5.9.2) for the pixels of its picture; 0: it is one again, or of another's
    size.

    Raises:
        HeaderError: it ends too soon.
    """
    kind, is_shown, is_resilient = KEY_FRAME, True, True
    if not sequence.is_reduced:
        if bits.take(1):
            return 0
        kind, is_shown = bits.take(2), bool(bits.take(1))
        # frame_presentation_time, or showable_frame.
        bits.take(sequence.time_bits if is_shown else 1)
        is_resilient = kind == SWITCH_FRAME or (kind == KEY_FRAME and is_shown) or bool(bits.take(1))
    is_intra = kind in (KEY_FRAME, INTRA_ONLY_FRAME)
    bits.take(1)
    has_tools = bits.take(1) if sequence.screen_tools == BY_PICTURE else sequence.screen_tools
    if has_tools and sequence.integer_motion == BY_PICTURE:
        bits.take(1)
    bits.take(sequence.id_bits)
    has_size = kind == SWITCH_FRAME or (not sequence.is_reduced and bool(bits.take(1)))
    bits.take(sequence.order_bits)
    if not is_intra and not is_resilient:
        bits.take(3)
    if sequence.removal_bits and bits.take(1):
        _pass_removal_times(bits, sequence, obu)
    begins = kind == SWITCH_FRAME or (kind == KEY_FRAME and is_shown)
    refreshed = ALL_REFERENCES if begins else bits.take(8)
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


def read_render_size(bits: Bits, sequence: SequenceHead) -> tuple[int, int] | None:
    """Reads on behind `read_pixels`, if that found any: width and height at which the picture is to be rendered
    (5.9.6). None: its own.

    Raises:
        HeaderError: it ends too soon.
    """
    if sequence.has_superres and bits.take(1):
        bits.take(3)
    return (bits.take(16) + 1, bits.take(16) + 1) if bits.take(1) else None


def _pass_removal_times(bits: Bits, sequence: SequenceHead, obu: Obu) -> None:
    for layer in sequence.layers:
        if layer.has_model and layer.holds(obu):
            bits.take(sequence.removal_bits)
