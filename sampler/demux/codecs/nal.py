"""Properties of H.264 and H.265 packets that a plan needs: size of the picture data, use as a reference, entry points
for decoding, QP.

Nothing here is trusted, and a packet is believed before its container: where the bits make no sense the answer is
"needed by others, and no place to begin at". Sections are those of ITU-T H.264 and H.265.
"""

import sys
from enum import Enum

from sampler.demux.codecs.configuration import AVCC_LENGTH_BYTE, HVCC_LENGTH_BYTE, avcc_units, hvcc_units
from sampler.demux.codecs.h264 import PPS, SLICE_HEAD_BYTES, SPS, QuantiserReader, is_field_pair, slice_kind
from sampler.demux.codecs.hevc import SPS as HEVC_SPS
from sampler.demux.codecs.hevc import HevcReferences
from sampler.demux.codecs.parameter_sets import HEVC_VPS, START_CODE, ParameterSets, h264_set, hevc_set
from sampler.demux.codecs.picture_head import PictureHead
from sampler.demux.codecs.recovery import recovery_frames
from sampler.demux.codecs.references import FrameNumbers, OutputOrder, References
from sampler.demux.codecs.set_cost import DECODED_SETS, HEVC_KINDS, SetCost
from sampler.demux.codecs.units import Units

H264_SLICE, H264_IDR, H264_SEI = 1, 5, 6
H264_PICTURE = frozenset([H264_SLICE, H264_IDR])
H264_OTHER_PICTURE = frozenset([2, 3, 4, 19, 20, 21])
"""Slices in parts, of transparency, of another layer or view, and of one with depth (H.264, table 7-1): FFmpeg and
browsers skip them, and decoders of other profiles show them, as televisions do a second view."""
MOST_REDUNDANT_BYTES = 64
"""Those of a redundant slice, which decoders skip, in which (<=) there is nothing new for one that does not."""
REFERENCE_BITS = 0x60
"""nal_ref_idc, in a unit's first byte: 0 says that no other picture leans on this one (H.264 7.4.1)."""
FIRST_BLOCK = 0x80
"""Set in the second byte of a slice that begins with a picture's first block (first_mb_in_slice, H.264 7.4.3)."""
HEVC_IRAP = range(16, 22)
"""BLA, IDR and CRA pictures (H.265, table 7-1)."""
HEVC_SLICES = frozenset([*range(10), *HEVC_IRAP])
"""Kinds that decoders know. They skip the reserved ones."""
HEVC_RADL, HEVC_RASL = frozenset([6, 7]), frozenset([8, 9])
"""Leading pictures that should lean on their keyframe alone, and those that may lean on what comes before it."""
HEVC_CRA = 21
"""The keyframe that leaves earlier pictures in the decoder: what calls itself RADL after it may lean on them all the
same, and shows what a player shows only after the GOP before. Encoders make RADL pictures after IDR pictures alone."""
HEVC_REMAPPING, HEVC_ENHANCEMENT = 62, 63
"""Units of Dolby Vision, of the unspecified kinds: curves by which its decoders change levels, and a second layer
that they add to pictures."""
HEVC_ENDS = frozenset([36, 37])
"""Ends of a sequence and of a bitstream, after which decoders begin anew."""
FIRST_SLICE = b"\x80"
"""The least that a picture's first slice begins with after its head (first_slice_segment_in_pic_flag, 7.3.6.1)."""
HEVC_SUBLAYER_NON_REFERENCE = range(0, 16, 2)
"""TRAIL_N, TSA_N, STSA_N, RADL_N, RASL_N and reserved (H.265, table 7-1)."""
PADDING = b"\x00\x03"
"""Bytes that the end of a slice may be padded with (cabac_zero_word, H.264 7.3.2.8, and trailing zeros)."""


class NalCodec(Enum):
    """Codecs whose packets are NAL units."""

    H264 = "h264"
    HEVC = "hevc"


class NalReader:
    """Reads the packets of one stream, in order."""

    def __init__(self, codec: NalCodec, extradata: bytes, *, set_share: float = 1.0) -> None:
        """Reads the container's parameter sets.

        Args:
            codec: of the stream.
            extradata: avcC or hvcC in MP4; parameter sets with start codes in MPEG-TS.
            set_share: so many times as much CPU as those of a segment may its parameter sets take.

        Raises:
            TooLargeError: there are too many of them; so does `read`.
        """
        self._set_cost = SetCost(codec.value, set_share)
        self._units = Units(0, is_h264_read if codec is NalCodec.H264 else is_hevc_read, DECODED_SETS[codec.value])
        self._sublayers: int | None = None
        self._layers = self._has_layer = False
        self._open = True
        self._hevc_references = HevcReferences()
        self.leaf_named = False
        """True if the last packet is the first by which pictures that were called no reference should not be. In HEVC
        none is called so from there on."""
        self.is_remapped = False
        """Some players show the levels of pictures otherwise, by curves that came with them."""
        self._is_h264 = codec is NalCodec.H264
        self._used_pixels: int | None = 0
        self._quantisers = QuantiserReader()
        self._references, self._frame_numbers, self._output_order = References(), FrameNumbers(), OutputOrder()
        self._first_field: tuple[int, bool] | None = None
        self._several = False
        self.parameter_sets = ParameterSets(h264_set if codec is NalCodec.H264 else hevc_set)
        """Those in force after the last packet, of a stream whose packets have start codes."""
        self._read = self._read_h264 if codec is NalCodec.H264 else self._read_hevc
        offset = AVCC_LENGTH_BYTE if codec is NalCodec.H264 else HVCC_LENGTH_BYTE
        if extradata[:1] == b"\x01" and len(extradata) > offset:
            self._units.length_bytes = (extradata[offset] & 3) + 1
            if codec is NalCodec.HEVC:
                self._sublayers = extradata[offset] >> 3 & 7
                for unit in hvcc_units(extradata, most=sys.maxsize):
                    self._learn_hevc(unit, early=True)
            else:
                for unit in avcc_units(extradata):
                    self._learn_h264(unit, early=True)
        elif extradata:
            self.read(extradata)
        if self._units.length_bytes or not self.parameter_sets.known:
            # A decoder begins with those of the container: only what comes in packets has to be handed to it.
            self.parameter_sets = ParameterSets(h264_set if self._is_h264 else hevc_set)
        self._given = self.parameter_sets.changes
        self.parameter_sets.begin_stream()

    @property
    def picture_pixels(self) -> int:
        """Pixels of the largest pictures in H.264 parameter sets so far, else 0."""
        return self._quantisers.picture_pixels

    @property
    def used_pixels(self) -> int:
        """Pixels of the largest pictures so far, by the parameter sets that slices use; 0: it cannot be told."""
        return (self._used_pixels if self._is_h264 else self._hevc_references.used_pixels) or 0

    @property
    def sample_weight(self) -> float:
        """Cost of a macroblock by the samples that parameter sets tell, the highest so far."""
        return (self._quantisers if self._is_h264 else self._hevc_references).sample_weight

    @property
    def is_ambiguous(self) -> bool:
        """True if players show one thing or another by what came so far: units within others, several pictures in one
        sample of an MP4, pictures that a keyframe has some throw away, or a second view, or transparency, in a layer of
        its own."""
        return self._units.nested or self._several or self._hevc_references.discards or self._has_layer

    def read(self, packet: bytes) -> PictureHead:
        """Reads the properties of the picture of a packet, all of which is given.

        Whether the container calls it a keyframe is not asked: a broadcaster who flags predicted pictures would have us
        begin at them and see garbage, while players go on from before.
        """
        self._units.begin_packet()
        sets = self.parameter_sets
        sets.begin_packet()
        head = self._read(packet)
        sets.known &= not self._units.unread
        if self._units.unread:
            self._set_cost.add_unread(self._units.unread_sets)
            head = head._replace(unread_units=self._units.unread)
        if not sets.known or sets.changes > sets.changes_before:
            # Others lean on a parameter set, whatever the picture beside it is; and where some are not known all that
            # came is given to the decoder, as a player does.
            head = head._replace(reference=True, begins=head.begins and sets.known_before)
        return head

    def lacking(self) -> bytes:
        """The parameter sets in force before the packet that was read last, as a packet begins; b"": it has them all,
        or none came since the container's, which a decoder begins with.

        So a decoder may begin there that was not given all packets before it.
        """
        sets, size = self.parameter_sets, self._units.length_bytes
        units = sets.lacking() if sets.changes_before > self._given else []
        return b"".join((len(unit).to_bytes(size, "big") if size else START_CODE) + unit for unit in units)

    def _read_h264(self, packet: bytes) -> PictureHead:
        size, first, intra, idr, marks, firsts, recovery = 0, b"", True, True, 0, 0, None
        others: list[bytes] = []
        quantisers = self._quantisers
        needed = self._references.open or quantisers.several_sizes or quantisers.fields
        for unit in self._units.of(packet):
            kind = unit[0] & 0x1F
            if kind in H264_PICTURE:
                if quantisers.may_be_redundant and quantisers.is_redundant(unit[:SLICE_HEAD_BYTES]):
                    self._has_layer |= len(unit) > MOST_REDUNDANT_BYTES
                    continue
                marks |= unit[0]
                firsts += unit[1] & FIRST_BLOCK > 0
                size += len(unit) if unit[-1] not in PADDING else len(unit.rstrip(PADDING))
                if not first:
                    first = unit[:SLICE_HEAD_BYTES]
                elif needed or recovery is not None or unit[1] & FIRST_BLOCK or (unit[0] ^ first[0]) & 0x1F:
                    others.append(unit[:SLICE_HEAD_BYTES])
                idr &= kind == H264_IDR
                if recovery is not None and kind == H264_SLICE and slice_kind(unit[:SLICE_HEAD_BYTES]) != "I":
                    intra = False
            elif kind in (SPS, PPS):
                self._learn_h264(unit, early=not first)
            elif kind == H264_SEI and not first:
                # Behind the picture it is none of this one's, and decoders do not read it so.
                recovery = recovery_frames(unit[1:], recovery)
            elif kind in H264_OTHER_PICTURE:
                self._has_layer = True
        if not first:
            return PictureHead(len(packet), reference=True, begins=False)
        if quantisers.several_sizes or quantisers.picture_pixels != self._used_pixels:
            self._count_pixels([first, *others] if quantisers.several_sizes else [])
        # Slices of one picture are of one mind. Those that are not may be there to be skipped.
        pictures = {quantisers.picture_of(unit) for unit in (first, *others)} if others else set()
        # A sample of an MP4 has both fields of a picture: after an IDR field the other may lean on that one alone.
        is_pair = is_field_pair(pictures)
        idr |= is_pair and first[0] & 0x1F == H264_IDR
        is_mixed = len(pictures) > 1 and not is_pair
        self._count_pictures(1 + is_mixed + (firsts > 1 + is_pair))
        quantiser = quantisers.read(first)
        reference = not self._frame_numbers.follows(quantisers.head, quantisers.sequence, idr=idr)
        reference |= marks & REFERENCE_BITS != 0 or is_mixed
        self.leaf_named = self._frame_numbers.is_gap
        field = None if is_mixed or is_pair else quantisers.field
        completes = (field is not None or self._first_field is not None) and self._completes(field)
        begins = not completes and (idr or (intra and recovery == 0 and not is_mixed))
        leading, is_late = False, self._output_order.is_late(quantisers.head, idr=idr)
        outside = begins and is_late
        if begins:
            self._references.begin(quantisers.head, idr=idr)
        elif self._references.open:
            leading = not completes and self._references.leads(quantisers.head)
            outside = leading or is_mixed
            outside |= self._leans_outside(others, leading=leading)
        elif quantisers.head is not None and quantisers.head.marking:
            self._references.mark(quantisers.head)
        recovery = None if idr else recovery
        # By position, which takes half the time.
        return PictureHead(size, reference or begins, begins, recovery, quantiser, completes, leading or None, outside)

    def _count_pictures(self, count: int) -> None:
        """Counts those of a packet. FFmpeg parts an MPEG-TS by its pictures; of several in a sample of an MP4 some
        decoders make the first, some the last, and some all."""
        self._several |= count > 1 and self._units.length_bytes > 0

    def _count_pixels(self, slices: list[bytes]) -> None:
        """Counts the size of a picture, of whose slices none needs to be read where all are of one size."""
        sizes = [self._quantisers.slice_pixels(unit) for unit in slices] or [self._quantisers.picture_pixels]
        for pixels in sizes:
            known = pixels is not None and self._used_pixels is not None
            self._used_pixels = max(self._used_pixels or 0, pixels or 0) if known else None

    def _leans_outside(self, others: list[bytes], *, leading: bool) -> bool:
        """True if a slice of the picture, whose first one was read, names a picture before the GOP."""
        outside = self._references.leans_outside(self._quantisers.head, leading=leading, first=True)
        for unit in others:
            self._quantisers.read(unit)
            outside |= self._references.leans_outside(self._quantisers.head, leading=leading, first=False)
        return outside

    def _completes(self, field: tuple[int, bool] | None) -> bool:
        """True if a field belongs to the one before: it has its frame_num, and the other parity (H.264, 7.4.1.2.4)."""
        first, self._first_field = self._first_field, field
        if field is None or first is None or first != (field[0], not field[1]):
            return False
        self._first_field = None
        return True

    def _read_hevc(self, packet: bytes) -> PictureHead:
        size = 0
        kinds: set[int] = set()
        leaf, outside, lied, firsts = True, False, self._hevc_references.leaf_named, 0
        for unit in self._units.of(packet):
            # Units of other layers (F.7.4.2.2), and those without a temporal one, are no part of the picture.
            kind = unit[0] >> 1
            if unit[0] & 1 or unit[1] >> 3 or not unit[1] & 7:
                self._has_layer |= self._layers and kind in HEVC_SLICES and unit[1] & 7 > 0
                if kind in HEVC_KINDS:
                    self._set_cost.add(unit)
                continue
            if kind in HEVC_SLICES:
                size += len(unit.rstrip(PADDING))
                kinds.add(kind)
                # No picture of its sub-layer leans on this one, and there is no sub-layer above.
                is_leaf = kind in HEVC_SUBLAYER_NON_REFERENCE and unit[1] == self._sublayers
                leaf &= is_leaf
                firsts += unit[2:3] >= FIRST_SLICE
                outside |= self._hevc_references.leans_outside(unit, leaf=is_leaf)
            elif kind in (HEVC_REMAPPING, HEVC_ENHANCEMENT):
                self.is_remapped = True
                self._has_layer |= kind == HEVC_ENHANCEMENT
            elif kind in HEVC_ENDS:
                leaf = False
                self._hevc_references.end()
            elif kind in HEVC_KINDS:
                self._learn_hevc(unit, early=not kinds)
        if not kinds:
            return PictureHead(size_bytes=len(packet), reference=True, begins=False)
        # All slices of a picture are of one kind, and one is the first; others may be there to be skipped.
        begins = all(kind in HEVC_IRAP for kind in kinds) and firsts < 2
        self._count_pictures(firsts)
        if begins:
            self._open = HEVC_CRA in kinds
        leading = True if kinds & HEVC_RASL else self._open if kinds & HEVC_RADL else None
        leaf &= not self._hevc_references.leaf_named
        self.leaf_named = self._hevc_references.leaf_named and not lied
        outside = (outside or firsts > 1) and self._open and not begins and leading is None
        return PictureHead(size_bytes=size, reference=not leaf, begins=begins, leading=leading, outside=outside)

    def _learn_h264(self, unit: bytes, *, early: bool) -> None:
        """Reads a parameter set; `early`: before the packet's picture."""
        self._set_cost.add(unit)
        self.parameter_sets.learn(unit, early=early)
        self._quantisers.learn(unit)

    def _learn_hevc(self, unit: bytes, *, early: bool) -> None:
        """Reads a parameter set; `early`: before the packet's picture."""
        self._set_cost.add(unit)
        self.parameter_sets.learn(unit, early=early)
        if len(unit) > 3 and unit[0] >> 1 == HEVC_VPS:
            self._layers |= (unit[2] & 3) << 4 | unit[3] >> 4 > 0  # vps_max_layers_minus1 (H.265 7.3.2.1)
        if len(unit) > 2 and unit[0] >> 1 == HEVC_SPS:
            self._sublayers = (unit[2] >> 1 & 7) + 1
        self._hevc_references.learn(unit)


def is_h264_read(unit: bytes) -> bool:
    """True of slices and parameter sets."""
    return unit[0] & 0x1F in H264_PICTURE or unit[0] & 0x1F in (SPS, PPS)


def is_hevc_read(unit: bytes) -> bool:
    """True of slices and parameter sets, if they are of the base layer and have a temporal one."""
    is_base = not unit[0] & 1 and not unit[1] >> 3 and bool(unit[1] & 7)
    return is_base and (unit[0] >> 1 in HEVC_SLICES or unit[0] >> 1 in HEVC_KINDS)
