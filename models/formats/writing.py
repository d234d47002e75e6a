"""Exports of lists: as Livewarden's own CSV, or as ThreatExchange text."""

from collections.abc import Iterable
from typing import Final, TextIO

from models.bank.entries import Entry
from models.formats.csvlist import COLUMNS, TAG_SEPARATOR
from models.formats.signals import SIGNAL_HEADERS

_NEEDS_QUOTES: Final = frozenset(',"')


def write_csv(entries: Iterable[Entry], file: TextIO) -> int:
    """Writes a list with every column, to be read again as it was; gives the number of entries.

    A `;` in a tag becomes a comma, for it parts tags.
    """
    file.write(",".join(COLUMNS) + "\n")
    count = 0
    for entry in entries:
        cells = (
            entry.value.hex(),
            _quoted(entry.entry),
            entry.kind.value,
            _quoted(TAG_SEPARATOR.join(tag.replace(TAG_SEPARATOR, ",") for tag in entry.tags)),
            _quoted(entry.video or ""),
            "" if entry.seconds is None else repr(entry.seconds),
        )
        file.write(",".join(cells) + "\n")
        count += 1
    return count


def write_signals(entries: Iterable[Entry], file: TextIO) -> int:
    """Writes lines `signal_type,value`, which hold neither ids nor tags; gives the number of entries."""
    file.write(",".join(SIGNAL_HEADERS[0]) + "\n")
    count = 0
    for entry in entries:
        file.write(f"{entry.kind.value},{entry.value.hex()}\n")
        count += 1
    return count


def _quoted(text: str) -> str:
    if not _NEEDS_QUOTES.isdisjoint(text) or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text
