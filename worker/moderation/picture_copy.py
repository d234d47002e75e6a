"""A copy of a decoded picture: the decoder lends each one until the next."""

from dataclasses import replace

import numpy as np

from sampler.picture import Picture, Plane
from worker.moderation.verdict import SampleVerdict


class PictureCopy:
    """A copy of one picture with its verdict, in memory that each one overwrites."""

    def __init__(self) -> None:
        self.kept: tuple[Picture, SampleVerdict] | None = None
        self._buffers: list[Plane] = []

    def keep(self, picture: Picture, sample: SampleVerdict) -> None:
        """Copies a picture over the one before."""
        if [one.shape for one in self._buffers] != [one.shape for one in picture.planes]:
            self._buffers = [np.empty_like(plane) for plane in picture.planes]
        for buffer, plane in zip(self._buffers, picture.planes, strict=True):
            np.copyto(buffer, plane)
        self.kept = (replace(picture, planes=tuple(self._buffers)), sample)

    def forget(self) -> None:
        """Has no picture from now on."""
        self.kept = None
