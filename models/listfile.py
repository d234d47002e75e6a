"""The file of a hash list: `NAME.csv`, header `hash` or `hash,id`, one PDQ hash a line as 64 hex digits.

A byte-order mark, CRLF line ends and empty lines at the end are accepted, as are duplicated hashes and ids (lists are
joined from many sources) and a list with no entry; an empty id stands for the line's number. Anything else refuses the
list whole, since half a list would look like a whole one. Refusals do not quote hashes: they end up in logs.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from models.errors import HashFormatError, HashListError
from models.pdq import PdqHash

SELFTEST = "selftest"
"""The name of the built-in list; a file may not take it."""

SUFFIX = ".csv"

MAX_FILE_BYTES = 1 << 30
"""A list of 10^7 entries with ids of 36 characters is 1.0 GB; a larger file is a mistake."""

MAX_ID_CHARACTERS = 200
"""Ids travel in every event that tells a match."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")

_HEADERS = {"hash": False, "hash,id": True}
"""Header -> whether entries carry ids."""


@dataclass(frozen=True, kw_only=True)
class ListFile:
    """A list to be read."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class ListContent:
    """What a list's file says."""

    hashes: bytes
    """32 bytes an entry."""
    entries: tuple[str, ...]
    """The entries' ids, or their line numbers; the header is line 1."""


def list_files(folder: Path) -> tuple[ListFile, ...]:
    """The lists of a folder, by name. Files with another suffix, and hidden ones, are no lists.

    Raises:
        HashListError: the folder cannot be read.
    """
    try:
        paths = sorted(
            path for path in folder.iterdir() if path.suffix.lower() == SUFFIX and not path.name.startswith(".")
        )
    except OSError as error:
        raise HashListError(f"{folder}: expected a folder of hash lists: {error.strerror}") from error
    return tuple(ListFile(name=path.stem, path=path) for path in paths if not path.name.startswith("."))


def read_list(file: ListFile) -> ListContent:
    """Reads and checks a list.

    Raises:
        HashListError: naming file, line and what was expected.
    """
    if not _NAME.fullmatch(file.name):
        raise HashListError(f"{file.path}: expected a list name of 1 to 100 characters out of A-Z a-z 0-9 . _ -")
    if file.name == SELFTEST:
        raise HashListError(f"{file.path}: the name {SELFTEST} is kept for the built-in list: rename the file")
    if file.path.suffix != SUFFIX:
        raise HashListError(f"{file.path}: expected the suffix {SUFFIX} in lower case")
    header, *lines = _read_text(file.path).rstrip().split("\n")
    has_ids = _HEADERS.get(header.strip())
    if has_ids is None:
        raise HashListError(f"{file.path}, line 1: expected the header 'hash' or 'hash,id', found {header[:80]!r}")
    hashes, entries = bytearray(), []
    for number, line in enumerate(lines, start=2):
        try:
            bits, entry = _read_line(line, has_ids=has_ids)
        except HashFormatError as error:
            raise HashListError(f"{file.path}, line {number}: {error}") from error
        hashes += bits
        entries.append(str(number) if entry is None else entry)
    return ListContent(hashes=bytes(hashes), entries=tuple(entries))


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise HashListError(f"{path}: expected a list of at most {MAX_FILE_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise HashListError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise HashListError(f"{path}, line {line}: expected text in UTF-8") from error


def _read_line(line: str, *, has_ids: bool) -> tuple[bytes, str | None]:
    """The hash, and the id if the list has ids; ids may be quoted, and hold commas only then."""
    text, comma, entry = line.rstrip("\r").partition(",")
    bits = PdqHash.from_hex(text.strip()).bits
    if not has_ids:
        if comma:
            raise HashFormatError("expected one hash and nothing else, as the header says, found a comma")
        return bits, None
    if not comma:
        raise HashFormatError("expected two fields, hash and id, as the header says, found one")
    entry = entry.strip()
    if not entry:
        return bits, None
    if len(entry) >= 2 and entry[0] == entry[-1] == '"':
        entry = entry[1:-1].replace('""', '"')
    elif "," in entry:
        raise HashFormatError("expected two fields, hash and id; put an id with a comma in double quotes")
    if not 1 <= len(entry) <= MAX_ID_CHARACTERS or not entry.isprintable():
        raise HashFormatError(f"expected an id of 1 to {MAX_ID_CHARACTERS} printable characters")
    return bits, entry
