"""Pictures of an AV1 packet, by the headers of its OBUs (AV1 bitstream specification, 5.3 to 5.9). Runs in the decoder
child. Nothing here is trusted."""

from collections.abc import Iterator
from typing import NamedTuple

from sampler.demux.codecs.bits import HeaderError

DECODERS = frozenset(["av1", "libdav1d"])
"""Decoders of AV1, as FFmpeg calls them."""
SEQUENCE_HEADER, FRAME_HEADER, TILE_GROUP, FRAME, REDUNDANT_FRAME_HEADER, PADDING = 1, 3, 4, 6, 7, 15
SHOWS_AGAIN = 0x80
"""show_existing_frame, the first bit of a frame header."""
KEY_FRAME = 0
REDUCED_STILL = 0x08
"""reduced_still_picture_header, in a sequence header's first byte."""
OBUS = 256
"""Those of one packet that are read (<=). Encoders write under twenty, and each costs 1 µs."""
LEAST_PICTURE_BYTES = 8
"""Size of a picture, at least, in what is not read: encoders write 20 for one in which nothing moves."""
HEAD_BYTES = 512
"""As much of a sequence header is read."""
AV1C_BYTES = 4
"""Bytes of an av1C box before its OBUs (AV1 Codec ISO Media File Format Binding, 2.3)."""
AV1C_MARK = b"\x81"


class Obu(NamedTuple):
    """An OBU of a packet."""

    kind: int
    begin: int
    """Place of its payload in the packet."""
    end: int
    spatial_id: int
    """0: of the base layer."""
    temporal_id: int
    has_layer: bool = False
    """It names its layers."""


def coded_pictures(packet: bytes) -> int:
    """Pictures that decoding a packet takes, shown or hidden; those that it shows again are none."""
    count = end = 0
    heads = PictureHeads()
    try:
        for obu in obus_of(packet):
            end = obu.end
            count += heads.begins(obu, packet) and not _shows_again(obu, packet)
    except HeaderError:
        # Decoders end here, too.
        return count
    return count + max(len(packet) - end, 0) // LEAST_PICTURE_BYTES


def padding_bytes(packet: bytes) -> int:
    """Bytes of OBUs that are there for nothing else, and are of no picture."""
    try:
        return sum(max(min(obu.end, len(packet)) - obu.begin, 0) for obu in obus_of(packet) if obu.kind == PADDING)
    except HeaderError:
        return 0


def is_keyframe(packet: bytes) -> bool:
    """True if the picture that a packet shows is a key frame; of those that are shown again, none is."""
    found = False
    heads = PictureHeads()
    try:
        for obu in obus_of(packet):
            if obu.kind == SEQUENCE_HEADER and packet[obu.begin : obu.begin + 1] and packet[obu.begin] & REDUCED_STILL:
                # All pictures of such a sequence are whole, and their headers have none of what is read below.
                return True
            if heads.begins(obu, packet) and not obu.spatial_id and obu.begin < len(packet):
                repeats, kind, shown = (packet[obu.begin] >> 7, packet[obu.begin] >> 5 & 3, packet[obu.begin] >> 4 & 1)
                if repeats or shown:
                    found = not repeats and kind == KEY_FRAME
    except HeaderError:
        return False
    return found


class PictureHeads:
    """Tells the OBUs of a packet that begin a picture, in order."""

    def __init__(self) -> None:
        self._awaits_tiles = False

    def begins(self, obu: Obu, packet: bytes) -> bool:
        """True if a decoder takes the OBU for the head of a picture.

        A redundant header is a copy of the one before (5.9.1). Where there is none, which the specification forbids
        (6.8.1), dav1d takes it for a head; and so it does behind a picture's last tiles. Which are the last is not
        read: the few streams that repeat headers between tiles count for more pictures than they have.
        """
        is_head = obu.kind in (FRAME, FRAME_HEADER) or (obu.kind == REDUNDANT_FRAME_HEADER and not self._awaits_tiles)
        if is_head:
            self._awaits_tiles = obu.kind != FRAME and not _shows_again(obu, packet)
        elif obu.kind == TILE_GROUP:
            self._awaits_tiles = False
        return is_head


def _shows_again(obu: Obu, packet: bytes) -> bool:
    return packet[obu.begin : obu.begin + 1] >= bytes([SHOWS_AGAIN])


def obus_of(packet: bytes) -> Iterator[Obu]:
    """The first OBUs of a packet (5.3).

    Raises:
        HeaderError: a size has no end.
    """
    position = 0
    for _ in range(OBUS):
        if position >= len(packet):
            return
        header, layers = packet[position], 0
        if header & 4:
            layers = (packet[position + 1 : position + 2] or b"\0")[0]
        position += 2 if header & 4 else 1
        size = len(packet) - position
        if header & 2:
            size, position = _leb128(packet, position)
        yield Obu(header >> 3 & 15, position, position + size, layers >> 3 & 3, layers >> 5, bool(header & 4))
        position += size


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """(value, position after it); 4.10.5."""
    value = 0
    for index, octet in enumerate(data[position : position + 8]):
        value |= (octet & 0x7F) << 7 * index
        if not octet & 0x80:
            return value, position + index + 1
    raise HeaderError("a size without end")
