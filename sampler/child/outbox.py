"""The decoder process's way to hand pictures over: in two memory files that alternate.

The parent makes them for one request, at their full size, of which only what is written takes memory, and seals them:
they can neither grow nor shrink under its hands. That pixels may change, if the decoder is taken over, is no more than
the lie that it could have sent in the first place.
"""

import gc
import os
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np

from sampler.child import wire
from sampler.decode.presentation.planes import StoredPicture, views_of
from sampler.errors import DecoderMemoryError
from sampler.limits import BATCH_BYTES, BATCH_PICTURES
from sampler.picture import LUMA_MIN, LUMA_SPAN, Plane

STEP = 4
"""Every fourth pixel of every fourth row is read: anything that a person can recognise is larger."""
SPREAD_LEVELS = 12
"""Widest band (of 256 levels) that holds all but `OUTLIERS` of a flat plane: coding noise, grain."""
OUTLIERS = 0.005
"""Share of pixels that may lie outside the band: a logo of 0.5 % of the picture is no content."""
BLACK_MAX, WHITE_MIN = 32, 224
"""Full-range luma of a black picture is at most the one, of a white one at least the other."""

COARSE = 4
"""Every fourth of these, of every fourth row, is read first: where they differ too much, all do."""


class Outbox:
    """The way of pictures and messages to the parent."""

    def __init__(self, sock: socket.socket, files: Sequence[int], number: int) -> None:
        """Hands over through a socket and two files (descriptors); every message carries the request's number."""
        self._sock = sock
        self._files = files
        self._number = number
        self.pictures = 0
        """Pictures that were put in so far."""
        self._turn = 0
        self._entries: list[dict[str, object]] = []
        self._size = 0
        self._owed = False

    def add(self, picture: StoredPicture, buffers: tuple[Any, ...], entry: dict[str, object]) -> None:
        """Puts one more picture in, behind the ones before; sends all if it is enough."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        size = sum(view.nbytes for view in views)
        try:
            written = os.pwritev(self._files[self._turn], views, self._size)
        except OSError as error:  # EPERM beyond the file's end, EFBIG over RLIMIT_FSIZE, ENOMEM, ENOSPC
            raise DecoderMemoryError(f"there is no memory for the pictures: {error.strerror}") from error
        if written != size:
            raise DecoderMemoryError("there is no memory for the pictures")
        flat = flatness(views_of(picture, views), full_range=picture.full_range)
        self._entries.append({"picture": vars(picture), "flat": flat, **entry})
        self._size += size
        self.pictures += 1
        if self._size >= BATCH_BYTES or len(self._entries) >= BATCH_PICTURES:
            self.send({"type": "more"})
            self._owed = True
            # A PyAV frame whose side data was read is part of a cycle: it would keep its pixels until Python's
            # collector, which counts objects and not bytes, thinks of it.
            gc.collect()

    def send(self, message: dict[str, object]) -> None:
        """Sends a message with the pictures that are there."""
        if self._owed:
            # Once the parent is done with the other file we may write there.
            wire.await_go_on(self._sock)
            self._owed = False
        numbered = {**message, "number": self._number}
        if self._entries:
            numbered |= {"file": self._turn, "pictures": self._entries}
        wire.send(self._sock, numbered)
        self.drop()
        self._turn = 1 - self._turn

    def drop(self) -> None:
        """Forgets the pictures that were not sent."""
        self._entries, self._size = [], 0


def flatness(planes: Sequence[Plane], *, full_range: bool) -> str | None:
    """Returns "black", "white" or "blank" if every plane is one shade, else None.

    Args:
        planes: as of a `Picture`.
        full_range: of the first one.
    """
    for plane in planes:
        coarse = np.sort(plane[:: COARSE * STEP, :: COARSE * STEP].reshape(-1))
        outliers = int(OUTLIERS * coarse.size * COARSE * COARSE) + 1
        if 2 * outliers < coarse.size and int(coarse[-1 - outliers]) - int(coarse[outliers]) > SPREAD_LEVELS:
            return None
        # Of RGB all three channels at once: a picture of one shade that is no grey counts as content.
        counts = np.bincount(plane[::STEP, ::STEP].reshape(-1), minlength=256).cumsum()
        low, high = np.searchsorted(counts, (OUTLIERS * counts[-1], (1 - OUTLIERS) * counts[-1]))
        if high - low > SPREAD_LEVELS:
            return None
    level = float(np.median(planes[0][::STEP, ::STEP]))
    if not full_range:
        level = (level - LUMA_MIN) * (255 / LUMA_SPAN)
    if level <= BLACK_MAX:
        return "black"
    return "white" if level >= WHITE_MIN else "blank"
