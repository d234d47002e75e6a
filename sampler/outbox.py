"""How the decoder child hands pictures over: in two memory files that are written again and again.

Writing into memory that is there already costs a sixth of making some anew. The parent maps each file once. A file
cannot shrink under the parent's hands; that its pixels may change, if the child is taken over, is no more than the lie
that it could have told in the first place.
"""

import fcntl
import gc
import os
import socket
from collections.abc import Sequence
from typing import Any

from sampler import wire
from sampler.errors import DecoderMemoryError
from sampler.flat import flatness
from sampler.planes import StoredPicture, views_of

BATCH_BYTES = 16 << 20
"""Pictures are handed over when they reach this size: the parent works on one file while we fill the other, and tells
when it is done. What is not in use counts against nobody's address space."""
KEPT_BYTES = 2 * BATCH_BYTES
"""A file that has grown over this, for large pictures, is made anew."""
SEALS = fcntl.F_SEAL_SHRINK


class _File:
    """Memory that only grows."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._size = 0
        self._told = 0

    def write(self, views: Sequence[memoryview], offset: int) -> None:
        """Puts the views one after the other at `offset`."""
        if self._descriptor is None:
            self._descriptor = os.memfd_create("livewarden-pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, SEALS)
        size = sum(view.nbytes for view in views)
        try:
            written = os.pwritev(self._descriptor, views, offset)
        except OSError as error:  # EFBIG over RLIMIT_FSIZE, ENOMEM, ENOSPC
            raise DecoderMemoryError(f"there is no memory for the pictures: {error.strerror}") from error
        if written != size:
            raise DecoderMemoryError("there is no memory for the pictures")
        self._size = max(self._size, offset + size)

    def news(self) -> list[int]:
        """The descriptor, if the other side has not mapped all of what there is."""
        if self._descriptor is None or self._told >= self._size:
            return []
        self._told = self._size
        return [self._descriptor]

    def trim(self) -> None:
        """Gives large memory back; the other side keeps what it has mapped."""
        if self._descriptor is not None and self._size > KEPT_BYTES:
            os.close(self._descriptor)
            self._descriptor, self._size, self._told = None, 0, 0


class Outbox:
    """The way of pictures and messages to the parent."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._files = (_File(), _File())
        self._turn = 0
        self._entries: list[dict[str, object]] = []
        self._size = 0
        self._owed = False

    def add(self, picture: StoredPicture, buffers: tuple[Any, ...], entry: dict[str, object]) -> None:
        """Puts one more picture in; sends all if it is enough."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        self._files[self._turn].write(views, self._size)
        flat = flatness(views_of(picture, views), full_range=picture.full_range)
        self._entries.append({"offset": self._size, "picture": vars(picture), "flat": flat, **entry})
        self._size += sum(view.nbytes for view in views)
        if self._size >= BATCH_BYTES:
            self.send({"type": "more"})
            self._owed = True
            gc.collect()

    def send(self, message: dict[str, object]) -> None:
        """Sends a message with the pictures that are there."""
        if self._owed:
            # Once the parent is done with the other file we may write there.
            wire.await_go_on(self._sock)
            self._owed = False
        if not self._entries:
            wire.send(self._sock, message)
            return
        file = self._files[self._turn]
        wire.send(self._sock, {**message, "file": self._turn, "pictures": self._entries}, file.news())
        file.trim()
        self.drop()
        self._turn = 1 - self._turn

    def drop(self) -> None:
        """Forgets the pictures that were not sent."""
        self._entries, self._size = [], 0
