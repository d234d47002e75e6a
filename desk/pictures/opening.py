"""Opening of a sealed picture with the desk's key. It is decoded and drawn anew: a worker's bytes are never sent."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import cv2

from desk.errors import PictureRefusedError
from desk.pictures.reduction import Reduction, reduced
from desk.pictures.watermark import watermarked
from worker.errors import EvidenceError, ObjectStoreError
from worker.evidence.item import ItemHead
from worker.evidence.picture import Pixels, as_png, decoded, fitted
from worker.evidence.reading import EvidenceReader, FoundItem
from worker.evidence.sealing import Identity

CLEAR_PIXELS: Final = 960
"""Longer side of a clear picture, <=."""
CLEAR_QUALITY: Final = 92
_DAMAGED: Final = frozenset({"damaged", "swapped"})


@dataclass(frozen=True, kw_only=True)
class OpenedPicture:
    """A picture that was opened."""

    found: FoundItem
    head: ItemHead
    pixels: Pixels = field(repr=False)
    """uint8, (height, width, 3), BGR."""


class PictureOpener:
    """Opens pictures. Its methods block, and may be called by several threads."""

    def __init__(self, make_reader: Callable[[], EvidenceReader], read_identity: Callable[[], Identity]) -> None:
        """Both are called when needed: a store is opened again after it failed, and a key may be replaced."""
        self._make_reader = make_reader
        self._read_identity = read_identity
        self._reader: EvidenceReader | None = None
        self._lock = threading.Lock()

    def open(self, ref: str) -> OpenedPicture:
        """Opens a picture.

        Raises:
            PictureRefusedError: it cannot be opened, and why.
            StoreError: Redis failed.
        """
        with self._lock:
            reader = self._reader = self._reader or self._make_reader()
        try:
            found, head, jpeg = reader.open(ref, self._read_identity())
            return OpenedPicture(found=found, head=head, pixels=decoded(jpeg, grey=False))
        except ObjectStoreError as error:
            self.reopen()
            raise PictureRefusedError("store") from error
        except EvidenceError as error:
            # Without the cause: a log line has the reason.
            raise PictureRefusedError("altered" if error.reason in _DAMAGED else error.reason) from None

    def reopen(self) -> None:
        """Opens the store anew for the next picture."""
        with self._lock:
            self._reader = None


def reduced_png(picture: OpenedPicture, reduction: Reduction) -> bytes:
    """The picture as it opens first."""
    return as_png(reduced(picture.pixels, reduction))


def clear_jpeg(picture: OpenedPicture, mark: str) -> bytes:
    """The clear picture, with its mark.

    Raises:
        PictureRefusedError: it cannot be drawn.
    """
    pixels = watermarked(fitted(picture.pixels, CLEAR_PIXELS), mark)
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, CLEAR_QUALITY])
    if not done:
        raise PictureRefusedError("altered")
    return encoded.tobytes()
