"""A file of hashes as blocks and lines, in bounded memory, and refused if it is not UTF-8."""

import codecs
import os
from collections.abc import Iterator
from typing import BinaryIO, Final

from models.errors import ListFormatError
from models.formats.records import Progress

BLOCK_BYTES: Final = 1 << 18
"""Read at once. With the longest line, or the largest value, it bounds what a reader holds."""

LONGEST_LINE_BYTES: Final = 1 << 20
"""A vPDQ signal of 3.5 hours at a frame a second; a longer line is no line."""

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HEAD_BYTES: Final = 4


class ListSource:
    """A file, read once from where it stands to its end."""

    def __init__(self, file: BinaryIO, progress: Progress | None = None) -> None:
        self._file = file
        self._progress = progress

    def blocks(self) -> Iterator[bytes]:
        """The file's bytes without a byte-order mark, about BLOCK_BYTES at a time.

        Raises:
            ListFormatError: it is empty, in UTF-16, or cannot be read.
        """
        head = self._read()
        while len(head) < _HEAD_BYTES and (more := self._read()):
            head += more
        if not head:
            raise ListFormatError("line 1", "expected a list of hashes, found an empty file")
        done = len(head)
        yield without_mark(head)
        self._tell(done)
        while block := self._read():
            done += len(block)
            yield block
            self._tell(done)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number, from 1, and text of each line without its end (LF or CRLF).

        Empty lines at the end of the file are left out; those before are not.

        Raises:
            ListFormatError: as `blocks`, and where a line is too long or not UTF-8.
        """
        number, empty = 0, 0
        for block in self._whole_lines():
            try:
                text = block.decode()
            except UnicodeDecodeError as error:
                line = number + empty + block.count(b"\n", 0, error.start) + 1
                raise ListFormatError(f"line {line}", "expected text in UTF-8") from None
            for line_text in text.split("\n"):
                if not line_text or line_text.isspace():
                    empty += 1
                    continue
                for _ in range(empty):
                    number += 1
                    yield number, ""
                empty = 0
                number += 1
                yield number, line_text

    def _whole_lines(self) -> Iterator[bytes]:
        """Blocks that end where a line ends, without that last end."""
        rest, number = b"", 1
        for block in self.blocks():
            whole, end, tail = block.rpartition(b"\n")
            if not end:
                rest += tail
            else:
                whole = rest + whole
                yield whole
                number += whole.count(b"\n") + 1
                rest = tail
            if len(rest) > LONGEST_LINE_BYTES:
                raise ListFormatError(f"line {number}", f"expected a line of at most {LONGEST_LINE_BYTES} bytes")
        if rest:
            yield rest

    def _tell(self, done_bytes: int) -> None:
        if self._progress is not None:
            self._progress(done_bytes)

    def _read(self) -> bytes:
        try:
            return self._file.read(BLOCK_BYTES)
        except OSError as error:
            raise ListFormatError("file", f"cannot be read: {error.strerror}") from error


def state(file: BinaryIO) -> tuple[int, int] | None:
    """Values that change when a file is written to; None for what is no file of the system, such as bytes in memory."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return None
    return found.st_size, found.st_mtime_ns


def without_mark(head: bytes) -> bytes:
    """The first bytes of a file without a UTF-8 byte-order mark.

    Raises:
        ListFormatError: they are UTF-16, marked or not.
    """
    if head.startswith(_UTF16_MARKS) or b"\0" in head[:2]:
        raise ListFormatError("line 1", "expected text in UTF-8, found UTF-16: save the file as UTF-8")
    return head.removeprefix(codecs.BOM_UTF8)
