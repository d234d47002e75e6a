"""How the decoder process hands pictures over: in two memory files, by turns.

The parent makes them for one request, at their full size, of which only what is written takes memory, and seals them:
they can neither grow nor shrink under its hands. That pixels may change, if the decoder is taken over, is no more than
the lie that it could have told in the first place.
"""

import gc
import os
import socket
from collections.abc import Sequence
from typing import Any

from sampler.child import wire
from sampler.decode.flat import flatness
from sampler.decode.planes import StoredPicture, views_of
from sampler.errors import DecoderMemoryError
from sampler.limits import BATCH_BYTES, BATCH_PICTURES


class Outbox:
    """The way of pictures and messages to the parent."""

    def __init__(self, sock: socket.socket, files: Sequence[int], number: int) -> None:
        """Hands over through a socket and two files (descriptors); every message carries the request's number."""
        self._sock = sock
        self._files = files
        self._number = number
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
        if self._size >= BATCH_BYTES or len(self._entries) >= BATCH_PICTURES:
            self.send({"type": "more"})
            self._owed = True
            # A PyAV frame whose side data was looked at is part of a cycle: it would keep its pixels until Python's
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
