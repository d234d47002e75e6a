"""H.264 whose pictures are coded as pairs of fields (PAFF), written bit by bit, because no available encoder makes it.

Sections are those of ITU-T H.264. Macroblocks contain raw samples (I_PCM), or repeat those of the previous picture
(P_Skip), so that a decoder's output is known to the bit.
"""

import io
from fractions import Fraction

import av
import numpy as np
from media import CLOCK, FRAME_TICKS, RATE, Recipe, painted
from numpy.typing import NDArray

SIZE = Recipe(width=192, height=128)
"""Whole macroblocks, in each field too."""
BLOCK = 16
COLUMNS, ROWS = SIZE.width // BLOCK, SIZE.height // BLOCK // 2
"""Macroblocks of a field."""
MAIN_PROFILE, LEVEL = 77, 30
SPS, PPS, IDR, SLICE = 0x67, 0x68, 0x65, 0x41
P_SLICE, I_SLICE = 5, 7
PCM_IN_I, PCM_IN_P = 25, 30
"""mb_type (tables 7-11 and 7-13)."""
FRAME_NUMBER_BITS = 8


class BitWriter:
    """Bits of one NAL unit."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def put(self, value: int, count: int = 1) -> None:
        """u(count)."""
        self._bits.append(f"{value:0{count}b}")

    def ue(self, *values: int) -> None:
        """Unsigned Exp-Golomb codes (9.1)."""
        for value in values:
            code = f"{value + 1:b}"
            self._bits.append("0" * (len(code) - 1) + code)

    def samples(self, values: NDArray[np.uint8]) -> None:
        """Whole bytes, starting at the next byte."""
        self._align()
        self._bits.append("".join(f"{value:08b}" for value in values.tobytes()))

    def unit(self, header: int) -> bytes:
        """The NAL unit with its start code; bytes that would form one are escaped (7.4.1)."""
        self.put(1)
        self._align()
        bits = "".join(self._bits)
        escaped = bytearray()
        zeros = 0
        for octet in int(bits, 2).to_bytes(len(bits) // 8, "big"):
            if zeros >= 2 and octet <= 3:
                escaped.append(3)
                zeros = 0
            escaped.append(octet)
            zeros = 0 if octet else zeros + 1
        return b"\0\0\0\1" + bytes([header]) + bytes(escaped)

    def _align(self) -> None:
        self._bits.append("0" * (-sum(map(len, self._bits)) % 8))


def field_coded(count: int, *, gop: int, apart: bool, cut: int | None = None) -> bytes:
    """An MPEG-TS of `count` pictures, each of two fields, an IDR picture every `gop`.

    Args:
        apart: whether each field has a PES packet and a time stamp of its own, or the two of a picture share them.
        cut: the picture with whose second field another scene begins, which lasts up to the next IDR picture.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as output:
        stream = output.add_mux_stream("h264", rate=RATE, width=SIZE.width, height=SIZE.height)
        for number in range(count):
            place = number % gop
            since = -1 if cut is None or number - place > cut else number - cut
            top, bottom = (
                _field(painted(SIZE, number, int(since >= (not side)), still=True), place, bottom=side, since=since)
                for side in (False, True)
            )
            head = _sequence_parameters() + picture_parameters() if place == 0 else b""
            halves = [head + top, bottom] if apart else [head + top + bottom]
            for half, data in enumerate(halves):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, CLOCK)
                packet.pts = packet.dts = number * FRAME_TICKS + half * FRAME_TICKS // 2
                packet.is_keyframe = place == 0 and half == 0
                output.mux(packet)
    return file.getvalue()


def _sequence_parameters() -> bytes:
    bits = BitWriter()
    bits.put(MAIN_PROFILE, 8)
    bits.put(LEVEL, 16)
    # Identifier, bits of frame_num, output in decoding order, two reference frames.
    bits.ue(0, FRAME_NUMBER_BITS - 4, 2, 2)
    bits.put(0)
    bits.ue(COLUMNS - 1, ROWS - 1)
    # Fields may be, frames are not of mixed macroblocks, direct_8x8_inference, no cropping, no VUI.
    bits.put(0b00100, 5)
    return bits.unit(SPS)


def picture_parameters() -> bytes:
    """The picture parameter set."""
    bits = BitWriter()
    bits.ue(0, 0)
    bits.put(0, 2)
    bits.ue(0, 0, 0)
    bits.put(0, 3)
    bits.ue(0, 0, 0)
    # The loop filter can be switched off.
    bits.put(0b100, 3)
    return bits.unit(PPS)


def _field(luma: NDArray[np.float64], place: int, *, bottom: bool, since: int) -> bytes:
    """One field of the picture `place` pictures after its IDR picture: complete, or only its uppermost blocks, of which
    every fourth picture has more, for encoders make no two of one size.

    `since` is counted in pictures: from the one whose bottom field is complete, and gives the next top field the rest.
    """
    whole = place == 0 or (since == 0 and bottom)
    levels = np.rint(16 + luma[int(bottom) :: 2] * 219 / 255).astype(np.uint8)
    instant = place == 0 and not bottom
    bits = BitWriter()
    bits.ue(0, P_SLICE if place else I_SLICE, 0)
    bits.put(place % 2**FRAME_NUMBER_BITS, FRAME_NUMBER_BITS)
    bits.put(0b11 if bottom else 0b10, 2)
    if instant:
        bits.ue(0)
    if place and since == 1 and not bottom:
        # One reference, and the list reordered: first the field before, of the other parity (7.3.3.1).
        bits.put(0b01, 2)
        bits.ue(0, 2, 3)
    elif place:
        bits.put(0b00, 2)
    bits.put(0, 2 if instant else 1)
    bits.ue(0, 1)
    rows = ROWS if whole else 1 + (place % 4 == 1)
    for row in range(rows):
        for column in range(COLUMNS):
            if place:
                bits.ue(0)
            bits.ue(PCM_IN_P if place else PCM_IN_I)
            block = levels[row * BLOCK :, column * BLOCK :][:BLOCK, :BLOCK]
            bits.samples(np.concatenate([block.ravel(), np.full(BLOCK * BLOCK // 2, 128, np.uint8)]))
    if not whole:
        bits.ue((ROWS - rows) * COLUMNS)
    return bits.unit(IDR if instant else SLICE)
