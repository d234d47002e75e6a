"""Exports of lists: the platform's own, and those whose source has allowed it."""

from collections.abc import Callable, Iterable
from typing import Any, TextIO

from models.bank.bank import Bank
from models.bank.entries import Entry
from models.formats.records import Format
from models.formats.writing import write_csv, write_signals
from worker.bank.edits import must_exist
from worker.errors import BankRequestError

OWN_SOURCES = frozenset(["", "platform"])
"""`source` of the platform's own lists."""

_WRITERS: dict[Format, Callable[[Iterable[Entry], TextIO], int]] = {
    Format.CSV: write_csv,
    Format.THREATEXCHANGE: write_signals,
}


def entries_of(bank: Bank, name: str) -> Iterable[Entry]:
    """All entries of a list that may be exported.

    Raises:
        BankRequestError: there is no such list, or it may not.
    """
    spec = must_exist(bank, name)
    if not spec.exportable and spec.source not in OWN_SOURCES:
        raise BankRequestError(
            f"list {name} is from {spec.source} and may not be exported: only own lists and those created with "
            "--exportable may"
        )
    return bank.entries(name)


def entry_record(entry: Entry) -> dict[str, Any]:
    """The record that `livewarden bank export --json` prints."""
    return {
        "entry": entry.entry,
        "kind": str(entry.kind),
        "hash": entry.value.hex(),
        "tags": list(entry.tags),
        "video": entry.video,
        "seconds": entry.seconds,
    }


def export_list(bank: Bank, name: str, file: TextIO, layout: Format) -> int:
    """Writes a list to `file`; returns the number of its entries.

    Raises:
        BankRequestError: it may not be exported, or lists are not written in that layout.
    """
    entries = entries_of(bank, name)
    if layout not in _WRITERS:
        raise BankRequestError(f"--format {layout}: lists are written as {' or '.join(_WRITERS)}")
    return _WRITERS[layout](entries, file)
