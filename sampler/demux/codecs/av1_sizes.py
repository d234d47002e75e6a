"""Sizes of AV1's pictures, by their frame headers. Runs in the decoder child. Nothing here is trusted.

A sequence header tells the largest size that it allows. Encoders that change sizes, or could, name a large one there,
and each picture has its own.
"""

from collections.abc import Iterator
from typing import Final

from sampler.demux.codecs.av1 import AV1C_BYTES, AV1C_MARK, HEAD_BYTES, SEQUENCE_HEADER, Obu, obus_of
from sampler.demux.codecs.av1_headers import HEADERS, SequenceHead, read_pixels, read_render_size, read_sequence
from sampler.demux.codecs.bits import Bits, HeaderError

MOST_HEADS: Final = 16
"""Pictures of a packet whose render sizes are read (<=): encoders write six."""


class Av1Sizes:
    """Reads the packets of one stream, in order."""

    def __init__(self, extradata: bytes) -> None:
        """Reads the sequence header of an av1C box, if there is one."""
        self._sequence: SequenceHead | None = None
        self.leaves_out = False
        """Pictures came that are in none of the layers of operating point 0: decoders that take that one, as they do
        unless told otherwise, skip them, and encoders put all layers into it (6.4.1)."""
        if extradata[:1] == AV1C_MARK:
            self.largest(extradata[AV1C_BYTES:])

    def largest(self, packet: bytes) -> int:
        """Pixels of the largest picture that the packet says to code; 0: all have sizes of pictures before them.

        Of a head that makes no sense those of the largest that its sequence allows, 0 where no sequence is known.
        """
        pixels = end = 0
        try:
            for obu, sequence, bits in self._read(packet):
                end = obu.end
                if sequence is not None:
                    pixels = max(pixels, read_pixels(bits, sequence, obu))
        except HeaderError:
            end = 0
        # What is not read may be a picture as well.
        is_read = end >= len(packet)
        return pixels if is_read or self._sequence is None else max(pixels, self._sequence.pixels)

    def render_sizes(self, packet: bytes) -> tuple[list[tuple[int, int]], bool]:
        """Widths and heights at which pictures of the packet want to be rendered, where they name one, and whether all
        were read. A picture that takes the size of another one takes over that one's."""
        found: list[tuple[int, int]] = []
        heads = end = 0
        try:
            for obu, sequence, bits in self._read(packet):
                end = obu.end
                if sequence is None:
                    continue
                heads += 1
                if heads > MOST_HEADS:
                    return found, False
                if read_pixels(bits, sequence, obu) and (size := read_render_size(bits, sequence)):
                    found.append(size)
        except HeaderError:
            # Decoders end here, too.
            return found, True
        return found, end >= len(packet)

    def _read(self, packet: bytes) -> Iterator[tuple[Obu, SequenceHead | None, Bits]]:
        """The OBUs of a packet, whose sequence headers are kept; with the one in force where it is a picture's header,
        and its bits."""
        for obu in obus_of(packet):
            data = packet[obu.begin : min(obu.end, obu.begin + HEAD_BYTES)]
            if obu.kind == SEQUENCE_HEADER:
                self._sequence = read_sequence(data)
            elif obu.has_layer and obu.kind in HEADERS and self._sequence is not None:
                self.leaves_out |= not self._sequence.layers[0].holds(obu)
            yield obu, self._sequence if obu.kind in HEADERS else None, Bits(data, escaped=False)
