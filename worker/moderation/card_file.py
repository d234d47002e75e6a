"""The test card as a file: a picture, or a few seconds of video."""

from io import BytesIO
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SECONDS = 4
FRAMES_PER_SECOND = 25
GOP_SECONDS = 2

Card = NDArray[np.uint8]
"""uint8, (H, W, 3), RGB."""


def card_png(card: Card) -> bytes:
    """`card` as a PNG file."""
    encoded = BytesIO()
    Image.fromarray(card).save(encoded, "PNG")
    return encoded.getvalue()


def card_mp4(card: Card) -> bytes:
    """`SECONDS` of `card` as H.264 in an MP4 file, playable everywhere (4:2:0)."""
    encoded = BytesIO()
    with av.open(encoded, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.height, stream.width = card.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "g": str(FRAMES_PER_SECOND * GOP_SECONDS)}
        picture = av.VideoFrame.from_ndarray(card, format="rgb24")
        for index in range(SECONDS * FRAMES_PER_SECOND):
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return encoded.getvalue()
