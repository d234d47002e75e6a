"""Single fields of a file of hashes: hex digits, qualities, ids, lines of quoted fields."""

import hashlib
import math
import re
from binascii import Error as BinasciiError
from binascii import unhexlify
from collections.abc import Iterable
from typing import Final

from config.counts import counted
from models.bank.entries import LARGEST_ID, HashKind
from models.errors import ListFormatError

EMPTY_FILE: Final = frozenset(hashlib.new(name, usedforsecurity=False).digest() for name in ("md5", "sha1", "sha256"))
"""Hashes of a file without bytes."""

LARGEST_QUALITY: Final = 100

MOST_TAGS: Final = 32
"""Tags travel in every event of a match."""

LARGEST_TAG: Final = 200
"""Characters of a tag."""

# Possessive throughout: a line of a million blanks or quotes is read once, not once for each.
_FIELD: Final = re.compile(r'\s*+(?:"((?:[^"]++|"")*+)"\s*+|([^",]*+))(,|\Z)')
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,20})?(?:[eE][-+]?[0-9]{1,3})?")


def hash_value(text: str, kind: HashKind, place: str) -> bytes:
    """Reads the hex digits of a hash, upper or lower case, with space around them.

    Raises:
        ListFormatError: they are not hex, or not as many as `kind` has.
    """
    text = text.strip()
    try:
        value = unhexlify(text)
    except (BinasciiError, ValueError):
        value = b""
    if len(value) == kind.size_bytes:
        return value
    digits = 2 * kind.size_bytes
    if len(text) != digits:
        raise ListFormatError(
            place, f"expected {kind.value} of {digits} hex digits, found {counted(len(text), 'character')}"
        )
    wrong = next(at for at, letter in enumerate(text, start=1) if letter not in "0123456789abcdefABCDEF")
    raise ListFormatError(place, f"expected {kind.value} of {digits} hex digits, found another character at {wrong}")


def quality(text: str, place: str) -> int:
    """Reads a PDQ quality, 0 to 100.

    Raises:
        ListFormatError: it is no whole number in that range.
    """
    text = text.strip()
    if not _WHOLE.fullmatch(text) or int(text) > LARGEST_QUALITY:
        raise ListFormatError(place, f"expected a quality, a whole number from 0 to {LARGEST_QUALITY}")
    return int(text)


def seconds(text: str, place: str) -> float:
    """Reads a time in a video, in seconds, >= 0.

    Raises:
        ListFormatError: it is no such number.
    """
    text = text.strip()
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ListFormatError(place, "expected seconds in a video, 0 or more")
    return value


def frame_number(text: str, place: str) -> int:
    """Reads a frame's number in its video.

    Raises:
        ListFormatError: it is no whole number.
    """
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        raise ListFormatError(place, "expected a frame's number, 0 or more")
    return int(text)


def entry_id(text: str, place: str) -> str:
    """Checks an entry's id.

    Raises:
        ListFormatError: it is empty, too long, or would not show when printed.
    """
    if not 1 <= len(text) <= LARGEST_ID or not text.isprintable():
        raise ListFormatError(place, f"expected an id of 1 to {LARGEST_ID} printable characters")
    return text


def tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Makes tags of a source's comments on an entry: none is a reason to refuse a list.

    Empty texts and repeated ones are left out, what would not print becomes a space, and what is over LARGEST_TAG or
    MOST_TAGS is cut.
    """
    found = (text.strip()[:LARGEST_TAG] for text in texts if text)
    printable = (tag if tag.isprintable() else _printable(tag) for tag in found)
    return tuple(dict.fromkeys(tag for tag in printable if tag))[:MOST_TAGS]


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def split(line: str, place: str) -> list[str]:
    """The fields of a line, stripped; those with commas or quotes are in double quotes, with quotes doubled.

    Raises:
        ListFormatError: a quote is not closed, or stands within a field.
    """
    if '"' not in line:
        return [field.strip() for field in line.split(",")]
    fields, at = [], 0
    while True:
        match = _FIELD.match(line, at)
        if match is None:
            raise ListFormatError(place, "expected fields with quotes only around them, and closed")
        quoted, plain, comma = match.groups()
        fields.append(plain.strip() if quoted is None else quoted.replace('""', '"'))
        if not comma:
            return fields
        at = match.end()
