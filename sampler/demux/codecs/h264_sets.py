"""H.264 parameter sets, as far as slice headers need them (ITU-T H.264, 7.3.2). Nothing here is trusted, and every loop
ends with its bits."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from sampler.demux.codecs.bits import Bits, HeaderError
from sampler.demux.codecs.sample_weight import weight_of_format

HIGH_PROFILES = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 244))
"""profile_idc with chroma_format_idc and scaling lists in the SPS (7.3.2.1.1)."""
ODD_PROFILES = frozenset((134, 135, 138, 139, 144))
"""Others that some decoders read so."""
MOST_FRAMES, MOST_HRDS, MOST_SETS = 16, 32, 32
"""max_num_ref_frames and max_num_reorder_frames (A.3.1), cpb_cnt (E.2.2), and the number of SPS (7.4.2.1.1)."""
MOST_BITS, MOST_DEPTH = 16, 14
"""Limits on frame_num and pic_order_cnt_lsb, and on samples (7.4.2.1.1)."""
LARGEST_SIDE = 1 << 12
"""Macroblocks."""
EXTENDED_ASPECT = 255
"""aspect_ratio_idc (table E-1)."""
LARGEST_CHROMA_OFFSET = 12
"""chroma_qp_index_offset (7.4.2.2)."""
MACROBLOCK_PIXELS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceParameters:
    """Fields of an SPS that slice headers need."""

    has_chroma: bool
    frame_number_bits: int
    order_type: int
    order_bits: int
    order_delta_always_zero: bool
    frames_only: bool
    reference_frames: int
    """max_num_ref_frames: as many references a decoder keeps."""
    picture_pixels: int
    sample_weight: float
    """Cost of a macroblock, by its samples."""


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


def read_sps(bits: Bits) -> tuple[int, SequenceParameters | None]:
    """7.3.2.1.1; None: it makes no sense, so that decoders may stay with the one before.

    Raises:
        HeaderError: its identifier is not told.
    """
    profile = bits.take(8)
    bits.take(16)
    identifier = bits.ue()
    try:
        return identifier, _read_sequence(bits, profile, identifier)
    except HeaderError:
        return identifier, None


def _read_sequence(bits: Bits, profile: int, identifier: int) -> SequenceParameters:
    """The fields after the identifier.

    Raises:
        HeaderError: it makes no sense.
    """
    _hold(profile not in ODD_PROFILES and identifier < MOST_SETS)
    chroma_format, depth = 1, 8
    if profile in HIGH_PROFILES:
        chroma_format = bits.ue()
        _hold(chroma_format < 3 or (chroma_format == 3 and not bits.take(1)))
        depth = bits.ue() + 8
        _hold(depth == bits.ue() + 8 <= MOST_DEPTH)
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
    _hold(order_type <= 2 and max(frame_number_bits, order_bits) <= MOST_BITS)
    reference_frames = bits.ue()
    _hold(reference_frames <= MOST_FRAMES)
    bits.take(1)
    width, height = bits.ue() + 1, bits.ue() + 1
    frames_only = bool(bits.take(1))
    _hold(width <= LARGEST_SIDE and height <= LARGEST_SIDE)
    _check_rest(bits, frames_only=frames_only)
    return SequenceParameters(
        has_chroma=chroma_format != 0,
        frame_number_bits=frame_number_bits,
        order_type=order_type,
        order_bits=order_bits,
        order_delta_always_zero=always_zero,
        frames_only=frames_only,
        reference_frames=reference_frames,
        picture_pixels=width * height * MACROBLOCK_PIXELS * (1 if frames_only else 2),
        sample_weight=weight_of_format(chroma_format, depth),
    )


def _hold(makes_sense: bool) -> None:
    if not makes_sense:
        raise HeaderError


def _check_rest(bits: Bits, *, frames_only: bool) -> None:
    """Checks the fields after frame_mbs_only_flag as decoders do. They take an SPS that is cut off there."""
    counts: list[tuple[int, int]] = []
    with suppress(HeaderError):
        bits.take(1 if frames_only else 2)
        if bits.take(1):
            for _ in range(4):
                bits.ue()
        if bits.take(1):
            counts += _vui_counts(bits)
    _hold(all(count <= most for count, most in counts))


def _vui_counts(bits: Bits) -> Iterator[tuple[int, int]]:
    """Counts in the VUI (E.1.1), each with the most that there may be."""
    if bits.take(1) and bits.take(8) == EXTENDED_ASPECT:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1) and bits.take(5) & 1:
        bits.take(24)
    if bits.take(1):
        bits.ue()
        bits.ue()
    if bits.take(1):
        bits.take(65)
    has_rates = False
    for _ in range(2):
        if bits.take(1):
            has_rates = True
            rates = bits.ue() + 1
            yield rates, MOST_HRDS
            bits.take(8)
            for _ in range(min(rates, MOST_HRDS)):
                bits.ue()
                bits.ue()
                bits.take(1)
            bits.take(20)
    bits.take(2 if has_rates else 1)
    if bits.take(1):
        bits.take(1)
        for _ in range(4):
            bits.ue()
        yield bits.ue(), MOST_FRAMES


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def read_pps(bits: Bits) -> tuple[int, PictureParameters | None]:
    """7.3.2.2, up to redundant_pic_cnt_present_flag; None: it makes no sense, so that decoders may stay with the one
    before. Slice groups (in no live encoder) are refused.

    Raises:
        HeaderError: its identifier is not told.
    """
    identifier = bits.ue()
    try:
        return identifier, _read_picture(bits)
    except HeaderError:
        return identifier, None


def _read_picture(bits: Bits) -> PictureParameters:
    """The fields after the identifier.

    Raises:
        HeaderError: it makes no sense.
    """
    sequence = bits.ue()
    cabac, order_in_frame = bool(bits.take(1)), bool(bits.take(1))
    _hold(not bits.ue())
    references = bits.count() + 1, bits.count() + 1
    weighted, weighted_bipred = bool(bits.take(1)), bits.take(2) == 1
    quantiser = 26 + bits.se()
    bits.se()
    _hold(max(references) <= 2 * MOST_FRAMES and abs(bits.se()) <= LARGEST_CHROMA_OFFSET)
    bits.take(2)
    return PictureParameters(
        sequence=sequence,
        cabac=cabac,
        order_in_frame=order_in_frame,
        references=references,
        weighted=weighted,
        weighted_bipred=weighted_bipred,
        quantiser=quantiser,
        redundant_pictures=bool(bits.take(1)),
    )
