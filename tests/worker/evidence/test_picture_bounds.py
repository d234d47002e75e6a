"""Bounds of a picture's decoding: a worker that a stream has taken over may seal any bytes."""

import cv2
import numpy as np
import pytest

from worker.errors import EvidenceError
from worker.evidence.picture import decoded, size_of, to_jpeg

SIDE_PIXELS = 2_000
"""Of the hidden picture: decoded, it would be 12 MB; 30,000 are 2.7 GB."""
FRAME = b"\xff\xc0"
SCAN = b"\xff\xda"


@pytest.fixture
def jpeg() -> bytes:
    """A picture of 64 × 64."""
    return to_jpeg(np.random.default_rng(7).integers(0, 255, (64, 64, 3), dtype=np.uint8))


def hidden(jpeg: bytes, marker: bytes) -> bytes:
    """A large picture whose frame has another marker; a frame of 64 × 64 stands where a decoder reads data."""
    at, scan = jpeg.index(FRAME), jpeg.index(SCAN)
    large = SIDE_PIXELS.to_bytes(2, "big") * 2
    coded = scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4], "big")
    small = jpeg[at : at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")]
    head = jpeg[:at] + marker + jpeg[at + 2 : at + 5] + large + jpeg[at + 9 : coded]
    return head + small + jpeg[coded:]


@pytest.mark.parametrize("number", [0xC3, 0xC5, 0xC9, 0xCA, 0xCD])
def test_a_picture_has_one_size(jpeg: bytes, number: int) -> None:
    """Four small pictures would take all memory of the desk, and end it."""
    bytes_ = hidden(jpeg, bytes((0xFF, number)))
    with pytest.raises(EvidenceError):
        size_of(bytes_)
    with pytest.raises(EvidenceError):
        decoded(bytes_, grey=False)


def test_opencv_would_decode_the_large_one(jpeg: bytes) -> None:
    """The test above would try something that no decoder reads."""
    found = cv2.imdecode(np.frombuffer(hidden(jpeg, b"\xff\xc9"), np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    assert found.shape == (SIDE_PIXELS, SIDE_PIXELS, 3)


@pytest.mark.parametrize("inserted", [b"\xff", b"\xff\xd0", b"\xff\x01", b"\xff\xe5\x00\x00", b"\xff\xda\x00\x02"])
def test_what_hides_a_frame_is_refused(jpeg: bytes, inserted: bytes) -> None:
    """A marker that a decoder skips in another way would hide the size as well."""
    at = jpeg.index(FRAME)
    with pytest.raises(EvidenceError):
        size_of(jpeg[:at] + inserted + jpeg[at:])
    assert size_of(jpeg) == (64, 64)
