"""Still pictures: their size is read from the header first, and only then are they decoded. Runs in the child."""

import struct
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from config.counts import counted
from sampler.errors import (
    DecoderMemoryError,
    EmptyInputError,
    TooLargeError,
    TooSmallError,
    TruncatedError,
    UndecodableError,
    UnsupportedContainerError,
)
from sampler.limits import Limits, has_room

DECODING_BYTES = 8
"""Memory for each pixel, while it is decoded: RGB, and as much again within libjpeg, libwebp or the GIF reader."""
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers SOF0 to SOF15 (ITU-T T.81, table B.1)."""
JPEG_ALONE = frozenset([0x01, *range(0xD0, 0xD9)])
"""Markers without a length."""
TIFF_WIDTH, TIFF_HEIGHT = 256, 257
TIFF_FORMATS = {1: "B", 3: "H", 4: "I"}


def decode_still(data: bytes, limits: Limits) -> NDArray[np.uint8]:
    """The picture in `data`: uint8, (H, W, 3), RGB, as libjpeg-turbo, libpng and the others decode it.

    Transparency is dropped, not blended, and EXIF orientation is not applied: the pixels are those that Pillow's
    `Image.convert("RGB")` gives, which is what hash lists are made from.

    Raises:
        InputError: empty, unsupported_container, truncated, too_small, too_large or undecodable.
        DecoderMemoryError: it would take more memory than there is.
    """
    if not data:
        raise EmptyInputError("the picture file is empty: expected PNG, JPEG, WebP, GIF, BMP or TIFF")
    width, height = still_size(data)
    if width * height > limits.picture_pixels:
        raise TooLargeError(f"the picture is {width}×{height}: expected at most {limits.picture_pixels} pixels")
    if min(width, height) < limits.picture_side_pixels:
        raise TooSmallError(f"the picture is {width}×{height}: expected at least {limits.picture_side_pixels} a side")
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise DecoderMemoryError(f"the decoder hit its memory bound at a {width}×{height} picture") from error
        raise UndecodableError(f"the {width}×{height} picture is damaged") from error
    if decoded is None:
        if not has_room(DECODING_BYTES * width * height):
            raise DecoderMemoryError(f"the decoder hit its memory bound at a {width}×{height} picture")
        raise UndecodableError(f"the {width}×{height} picture is damaged")
    if decoded.shape[:2] != (height, width):
        raise UndecodableError(f"the picture's header says {width}×{height}, its content is of another size")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def still_size(data: bytes) -> tuple[int, int]:
    """(width, height) from the header, without decoding.

    Raises:
        UnsupportedContainerError: not a kind of picture file that we read.
        TruncatedError: the header is not complete.
    """
    reader = next((reader for magic, reader in HEADERS if data.startswith(magic)), None)
    if reader is None:
        raise UnsupportedContainerError("not a picture file: expected PNG, JPEG, WebP, GIF, BMP or TIFF")
    try:
        return reader(data)
    except (struct.error, IndexError) as error:
        raise TruncatedError(f"the picture file ends after {counted(len(data), 'byte')}, within its header") from error


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes) -> tuple[int, int]:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        # A negative height means that rows run from the top.
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _jpeg(data: bytes) -> tuple[int, int]:
    position = 2
    while True:
        while data[position] != 0xFF:
            position += 1
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        if marker in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 4)
            return width, height
        position += 1
        if marker not in JPEG_ALONE:
            position += struct.unpack_from(">H", data, position)[0]


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        (size,) = struct.unpack_from("<6s", data, 24)
        return int.from_bytes(size[:3], "little") + 1, int.from_bytes(size[3:], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    sizes: dict[int, int] = {}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (TIFF_WIDTH, TIFF_HEIGHT) and kind in TIFF_FORMATS:
            (sizes[tag],) = struct.unpack_from(order + TIFF_FORMATS[kind], data, entry + 8)
    return sizes.get(TIFF_WIDTH, 0), sizes.get(TIFF_HEIGHT, 0)


HEADERS: tuple[tuple[bytes, Callable[[bytes], tuple[int, int]]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"GIF87a", _gif),
    (b"GIF89a", _gif),
    (b"BM", _bmp),
    (b"RIFF", _webp),
    (b"II*\x00", _tiff),
    (b"MM\x00*", _tiff),
)
"""First bytes of the files that we read."""
