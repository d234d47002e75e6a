"""The quantiser of a picture, read from H.264 parameter sets and slice headers (ITU-T H.264, 7.3.2 and 7.3.3).

Under a tight rate a cut shows less in its size than in its quantiser: the encoder spends what it may and codes
coarsely. Nothing here is trusted: a header that makes no sense gives None, and every loop ends with its bits.
"""

from collections.abc import Collection
from functools import cache

from sampler.demux.codecs.bits import Bits, HeaderError
from sampler.demux.codecs.h264_sets import PictureParameters, SequenceParameters, read_pps, read_sps
from sampler.demux.codecs.known_sets import FloodError, KnownSets
from sampler.demux.codecs.references import BE_LONG, MAKE_LONG, RENEW, Lists, Marking, ReferenceList, SliceHead

SLICE_HEAD_BYTES = 1024
"""Longest slice header that is read: weights for all references of a B-field take most of that."""
COMMON_HEAD_BYTES = 32
"""As much is read first: real ones have 5 to 20 bytes."""
PARAMETER_SET_BYTES = 1024
"""As much of a parameter set is read: scaling lists and 256 cycle offsets, the largest parts, take less."""
SPS, PPS, IDR = 7, 8, 5
SLICE_KINDS = "PBIPI"
"""slice_type modulo 5 (table 7-6): SP counts as P, SI as I."""

Order = tuple[int, bool | None, int | None, int]
"""frame_num, of a field whether it is the bottom one, pic_order_cnt_lsb, if it is there, and
delta_pic_order_cnt_bottom."""
Picture = tuple[int, int, int, bool | None, int | None, int]
"""Fields that all slices of a picture share: type, SPS, and those of its `Order`."""


class QuantiserReader:
    """Reads the quantisers of one stream's pictures, whose NAL units it is given in order."""

    def __init__(self) -> None:
        self._sequences: dict[int, SequenceParameters | None] = {}
        """Those that make sense; None: the last one of that number did not."""
        self._pictures: dict[int, tuple[PictureParameters, SequenceParameters] | None] = {}
        """The same, each with the SPS that was there when it came."""
        self._known_sequences = KnownSets(read_sps, head_bytes=1, most_bytes=PARAMETER_SET_BYTES)
        self._known_pictures = KnownSets(read_pps, head_bytes=1, most_bytes=PARAMETER_SET_BYTES)
        self.head: SliceHead | None = None
        """Head of the slice that was read last; None: it cannot be told."""
        self.field: tuple[int, bool] | None = None
        """frame_num of the slice that was read last, and whether it is of a bottom field; None: of a whole frame, or it
        cannot be told."""
        self.sequence = 0
        """SPS of the slice that was read last."""
        self.reference_frames = 0
        """As many references its decoder keeps."""
        self.picture_pixels = 0
        """Pixels of the largest pictures in the parameter sets so far, in whole macroblocks; 0: none yet."""
        self.sample_weight = 1.0
        """Cost of a macroblock by their samples, the highest so far."""
        self.several_sizes = False
        """Not all parameter sets so far are of one size."""
        self.fields = self.may_be_redundant = False
        """By the parameter sets so far pictures may be fields, and slices redundant."""

    def learn(self, unit: bytes) -> None:
        """Reads a parameter set; one that makes no sense is skipped. In a flood of them nothing is known until
        one comes again that was read."""
        try:
            if unit[0] & 0x1F == SPS:
                identifier, sequence = self._known_sequences.read(unit)
                self._sequences[identifier] = sequence
                if sequence is not None:
                    self.fields |= not sequence.frames_only
                    self.several_sizes |= self.picture_pixels not in (0, sequence.picture_pixels)
                    self.picture_pixels = max(self.picture_pixels, sequence.picture_pixels)
                    self.sample_weight = max(self.sample_weight, sequence.sample_weight)
            elif unit[0] & 0x1F == PPS:
                identifier, picture = self._known_pictures.read(unit)
                of = None if picture is None else self._sequences.get(picture.sequence)
                self._pictures[identifier] = None if picture is None or of is None else (picture, of)
                self.may_be_redundant |= picture is not None and picture.redundant_pictures
        except FloodError:
            self._sequences.clear()
            self._pictures.clear()
            self.fields = self.may_be_redundant = self.several_sizes = True
        except HeaderError:
            return

    def read(self, unit: bytes) -> int | None:
        """The quantiser (QP) that a slice begins with, of its NAL unit's first bytes; None: unknown."""
        self.field = self.head = None
        try:
            return self._read(unit[0], Bits(unit[1:COMMON_HEAD_BYTES]))
        except HeaderError:
            self.head = None
        if len(unit) <= COMMON_HEAD_BYTES:
            return None
        try:
            return self._read(unit[0], Bits(unit[1:SLICE_HEAD_BYTES]))
        except HeaderError:
            self.field = self.head = None
            return None

    def is_redundant(self, unit: bytes) -> bool:
        """True if a slice, of its NAL unit's first bytes, is of a redundant picture, which decoders skip (7.4.3)."""
        bits = Bits(unit[1:COMMON_HEAD_BYTES])
        try:
            picture, _ = self._begin(bits, idr=unit[0] & 0x1F == IDR)
            return picture.redundant_pictures and bits.ue() > 0
        except HeaderError:
            return False

    def picture_of(self, unit: bytes) -> Picture | None:
        """The picture of a slice, of its NAL unit's first bytes; None: it cannot be told."""
        try:
            picture, order = self._begin(Bits(unit[1:COMMON_HEAD_BYTES]), idr=unit[0] & 0x1F == IDR)
            return unit[0] & 0x1F, picture.sequence, *order
        except HeaderError:
            return None

    def _begin(self, bits: Bits, *, idr: bool) -> tuple[PictureParameters, Order]:
        """The parameters of a slice's picture, and `picture_of` it."""
        bits.ue()
        bits.ue()
        picture, sequence = self._sets(bits)
        return picture, _read_order(bits, sequence, picture, idr=idr)

    def _sets(self, bits: Bits) -> tuple[PictureParameters, SequenceParameters]:
        """The parameter sets of a slice, by the number of its PPS.

        Raises:
            HeaderError: there are none, or decoders differ on which they are: some go by the SPS that was there when
                the PPS came, some by the last one.
        """
        sets = self._pictures.get(bits.ue())
        if sets is None:
            raise HeaderError
        last = self._sequences.get(sets[0].sequence)
        if last is not sets[1] and last != sets[1]:
            raise HeaderError
        return sets

    def slice_pixels(self, unit: bytes) -> int | None:
        """Pixels of a slice's picture, in whole macroblocks, of its NAL unit's first bytes; None: unknown."""
        bits = Bits(unit[1:COMMON_HEAD_BYTES])
        try:
            bits.ue()
            bits.ue()
            return self._sets(bits)[1].picture_pixels
        except HeaderError:
            return None

    def _read(self, head: int, bits: Bits) -> int:
        idr = head & 0x1F == IDR
        bits.ue()
        kind = SLICE_KINDS[bits.ue() % 5]
        picture, sequence = self._sets(bits)
        number, bottom, order, shift = _read_order(bits, sequence, picture, idr=idr)
        self.field = None if bottom is None else (number, bottom)
        lists: Lists = ()
        marking: Marking = ()
        if picture.redundant_pictures:
            bits.ue()
        if kind != "I":
            lists = _read_references(bits, picture, bidirectional=kind == "B")
            if picture.weighted if kind == "P" else picture.weighted_bipred:
                _skip_weights(bits, sum(one.length for one in lists), has_chroma=sequence.has_chroma)
        if head & 0x60:
            marking = _read_marking(bits, idr=idr)
        self.sequence, self.reference_frames = picture.sequence, sequence.reference_frames
        self.head = SliceHead(
            number,
            1 << sequence.frame_number_bits,
            bottom is None,
            head & 0x60 != 0,
            lists,
            marking,
            order,
            1 << sequence.order_bits,
            marking != () and any(operation == RENEW for operation, _, _ in marking),
            min(shift, 0),
        )
        if picture.cabac and kind != "I":
            bits.ue()
        return picture.quantiser + bits.se()


def is_field_pair(pictures: Collection[Picture | None]) -> bool:
    """True of the two fields of one picture, by `picture_of` their slices."""
    shared = {one and one[1:3] for one in pictures}
    return len(shared) == 1 and {one and one[3] for one in pictures} == {False, True}


def slice_kind(unit: bytes) -> str | None:
    """Returns "P", "B" or "I" for a slice, of its NAL unit's first bytes; None: unknown."""
    bits = Bits(unit[1:COMMON_HEAD_BYTES])
    try:
        bits.ue()
        return SLICE_KINDS[bits.ue() % 5]
    except HeaderError:
        return None


def _read_order(bits: Bits, sequence: SequenceParameters, picture: PictureParameters, *, idr: bool) -> Order:
    """From frame_num to delta_pic_order_cnt."""
    frame_number = bits.take(sequence.frame_number_bits)
    bottom = None
    if not sequence.frames_only and bits.take(1):
        bottom = bool(bits.take(1))
    if idr:
        bits.ue()
    order = bits.take(sequence.order_bits) if sequence.order_type == 0 else None
    shift = 0
    if sequence.order_type == 0 or (sequence.order_type == 1 and not sequence.order_delta_always_zero):
        if sequence.order_type == 1:
            bits.se()
        if picture.order_in_frame and bottom is None:
            shift = bits.se()
    return frame_number, bottom, order, shift


def _read_references(bits: Bits, picture: PictureParameters, *, bidirectional: bool) -> Lists:
    """From direct_spatial_mv_pred_flag to the reference list modifications; the lists."""
    if bidirectional:
        bits.take(1)
    lengths: tuple[int, ...] = picture.references if bidirectional else picture.references[:1]
    if bits.take(1):
        lengths = tuple([bits.count() + 1 for _ in lengths])
    lists: Lists = ()
    for length in lengths:
        if not bits.take(1):
            lists = (*lists, _unmodified(length))
            continue
        named: list[tuple[int, int]] = []
        while (kind := bits.ue()) != 3:
            named.append((kind, bits.ue()))
        lists = (*lists, ReferenceList(length, tuple(named)))
    return lists


@cache
def _unmodified(length: int) -> ReferenceList:
    return ReferenceList(length, ())


def _skip_weights(bits: Bits, references: int, *, has_chroma: bool) -> None:
    """pred_weight_table (7.3.3.2)."""
    bits.ue()
    if has_chroma:
        bits.ue()
    for _ in range(references):
        if bits.take(1):
            bits.se()
            bits.se()
        if has_chroma and bits.take(1):
            for _ in range(4):
                bits.se()


def _read_marking(bits: Bits, *, idr: bool) -> Marking:
    """dec_ref_pic_marking (7.3.3.3)."""
    if idr:
        return ((BE_LONG, 0, 0),) if bits.take(2) & 1 else ()
    if not bits.take(1):
        return ()
    marking: list[tuple[int, int, int]] = []
    while operation := bits.ue():
        value = bits.ue() if operation not in (RENEW, BE_LONG) else 0
        marking.append((operation, value, bits.ue() if operation in (MAKE_LONG, BE_LONG) else 0))
    return tuple(marking)
