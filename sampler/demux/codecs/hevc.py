"""References of HEVC pictures to others, by parameter sets and slice headers (ITU-T H.265, 7.3.2, 7.3.6 and 7.3.7).

A CRA picture leaves earlier ones in the decoder. What follows it should not lean on them, but for its leading pictures;
a player that has them shows what does so all the same, and who begins there sees something made up, without any error.
Nothing here is trusted: a header that makes no sense gives None, and every loop ends with its bits.
"""

from contextlib import suppress

from sampler.demux.codecs.bits import Bits, HeaderError
from sampler.demux.codecs.hevc_sets import Entries, HevcPicture, HevcSequence, read_pps, read_set, read_sps
from sampler.demux.codecs.known_sets import FloodError, KnownSets

SPS, PPS = 33, 34
IRAP, IDR, CRA = range(16, 24), frozenset([19, 20]), 21
PARAMETER_SET_BYTES = 4096
"""As much of a parameter set is read: scaling lists, the largest part, take less."""
SLICE_HEAD_BYTES = 192
"""As much of a slice is read: reference picture sets of 16 pictures, coded in the header, take less."""
COMMON_HEAD_BYTES = 32
"""As much is read first, which is enough for most, and read in two thirds of the time."""
LEADING = range(6, 10)
"""RADL and RASL pictures."""
UNORDERED = frozenset([*range(0, 16, 2), *LEADING])
"""Kinds that no picture's order is counted from: sub-layer non-reference and leading ones (8.3.1)."""
MOST_ORDERS = 1024
"""Pictures of a GOP that are remembered: more than a decoder keeps by far. Beyond them all are taken for known."""


class HevcReferences:
    """The pictures since the last keyframe, and those among them that a slice may lean on."""

    def __init__(self) -> None:
        self._sequences: dict[int, HevcSequence] = {}
        self._pictures: dict[int, HevcPicture] = {}
        self._known_sequences = KnownSets(read_sps, head_bytes=2, most_bytes=PARAMETER_SET_BYTES)
        self._known_pictures = KnownSets(read_pps, head_bytes=2, most_bytes=PARAMETER_SET_BYTES)
        self._orders: set[int] = set()
        self._leaves: set[int] = set()
        self._kept: set[int] = set()
        # Pictures that a decoder has which is given all: each names all that it keeps.
        self._sequence: int | None = None
        self.leaf_named = False
        """True once a picture leaned on one that says that none does, or that such a one has put out; or if it is not
        known."""
        self.discards = False
        """True once a keyframe had decoders throw away what they hold back: some show it before, and others never."""
        self._ended = False
        self._anchor = 0
        self.sample_weight = 1.0
        """Cost of a macroblock by the samples that parameter sets tell, the highest so far."""
        self.used_pixels: int | None = 0
        """Pixels of the largest pictures so far, by the parameter sets that slices use; None: it cannot be told."""

    def learn(self, unit: bytes) -> None:
        """Reads a parameter set; one that makes no sense is skipped. In a flood of them nothing is known until
        one comes again that was read."""
        kind = unit[0] >> 1 if unit else 0
        try:
            if kind == SPS:
                identifier, sequence = self._known_sequences.read(unit)
                self._sequences[identifier] = sequence
                self.sample_weight = max(self.sample_weight, sequence.sample_weight)
            elif kind == PPS:
                identifier, picture = self._known_pictures.read(unit)
                self._pictures[identifier] = picture
        except FloodError:
            self._sequences.clear()
            self._pictures.clear()
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
        if kind in IRAP:
            self._orders, self._leaves, self._kept = set(), set(), set()
        kept, outside, lied = {order}, long_term, long_term and bool(self._leaves)
        for delta, used in entries:
            other = order + delta
            if is_kept := other in self._kept:
                kept.add(other)
            if used:
                outside |= other not in self._orders
                lied |= other in self._leaves or (not is_kept and other in self._orders)
        outside = outside and len(self._orders) < MOST_ORDERS
        self._kept = kept
        self.leaf_named |= lied
        if kind not in LEADING:
            self._orders.add(order)
        if leaf and len(self._leaves) < MOST_ORDERS:
            self._leaves.add(order)
        if kind not in UNORDERED and unit[1] & 7 == 1:
            self._anchor = order
        return outside

    def end(self) -> None:
        """The sequence ends: what is held back at a CRA picture after that is thrown away (C.5.2.2)."""
        self._ended = True

    def _read_head(self, kind: int, unit: bytes) -> tuple[int, Entries, bool] | None:
        """As `_read`."""
        with suppress(HeaderError):
            return self._read(kind, Bits(unit[2:COMMON_HEAD_BYTES]))
        return self._read(kind, Bits(unit[2:SLICE_HEAD_BYTES]))

    def _read(self, kind: int, bits: Bits) -> tuple[int, Entries, bool] | None:
        """Order of a picture from its keyframe's cycle on, those that it keeps, and whether there are long-term ones;
        None: it is no first slice."""
        if not bits.take(1):
            return None
        discards = bool(kind in IRAP and bits.take(1)) or (kind == CRA and self._ended)
        picture = self._pictures[bits.ue()]
        sequence = self._sequences[picture.sequence]
        # With another one a decoder forgets all that it had.
        self.leaf_named |= kind not in IRAP and self._sequence not in (None, picture.sequence)
        self._sequence = picture.sequence
        self.discards |= discards and sequence.reorders
        self._ended = False
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
            entries = read_set(bits, count, sequence.sets, in_slice=True)
        long_term = sequence.long_term and _uses_long_term(bits, sequence)
        return order, entries, long_term


def _uses_long_term(bits: Bits, sequence: HevcSequence) -> bool:
    """Any, for which of them would take all that came before to tell."""
    listed = bits.count() if sequence.listed_long_term else 0
    return listed + bits.count() > 0
