"""Pictures of evidence: JPEG, of a bounded size, without metadata."""

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from worker.errors import EvidenceError

MAX_SIDE_PIXELS: Final = 1280
"""The longer side, <=: enough to judge by, and a tenth of what a 4K picture would take in the store."""

JPEG_QUALITY: Final = 85
"""Quality from 0 to 100, by OpenCV's measure. A person sees no difference to 95, which takes twice the bytes."""

Pixels = npt.NDArray[np.uint8]


def to_jpeg(rgb: npt.NDArray[Any]) -> bytes:
    """Returns a picture as JPEG, at most MAX_SIDE_PIXELS on its longer side and never enlarged.

    Args:
        rgb: uint8, (height, width, 3), RGB, full range.

    Raises:
        EvidenceError: another shape or type, or no pixel.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise EvidenceError(
            f"expected RGB as uint8 (height, width, 3), found {rgb.dtype} {rgb.shape}", reason="picture"
        )
    return bgr_to_jpeg(cv2.cvtColor(fitted(rgb, MAX_SIDE_PIXELS), cv2.COLOR_RGB2BGR))


def fitted(pixels: Pixels, longer_side_pixels: int) -> Pixels:
    """Returns a picture of at most that many pixels on its longer side, never enlarged."""
    height, width = pixels.shape[:2]
    longer = max(height, width)
    if longer <= longer_side_pixels:
        return pixels
    size = (max(1, round(width * longer_side_pixels / longer)), max(1, round(height * longer_side_pixels / longer)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def bgr_to_jpeg(bgr: npt.NDArray[Any]) -> bytes:
    """Returns a picture of the right size as JPEG.

    Args:
        bgr: uint8, (height, width, 3), BGR, full range.

    Raises:
        EvidenceError: it cannot be encoded.
    """
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise EvidenceError("a picture cannot be encoded as JPEG", reason="picture")
    return encoded.tobytes()


_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Markers of a frame's header: baseline, extended or progressive, without arithmetic coding."""
_BEFORE_FRAME: Final = frozenset({0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE})
"""Markers of segments that may come before it: tables, restart interval, applications' data, comment."""


def size_of(jpeg: bytes) -> tuple[int, int]:
    """Returns width and height in pixels of a JPEG of `to_jpeg`'s, from its header.

    Raises:
        EvidenceError: it is no such JPEG.
    """
    at = 2
    while jpeg[:2] == b"\xff\xd8" and at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4])
        if marker in _FRAMES:
            return int.from_bytes(jpeg[at + 7 : at + 9]), int.from_bytes(jpeg[at + 5 : at + 7])
        # A decoder takes the size of the first frame of any kind: one that is read over here would have another size.
        if marker not in _BEFORE_FRAME or length < 2:
            break
        at += 2 + length
    raise EvidenceError("expected a JPEG", reason="damaged")


BLURRED_PIXELS: Final = 48
"""Points along the longer side that a blurred picture is made of: they tell a room from a landscape, and no face."""


MAX_SCANS: Final = 10
"""Scans of a JPEG, <=: `to_jpeg` writes one, and encoders of progressive ones ten. Each takes the time of a complete
picture, and four megabytes have room for a hundred thousand."""

_SCAN: Final = b"\xff\xda"
"""Begins a scan; in coded data 0xFF is followed by zero or a restart marker."""


def decoded(jpeg: bytes, *, grey: bool) -> Pixels:
    """Returns a picture of evidence as uint8, (height, width) where it is grey, else (height, width, 3), BGR.

    The JPEG comes from a worker, which a stream may have taken over: time and memory are bounded by its size, its
    number of scans and MAX_SIDE_PIXELS, and its bytes are never handed on.

    Raises:
        EvidenceError: it is no JPEG of at most MAX_SIDE_PIXELS, or is damaged.
    """
    width, height = size_of(jpeg)
    if not (0 < width <= MAX_SIDE_PIXELS and 0 < height <= MAX_SIDE_PIXELS):
        raise EvidenceError(
            f"a picture of {width}×{height}: expected at most {MAX_SIDE_PIXELS} a side", reason="damaged"
        )
    if jpeg.count(_SCAN) > MAX_SCANS:
        raise EvidenceError(f"a picture of more than {MAX_SCANS} scans", reason="damaged")
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None or found.shape[:2] != (height, width):
        raise EvidenceError("a picture cannot be decoded", reason="damaged")
    return np.asarray(found, np.uint8)


def blurred(pixels: Pixels, points: float) -> Pixels:
    """Returns a picture of the same size that is made of so many points along its longer side."""
    height, width = pixels.shape[:2]
    scale = points / max(width, height)
    small = cv2.resize(
        pixels, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(large, (0, 0), 1 / scale), np.uint8)


def as_png(pixels: Pixels) -> bytes:
    """Returns a picture as PNG.

    Raises:
        EvidenceError: it cannot be encoded.
    """
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        raise EvidenceError("a picture cannot be encoded as PNG", reason="damaged")
    return encoded.tobytes()


def to_png(jpeg: bytes, *, clear: bool) -> bytes:
    """Returns a picture as PNG: grey and blurred, or as it is.

    Raises:
        EvidenceError: as `decoded`.
    """
    pixels = decoded(jpeg, grey=not clear)
    return as_png(pixels if clear else blurred(pixels, BLURRED_PIXELS))
