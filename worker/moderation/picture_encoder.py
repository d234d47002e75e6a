"""Decoded pictures to JPEG, in memory that each one overwrites.

With fresh memory the colours of a picture take 5 ms at 720p instead of 2, the rest in page faults.
"""

from typing import Any

import cv2
import numpy as np

from sampler.picture import Picture, Plane, yuv_to_rgb
from worker.evidence.picture import MAX_SIDE_PIXELS, bgr_to_jpeg, to_jpeg


class PictureEncoder:
    """Encodes one picture after the other, each at most MAX_SIDE_PIXELS on its longer side.

    Between pictures it holds memory of one picture's size, three times, and no pixels.
    """

    def __init__(self) -> None:
        self._size = (0, 0)
        self._planes: list[Plane] = []
        self._yuv: Any = None
        self._bgr: Any = None

    def jpeg(self, picture: Picture) -> bytes:
        """Returns the picture as it is shown.

        Raises:
            EvidenceError: it cannot be encoded.
        """
        if len(picture.planes) != 3:
            return to_jpeg(picture.rgb())
        rows, columns = picture.planes[0].shape
        scale = min(1.0, MAX_SIDE_PIXELS / max(rows, columns))
        self._make_room(max(1, round(columns * scale)), max(1, round(rows * scale)))
        try:
            return bgr_to_jpeg(self._upright(picture, self._colours(picture)))
        finally:
            for memory in (*self._planes, self._yuv, self._bgr):
                memory.fill(0)

    def _make_room(self, width: int, height: int) -> None:
        if self._size != (width, height):
            self._planes = [np.empty((height, width), np.uint8) for _ in range(3)]
            self._yuv, self._bgr = (np.empty((height, width, 3), np.uint8) for _ in range(2))
            self._size = (width, height)

    def _colours(self, picture: Picture) -> Any:
        """uint8, (height, width, 3), BGR, full range, as stored."""
        width, _ = self._size
        planes = []
        for plane, memory in zip(picture.planes, self._planes, strict=True):
            rows, columns = plane.shape
            if (columns, rows) == self._size:
                planes.append(plane)
                continue
            # Means of areas take 7 ms at full HD, where linear interpolation, in 1, leaves out nothing that shows.
            method = cv2.INTER_AREA if columns >= 2 * width else cv2.INTER_LINEAR
            cv2.resize(plane, self._size, dst=memory, interpolation=method)
            planes.append(memory)
        cv2.merge(planes, dst=self._yuv)
        # The rows of the matrix, from the last to the first, give B, G and R.
        to_bgr = np.ascontiguousarray(yuv_to_rgb(picture.matrix, picture.full_range)[::-1])
        cv2.transform(self._yuv, to_bgr, dst=self._bgr)
        return self._bgr

    def _upright(self, picture: Picture, stored: Any) -> Any:
        if picture.mirrored:
            stored = stored[:, ::-1]
        return np.ascontiguousarray(np.rot90(stored, picture.rotation_degrees // 90 % 4))
