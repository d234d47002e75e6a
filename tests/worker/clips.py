"""Small real clips, made by recorded recipes from pictures that scikit-image ships, and from the test card."""

from collections.abc import Iterable
from functools import cache
from io import BytesIO
from typing import Any

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from models.testcard import testcard

WIDTH, HEIGHT, RATE = 640, 360, 25

Rgb = NDArray[np.uint8]
"""uint8, (H, W, 3)."""


@cache
def photo(name: str, width: int = WIDTH, height: int = HEIGHT) -> Rgb:
    """A picture of scikit-image by name, stretched to size."""
    loaded = np.asarray(getattr(skimage.data, name)())
    rgb = np.stack([loaded] * 3, axis=-1) if loaded.ndim == 2 else loaded[..., :3]
    return np.asarray(cv2.resize(np.ascontiguousarray(rgb), (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def shade(level: int) -> Rgb:
    """One grey all over."""
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def card() -> Rgb:
    """The test card."""
    return np.asarray(testcard(WIDTH, HEIGHT), np.uint8)


def held(picture: Rgb, seconds: float) -> list[Rgb]:
    """`picture`, shown for some time."""
    return [picture] * round(seconds * RATE)


def clip(pictures: Iterable[Rgb], *, container: str = "mpegts", gop_seconds: float = 2.0) -> bytes:
    """H.264 of `pictures` at 25 a second, without B-frames, with keyframes only every `gop_seconds`."""
    encoded = BytesIO()
    with av.open(encoded, "w", format=container) as output:
        stream: Any = output.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "g": str(round(gop_seconds * RATE)),
            "sc_threshold": "0",
        }
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return encoded.getvalue()
