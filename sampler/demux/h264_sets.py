"""H.264 parameter sets, as far as slice headers need them (ITU-T H.264, 7.3.2). Nothing here is trusted, and every loop
ends with its bits."""

from dataclasses import dataclass

from sampler.demux.bits import Bits, HeaderError

HIGH_PROFILES = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))
"""profile_idc with chroma_format_idc and scaling lists in the SPS (7.3.2.1.1)."""
MACROBLOCK_PIXELS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceParameters:
    """Fields of an SPS that slice headers need."""

    separate_planes: bool
    has_chroma: bool
    frame_number_bits: int
    order_type: int
    order_bits: int
    order_delta_always_zero: bool
    frames_only: bool
    picture_pixels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureParameters:
    """Fields of a PPS that slice headers need."""

    sequence: int
    cabac: bool
    order_in_frame: bool
    references: tuple[int, int]
    weighted: bool
    weighted_bipred: bool
    quantiser: int
    redundant_pictures: bool


def read_sps(bits: Bits) -> tuple[int, SequenceParameters]:
    """7.3.2.1.1, up to frame_mbs_only_flag."""
    profile = bits.take(8)
    bits.take(16)
    identifier = bits.ue()
    chroma_format, separate = 1, False
    if profile in HIGH_PROFILES:
        chroma_format = bits.ue()
        separate = chroma_format == 3 and bool(bits.take(1))
        bits.ue()
        bits.ue()
        bits.take(1)
        if bits.take(1):
            for number in range(12 if chroma_format == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    frame_number_bits = bits.count() + 4
    order_type = bits.ue()
    order_bits, always_zero = 0, False
    if order_type == 0:
        order_bits = bits.count() + 4
    elif order_type == 1:
        always_zero = bool(bits.take(1))
        bits.se()
        bits.se()
        for _ in range(bits.count()):
            bits.se()
    bits.ue()
    bits.take(1)
    width, height = bits.ue() + 1, bits.ue() + 1
    frames_only = bool(bits.take(1))
    return identifier, SequenceParameters(
        separate_planes=separate,
        has_chroma=chroma_format != 0 and not separate,
        frame_number_bits=frame_number_bits,
        order_type=order_type,
        order_bits=order_bits,
        order_delta_always_zero=always_zero,
        frames_only=frames_only,
        picture_pixels=width * height * MACROBLOCK_PIXELS * (1 if frames_only else 2),
    )


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def read_pps(bits: Bits) -> tuple[int, PictureParameters]:
    """7.3.2.2, up to redundant_pic_cnt_present_flag. Slice groups (in no live encoder) are refused."""
    identifier, sequence = bits.ue(), bits.ue()
    cabac, order_in_frame = bool(bits.take(1)), bool(bits.take(1))
    if bits.ue():
        raise HeaderError
    references = bits.count() + 1, bits.count() + 1
    weighted, weighted_bipred = bool(bits.take(1)), bits.take(2) == 1
    quantiser = 26 + bits.se()
    bits.se()
    bits.se()
    bits.take(2)
    return identifier, PictureParameters(
        sequence=sequence,
        cabac=cabac,
        order_in_frame=order_in_frame,
        references=references,
        weighted=weighted,
        weighted_bipred=weighted_bipred,
        quantiser=quantiser,
        redundant_pictures=bool(bits.take(1)),
    )
