"""Files that are one picture, told by their first bytes: names say little of what is pushed."""

from typing import BinaryIO

from worker.errors import LocalFileError

MAX_PICTURE_BYTES = 256 << 20
"""Uncompressed, 85 megapixels; the decoder bounds what compressed ones come to."""

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_HEAD_BYTES = 16


def is_picture(data: bytes | BinaryIO) -> bool:
    """Whether it begins as a PNG, JPEG, GIF, BMP, TIFF or WebP does; a pipe is taken for a video."""
    head = _head(data)
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def picture_bytes(data: bytes | BinaryIO) -> bytes:
    """All of a picture's bytes.

    Raises:
        LocalFileError: there are more than MAX_PICTURE_BYTES.
    """
    content = data if isinstance(data, bytes) else data.read(MAX_PICTURE_BYTES + 1)
    if len(content) > MAX_PICTURE_BYTES:
        raise LocalFileError(f"expected a picture of at most {MAX_PICTURE_BYTES} bytes")
    return content


def _head(data: bytes | BinaryIO) -> bytes:
    if isinstance(data, bytes):
        return data[:_HEAD_BYTES]
    if not data.seekable():
        return b""
    start = data.tell()
    head = data.read(_HEAD_BYTES)
    data.seek(start)
    return head
