"""HEVC parameter sets, as far as slice headers need them (ITU-T H.265, 7.3.2 and 7.3.7). Nothing here is trusted, and
every loop ends with its bits."""

from dataclasses import dataclass
from typing import NamedTuple

from sampler.demux.codecs.bits import Bits, HeaderError
from sampler.demux.codecs.sample_weight import weight_of_format

PROFILE_BITS, LEVEL_BITS = 88, 8
MOST_SETS = 64
"""num_short_term_ref_pic_sets (7.4.3.2.1)."""
MOST_REFERENCES = 16
"""Pictures of one reference picture set (A.4.2)."""

Entries = tuple[tuple[int, bool], ...]
"""Short-term references: their order from the picture's own, and whether the picture itself uses them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HevcSequence:
    """Fields of an SPS that slice headers need, and the size of its pictures."""

    picture_pixels: int
    sample_weight: float
    """Cost of a macroblock, by its samples."""
    separate_planes: bool
    order_bits: int
    sets: tuple[Entries, ...]
    long_term: bool
    listed_long_term: int
    reorders: bool
    """Decoders hold pictures back, to give them in another order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HevcPicture:
    """Fields of a PPS that slice headers need."""

    sequence: int
    output_flag: bool
    extra_bits: int


class SpsHead(NamedTuple):
    """First fields of an SPS."""

    sublayers: int
    """sps_max_sub_layers_minus1."""
    identifier: int
    chroma: int
    """chroma_format_idc."""
    separate_planes: bool
    width: int
    height: int
    window: tuple[int, int, int, int]
    """Offsets of the conformance window: left, right, top, bottom, in units of chroma."""


def read_set(bits: Bits, number: int, sets: tuple[Entries, ...], *, in_slice: bool = False) -> Entries:
    """st_ref_pic_set (7.3.7, 7.4.8)."""
    if number and bits.take(1):
        place = number - 1 - (bits.ue() if in_slice else 0)
        if place < 0:
            raise HeaderError
        base = sets[place]
        sign = bits.take(1)
        step = (1 - 2 * sign) * (bits.ue() + 1)
        found: dict[int, bool] = {}
        for delta, _ in (*base, (0, False)):
            used = bool(bits.take(1))
            if used or bits.take(1):
                found[delta + step] = used
        return _in_order(found)
    before, after = bits.ue(), bits.ue()
    if before + after > MOST_REFERENCES:
        raise HeaderError
    # In order as they are coded: encoders do so in every slice header.
    entries: list[tuple[int, bool]] = []
    for count, sign in ((before, -1), (after, 1)):
        delta = 0
        for _ in range(count):
            delta += sign * (bits.ue() + 1)
            entries.append((delta, bool(bits.take(1))))
    return tuple(entries)


def _in_order(found: dict[int, bool]) -> Entries:
    """Those before the picture, nearest first, then those after it, which others are coded against (7.4.8)."""
    found.pop(0, None)
    if len(found) > MOST_REFERENCES:
        raise HeaderError
    return tuple(sorted(found.items(), key=lambda entry: (entry[0] > 0, abs(entry[0]))))


def read_sps_head(bits: Bits) -> SpsHead:
    """7.3.2.2, up to the conformance window.

    Raises:
        HeaderError: it ends before that.
    """
    bits.take(4)
    sublayers = bits.take(3)
    bits.take(1 + PROFILE_BITS + LEVEL_BITS)
    present = [(bits.take(1), bits.take(1)) for _ in range(sublayers)]
    bits.take(2 * (8 - sublayers) if sublayers else 0)
    for profile, level in present:
        bits.take(PROFILE_BITS * profile + LEVEL_BITS * level)
    identifier, chroma = bits.ue(), bits.ue()
    separate = chroma == 3 and bool(bits.take(1))
    width, height = bits.ue(), bits.ue()
    window = (bits.ue(), bits.ue(), bits.ue(), bits.ue()) if bits.take(1) else (0, 0, 0, 0)
    return SpsHead(sublayers, identifier, chroma, separate, width, height, window)


def read_sps(bits: Bits) -> tuple[int, HevcSequence]:
    """7.3.2.2, up to lt_ref_pic_poc_lsb_sps."""
    head = read_sps_head(bits)
    depth = 8 + max(bits.ue(), bits.ue())
    order_bits = bits.count() + 4
    reorders = 0
    for _ in range(1 if not bits.take(1) else head.sublayers + 1):
        bits.ue()
        reorders |= bits.ue()
        bits.ue()
    for _ in range(6):
        bits.ue()
    if bits.take(1) and bits.take(1):
        _skip_scaling_lists(bits)
    bits.take(2)
    if bits.take(1):
        bits.take(8)
        bits.ue()
        bits.ue()
        bits.take(1)
    count = bits.ue()
    if count > MOST_SETS or order_bits > 16:
        raise HeaderError
    sets: tuple[Entries, ...] = ()
    for number in range(count):
        sets = (*sets, read_set(bits, number, sets))
    long_term = bool(bits.take(1))
    listed = bits.count() if long_term else 0
    return head.identifier, HevcSequence(
        picture_pixels=head.width * head.height,
        sample_weight=weight_of_format(head.chroma, depth),
        separate_planes=head.separate_planes,
        order_bits=order_bits,
        sets=sets,
        long_term=long_term,
        listed_long_term=listed,
        reorders=reorders > 0,
    )


def _skip_scaling_lists(bits: Bits) -> None:
    """7.3.4."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.take(1):
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.se()


def read_pps(bits: Bits) -> tuple[int, HevcPicture]:
    """7.3.2.3, up to num_extra_slice_header_bits."""
    identifier, sequence = bits.ue(), bits.ue()
    bits.take(1)
    output_flag = bool(bits.take(1))
    return identifier, HevcPicture(sequence=sequence, output_flag=output_flag, extra_bits=bits.take(3))
