"""Collects a response body within bounds, whatever its headers announce."""

import zlib
from typing import Protocol

from worker.errors import FetchError

_ZLIB_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""`deflate` is the zlib format (RFC 9110 section 8.4.1.2)."""


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class BoundedBody:
    """Collects at most `max_bytes`, counted both as sent and as decoded.

    Livewarden requests no encoding; some servers compress all the same, so gzip and deflate are decoded.
    """

    def __init__(self, *, shown: str, max_bytes: int, encoding: str = "identity") -> None:
        """`shown` is the URL as quoted in errors.

        Raises:
            FetchError: `bad_response`, for any other encoding.
        """
        self._shown = shown
        self._max_bytes = max_bytes
        self._sent_bytes = 0
        self._decoded = bytearray()
        self._inflater: _Inflater | None = None
        if encoding in _ZLIB_WINDOW_BITS:
            self._inflater = zlib.decompressobj(_ZLIB_WINDOW_BITS[encoding])
        elif encoding not in {"", "identity"}:
            raise FetchError(f"{shown}: expected no content encoding, got {encoding[:40]!r}", "bad_response")

    def __len__(self) -> int:
        return len(self._decoded)

    @property
    def prefix(self) -> bytes:
        """The bytes decoded so far."""
        return bytes(self._decoded)

    def feed(self, chunk: bytes) -> None:
        """Adds the next bytes as they were sent.

        Raises:
            FetchError: `too_large`, or `bad_response` if they do not decode.
        """
        self._sent_bytes += len(chunk)
        if self._inflater is None:
            self._decoded += chunk
        else:
            try:
                # At most one byte over the bound is decoded: a compression bomb never expands.
                self._decoded += self._inflater.decompress(chunk, self._max_bytes - len(self) + 1)
            except zlib.error as error:
                raise FetchError(f"{self._shown}: expected a body that decodes ({error})", "bad_response") from error
        if max(self._sent_bytes, len(self)) > self._max_bytes:
            raise FetchError(f"{self._shown}: expected at most {self._max_bytes} bytes", "too_large")

    def finish(self) -> bytes:
        """The complete body.

        Raises:
            FetchError: `bad_response`, if the encoded bytes stop early or continue after their end.
        """
        if self._inflater is not None and self._sent_bytes and (not self._inflater.eof or self._inflater.unused_data):
            raise FetchError(f"{self._shown}: expected a body that decodes to its end", "bad_response")
        return self.prefix
