"""Entry to all readers: the format of a file, and its records."""

from collections.abc import Collection, Iterator
from typing import BinaryIO, Final, assert_never

from models.errors import ListFormatError
from models.formats import signals
from models.formats.csvlist import is_header, read_csv
from models.formats.ncmec import read_ncmec
from models.formats.records import Format, Progress, Record
from models.formats.source import ListSource, state, without_mark
from models.formats.vics import read_vics

HEAD_BYTES: Final = 4096
"""Bytes of a file that `sniff` reads."""

CATEGORISED: Final = frozenset({Format.VICS, Format.NCMEC})
"""Formats whose entries have categories."""

_PDQ_DIGITS: Final = 64
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


def sniff(head: bytes) -> Format:
    """Recognises a format by the first HEAD_BYTES of a file.

    JSON and XML count as the one format of theirs that is read here: its reader reports what is wrong with them.

    Raises:
        ListFormatError: it is none that we read.
    """
    if not head:
        raise ListFormatError("line 1", "expected a list of hashes, found an empty file")
    text = without_mark(head).decode(errors="replace").lstrip()
    if text.startswith("{"):
        return Format.VICS
    if text.startswith("<"):
        return Format.NCMEC
    line = text.partition("\n")[0]
    found = [field.strip() for field in line.split(",")]
    if is_header(line):
        return Format.CSV
    if found in signals.VPDQ_HEADERS or (len(found) == 4 and _is_pdq(found[2])):
        return Format.VPDQ
    if found == signals.PDQ_HEADER or (len(found) in (1, 3) and _is_pdq(found[0])):
        return Format.PDQ
    if found in signals.SIGNAL_HEADERS or (len(found) > 1 and signals.is_signal_name(found[0])):
        return Format.THREATEXCHANGE
    raise ListFormatError("line 1", f"expected one of the formats {', '.join(Format)}; name it if this is one")


def read(
    file: BinaryIO,
    *,
    format: Format | None = None,  # noqa: A002 (the word that the command line has for it)
    progress: Progress | None = None,
    video: str = "video",
    categories: Collection[str] = (),
) -> Iterator[Record]:
    """Reads a file of hashes, in bounded memory, from its start.

    No order among the records matters: an id that is removed has no entry in the same file. One id may have several
    entries, also of one kind where the file is at odds with itself: all are kept, for each may be known material.

    Args:
        file: seekable, opened as binary.
        format: how it is laid out; None: recognised by its content.
        progress: called after each block with the bytes read so far; NCMEC's are read twice, and count half each time.
        video: names the video that a file of frames (vPDQ, PDQ with timestamps) is of; the file's stem, say. Empty:
            frames are refused.
        categories: VICS categories or NCMEC classifications to take; none: all. Other formats have none, and are
            refused with them.

    Raises:
        ListFormatError: it is malformed or changed meanwhile, also after records have been given: take none of them.
    """
    if not file.seekable():
        raise ListFormatError("file", "expected a file that can be read from its start again, not a pipe")
    before = state(file)
    file.seek(0)
    named = sniff(file.read(HEAD_BYTES)) if format is None else format
    file.seek(0)
    if categories and named not in CATEGORISED:
        raise ListFormatError(
            "start of file", f"expected {' or '.join(sorted(CATEGORISED))} where categories are chosen, found {named}"
        )
    yield from _read(named, file, progress, video, categories)
    if state(file) != before:
        raise ListFormatError("end of file", "expected a file at rest: it changed while it was read")


def _read(
    format: Format,  # noqa: A002
    file: BinaryIO,
    progress: Progress | None,
    video: str,
    categories: Collection[str],
) -> Iterator[Record]:
    match format:
        case Format.CSV:
            return read_csv(ListSource(file, progress))
        case Format.PDQ:
            return signals.read_pdq(ListSource(file, progress), video=video)
        case Format.VPDQ:
            return signals.read_vpdq(ListSource(file, progress), video=video)
        case Format.THREATEXCHANGE:
            return signals.read_signals(ListSource(file, progress), video=video)
        case Format.VICS:
            return read_vics(ListSource(file, progress), categories=categories)
        case Format.NCMEC:
            return read_ncmec(file, progress, categories=categories)
    assert_never(format)


def _is_pdq(text: str) -> bool:
    return len(text) == _PDQ_DIGITS and set(text) <= _HEX_DIGITS
