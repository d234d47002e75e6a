"""The door to every reader: which format a file has, and what it says."""

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from models.errors import ListFormatError
from models.formats.csvlist import is_header, read_csv
from models.formats.records import Format, Progress, Record
from models.formats.source import Source, without_mark

HEAD_BYTES: Final = 4096
"""What `sniff` wants to see of a file."""

_READERS: Final[dict[Format, Callable[[Source], Iterator[Record]]]] = {Format.CSV: read_csv}


def sniff(head: bytes) -> Format:
    """Recognises a format by the first HEAD_BYTES of a file.

    Raises:
        ListFormatError: it is none that we read.
    """
    text = without_mark(head).decode(errors="replace").lstrip()
    line = text.partition("\n")[0].strip()
    if is_header(line):
        return Format.CSV
    known = ", ".join(Format)
    raise ListFormatError("line 1", f"expected one of the formats {known}; name it if this is one")


def read(
    file: BinaryIO,
    *,
    format: Format | None = None,  # noqa: A002 (the word that the command line has for it)
    progress: Progress | None = None,
    video: str = "video",
) -> Iterator[Record]:
    """Reads a file of hashes, in bounded memory, from its start.

    No order among the records matters: an id that is removed has no entry in the same file.

    Args:
        file: seekable, opened as binary.
        format: how it is laid out; None: recognised by its content.
        progress: told after each block how many bytes have been read.
        video: names the video of which a file of frames (vPDQ) tells; the file's stem, say.

    Raises:
        ListFormatError: it is malformed, also after records have been given: take none of them.
    """
    file.seek(0)
    named = sniff(file.read(HEAD_BYTES)) if format is None else format
    file.seek(0)
    del video
    yield from _READERS[named](Source(file, progress))
