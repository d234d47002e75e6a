"""References of HEVC pictures to others, by parameter sets and slice headers (ITU-T H.265, 7.3.2, 7.3.6 and 7.3.7).

A CRA picture leaves earlier ones in the decoder. What follows it should not lean on them, but for its leading pictures;
a player that has them shows what does so all the same, and who begins there sees something made up, without any error.
Nothing here is trusted: a header that makes no sense gives None, and every loop ends with its bits.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from sampler.demux.bits import Bits, HeaderError

SPS, PPS = 33, 34
IRAP, IDR = range(16, 24), frozenset([19, 20])
PARAMETER_SET_BYTES = 4096
"""As much of a parameter set is read: scaling lists, the largest part, take less."""
PARAMETER_SETS = 20_000
"""So many are read that differ from the one before."""
SLICE_HEAD_BYTES = 192
"""As much of a slice is read: reference picture sets of 16 pictures, coded in the header, take less."""
COMMON_HEAD_BYTES = 32
"""As much is read first, which is enough for most, and read in two thirds of the time."""
PROFILE_BITS, LEVEL_BITS = 88, 8
MOST_SETS = 64
"""num_short_term_ref_pic_sets (7.4.3.2.1)."""
MOST_REFERENCES = 16
"""Pictures of one reference picture set (A.4.2)."""
LEADING = range(6, 10)
"""RADL and RASL pictures."""
UNORDERED = frozenset([*range(0, 16, 2), *LEADING])
"""Kinds that no picture's order is counted from: sub-layer non-reference and leading ones (8.3.1)."""
MOST_ORDERS = 1024
"""Pictures of a GOP that are remembered: more than a decoder keeps by far. Beyond them all are taken for known."""

Entries = tuple[tuple[int, bool], ...]
"""Short-term references: their order from the picture's own, and whether the picture itself uses them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HevcSequence:
    """Fields of an SPS that slice headers need, and the size of its pictures."""

    picture_pixels: int
    separate_planes: bool
    order_bits: int
    sets: tuple[Entries, ...]
    long_term: bool
    listed_long_term: int


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


class HevcReferences:
    """The pictures since the last keyframe, and those among them that a slice may lean on."""

    def __init__(self) -> None:
        self._sequences: dict[int, HevcSequence] = {}
        self._pictures: dict[int, HevcPicture] = {}
        self._latest: dict[int, bytes] = {}
        self._parsed = 0
        self._orders: set[int] = set()
        self._leaves: set[int] = set()
        self._kept: set[int] = set()
        # Pictures that a decoder has which is given all: each names all that it keeps.
        self._sequence: int | None = None
        self.leaf_named = False
        """True once a picture leaned on one that says that none does, or that such a one has put out; or if it is not
        known."""
        self._anchor = 0
        self.used_pixels: int | None = 0
        """Pixels of the largest pictures so far, by the parameter sets that slices use; None: it cannot be told."""

    def learn(self, unit: bytes) -> None:
        """Reads a parameter set; one that makes no sense is skipped."""
        if not unit:
            return
        kind, unit = unit[0] >> 1, unit[:PARAMETER_SET_BYTES]
        if unit == self._latest.get(kind) or self._parsed >= PARAMETER_SETS:
            return
        self._latest[kind] = unit
        self._parsed += 1
        bits = Bits(unit[2:])
        try:
            if kind == SPS:
                identifier, sequence = _read_sps(bits)
                self._sequences[identifier] = sequence
            elif kind == PPS:
                identifier, picture = _read_pps(bits)
                self._pictures[identifier] = picture
        except HeaderError:
            return

    def leans_outside(self, unit: bytes, *, leaf: bool = False) -> bool:
        """True if a picture, by the NAL unit of a slice, leans on one that did not come since the last keyframe, or is
        one of its leading pictures; or if it cannot be told. Of all slices but the first it is False.

        `leaf`: by its own words no other leans on it.
        """
        if not unit:
            return True
        kind = unit[0] >> 1
        try:
            read = self._read_head(kind, unit)
        except (HeaderError, KeyError):
            self.used_pixels, self.leaf_named = None, True
            return True
        if read is None:
            return False
        order, entries, long_term = read
        named = [each for each, used in entries if used]
        if kind in IRAP:
            self._orders, self._leaves, self._kept = set(), set(), set()
        self.leaf_named |= bool(self._leaves) and (long_term or not self._leaves.isdisjoint(named))
        outside = len(self._orders) < MOST_ORDERS and (long_term or not self._orders.issuperset(named))
        self.leaf_named |= any(each in self._orders and each not in self._kept for each in named)
        self._kept.intersection_update(each for each, _ in entries)
        self._kept.add(order)
        if kind not in LEADING:
            self._orders.add(order)
        if leaf and len(self._leaves) < MOST_ORDERS:
            self._leaves.add(order)
        if kind not in UNORDERED and unit[1] & 7 == 1:
            self._anchor = order
        return outside

    def _read_head(self, kind: int, unit: bytes) -> tuple[int, Entries, bool] | None:
        """As `_read`."""
        with suppress(HeaderError):
            return self._read(kind, Bits(unit[2:COMMON_HEAD_BYTES]))
        return self._read(kind, Bits(unit[2:SLICE_HEAD_BYTES]))

    def _read(self, kind: int, bits: Bits) -> tuple[int, Entries, bool] | None:
        """Order of a picture from its keyframe's cycle on, that of those it keeps and whether it uses them, and whether
        there are long-term ones; None: it is no first slice."""
        if not bits.take(1):
            return None
        if kind in IRAP:
            bits.take(1)
        picture = self._pictures[bits.ue()]
        sequence = self._sequences[picture.sequence]
        # With another one a decoder forgets all that it had.
        self.leaf_named |= kind not in IRAP and self._sequence not in (None, picture.sequence)
        self._sequence = picture.sequence
        if self.used_pixels is not None:
            self.used_pixels = max(self.used_pixels, sequence.picture_pixels)
        bits.take(picture.extra_bits)
        bits.ue()
        bits.take(picture.output_flag + 2 * sequence.separate_planes)
        if kind in IDR:
            return 0, (), False
        low = bits.take(sequence.order_bits)
        cycle = 1 << sequence.order_bits
        # The nearest to the last one that counts (8.3.1), which a keyframe does not need.
        order = low if kind in IRAP else self._anchor + (low - self._anchor + cycle // 2) % cycle - cycle // 2
        if kind in IRAP:
            return order, (), False
        count = len(sequence.sets)
        if bits.take(1):
            place = bits.take((count - 1).bit_length()) if count else 0
            if place >= count:
                raise HeaderError
            entries = sequence.sets[place]
        else:
            entries = _read_set(bits, count, sequence.sets, in_slice=True)
        long_term = sequence.long_term and _uses_long_term(bits, sequence)
        return order, tuple((order + delta, used) for delta, used in entries), long_term


def _uses_long_term(bits: Bits, sequence: HevcSequence) -> bool:
    """Any, for which of them would take all that came before to tell."""
    listed = bits.count() if sequence.listed_long_term else 0
    return listed + bits.count() > 0


def _read_set(bits: Bits, number: int, sets: tuple[Entries, ...], *, in_slice: bool = False) -> Entries:
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


def _read_sps(bits: Bits) -> tuple[int, HevcSequence]:
    """7.3.2.2, up to lt_ref_pic_poc_lsb_sps."""
    head = read_sps_head(bits)
    bits.ue()
    bits.ue()
    order_bits = bits.count() + 4
    for _ in range(1 if not bits.take(1) else head.sublayers + 1):
        for _ in range(3):
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
        sets = (*sets, _read_set(bits, number, sets))
    long_term = bool(bits.take(1))
    listed = bits.count() if long_term else 0
    return head.identifier, HevcSequence(
        picture_pixels=head.width * head.height,
        separate_planes=head.separate_planes,
        order_bits=order_bits,
        sets=sets,
        long_term=long_term,
        listed_long_term=listed,
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


def _read_pps(bits: Bits) -> tuple[int, HevcPicture]:
    """7.3.2.3, up to num_extra_slice_header_bits."""
    identifier, sequence = bits.ue(), bits.ue()
    bits.take(1)
    output_flag = bool(bits.take(1))
    return identifier, HevcPicture(sequence=sequence, output_flag=output_flag, extra_bits=bits.take(3))
