"""H.264 that leans on a picture of long ago, written bit by bit, because no available encoder makes it.

Sections are those of ITU-T H.264. A picture is complete (I_PCM), or has its number in a row of raw macroblocks and for
the rest repeats the one of long ago, so that a decoder's output is known to the bit.
"""

import numpy as np
from fields import (
    BLOCK,
    COLUMNS,
    FRAME_NUMBER_BITS,
    I_SLICE,
    IDR,
    LEVEL,
    MAIN_PROFILE,
    P_SLICE,
    PCM_IN_I,
    PCM_IN_P,
    SIZE,
    SLICE,
    SPS,
    BitWriter,
    picture_parameters,
)
from media import muxed, painted
from numpy.typing import NDArray

ROWS = SIZE.height // BLOCK
UNREFERENCED_SLICE = 0x01
NO_REFERENCE = 15
"""Number of a long-term reference that there is not."""
KEPT_SCENE, OWN_SCENE = 0, 1
RECOVERY_POINT = b"\0\0\0\1\x06\x06\x01\x84\x80"
"""An SEI message (D.1.8): all is right from here on."""
NEXT_RECOVERY_POINT = b"\0\0\0\1\x06\x06\x01\x41\x80"
"""The same of the picture after this one."""


def with_long_reference(
    count: int, *, second: int, named: bool, forgotten: int = 0, claim: bytes = RECOVERY_POINT
) -> bytes:
    """An MPEG-TS of `count` pictures. The first is kept as a reference, which all others show below their numbers; but
    picture `second` is intra coded, shows another scene, and claims that decoding may begin there.

    Args:
        count: of pictures.
        second: number of the second intra coded one.
        named: whether the reference is a long-term one, which pictures name; or the older one of a list of two, after
            a picture none of which is a reference itself.
        forgotten: number of long-term references, none of which there is, that pictures which name one put out, each
            by an operation in their slice header.
        claim: of the second intra coded picture.
    """

    def picture(number: int) -> bytes:
        head = sequence_parameters(named=named) + picture_parameters() if number in (0, second) else b""
        coded = _naming(number, second, forgotten) if named else _listing(number, second)
        return head + claim * (number == second) + coded

    return muxed(map(picture, range(count)), SIZE)


def shown_at(number: int, second: int) -> NDArray[np.float64]:
    """Luma of picture `number`, (H, W), full range."""
    luma = painted(SIZE, number, OWN_SCENE if number == second else KEPT_SCENE, still=True)
    if number not in (0, second):
        luma[BLOCK:] = painted(SIZE, 0, KEPT_SCENE, still=True)[BLOCK:]
    return luma


def sequence_parameters(*, named: bool) -> bytes:
    bits = BitWriter()
    bits.put(MAIN_PROFILE, 8)
    bits.put(LEVEL, 16)
    # Identifier, bits of frame_num, output in decoding order or by counts of as many bits, two reference frames.
    bits.ue(0, FRAME_NUMBER_BITS - 4, *((2,) if named else (0, FRAME_NUMBER_BITS - 4)), 2)
    bits.put(0)
    bits.ue(COLUMNS - 1, ROWS - 1)
    # Frames only, direct_8x8_inference, no cropping, no VUI.
    bits.put(0b1100, 4)
    return bits.unit(SPS)


def _naming(number: int, second: int, forgotten: int) -> bytes:
    """A picture that names the long-term reference."""
    intra = number in (0, second)
    bits = BitWriter()
    bits.ue(0, I_SLICE if intra else P_SLICE, 0)
    bits.put(number % 2**FRAME_NUMBER_BITS, FRAME_NUMBER_BITS)
    if number == 0:
        bits.ue(0)
    if not intra:
        # One reference as in the PPS; the first of the list is the long-term one.
        bits.put(0)
        bits.put(1)
        bits.ue(2, 0, 3)
    if number == 0:
        # Earlier pictures are put out, this one is kept for long.
        bits.put(0b01, 2)
    elif forgotten:
        bits.put(1)
        for _ in range(forgotten):
            bits.ue(2, NO_REFERENCE)
        bits.ue(0)
    else:
        bits.put(0)
    put_blocks(bits, number, second, older=False)
    return bits.unit(SLICE if number else IDR)


def _listing(number: int, second: int) -> bytes:
    """A picture that takes the older one of two references, without a name."""
    intra = number in (0, second)
    bits = BitWriter()
    bits.ue(0, I_SLICE if intra else P_SLICE, 0)
    bits.put((number > 0) + (number > second), FRAME_NUMBER_BITS)
    if number == 0:
        bits.ue(0)
    bits.put(2 * number % 2**FRAME_NUMBER_BITS, FRAME_NUMBER_BITS)
    if not intra:
        # One reference as in the PPS, or two.
        bits.put(number > second)
        if number > second:
            bits.ue(1)
        bits.put(0)
    elif number == 0:
        bits.put(0b00, 2)
    else:
        bits.put(0)
    put_blocks(bits, number, second, older=number > second)
    return bits.unit(IDR if number == 0 else SLICE if intra else UNREFERENCED_SLICE)


def put_blocks(bits: BitWriter, number: int, second: int, *, older: bool) -> None:
    """From slice_qp_delta on: all blocks raw, or the upper ones, and the rest repeated from the first reference in the
    list, or the second and `older` one."""
    intra = number in (0, second)
    levels = np.rint(16 + shown_at(number, second) * 219 / 255).astype(np.uint8)
    bits.ue(0, 1)
    for row in range(ROWS if intra else 1):
        for column in range(COLUMNS):
            if not intra:
                bits.ue(0)
            bits.ue(PCM_IN_I if intra else PCM_IN_P)
            block = levels[row * BLOCK :, column * BLOCK :][:BLOCK, :BLOCK]
            bits.samples(np.concatenate([block.ravel(), np.full(BLOCK * BLOCK // 2, 128, np.uint8)]))
    if intra:
        return
    if not older:
        bits.ue((ROWS - 1) * COLUMNS)
        return
    for _ in range((ROWS - 1) * COLUMNS):
        # P_L0_16x16, the second reference, no motion, no residual.
        bits.ue(0, 0)
        bits.put(0b0)
        bits.ue(0, 0, 0)
