"""Ids of entries: those that people give, and those of entries that nobody named."""

import hashlib
import math

from models.bank.entries import LARGEST_ID, Entry, HashKind
from worker.errors import BankRequestError

_DIGITS = 16


def entry_id(list_name: str, kind: HashKind, value: bytes) -> str:
    """The same for the same hash of the same list, so that adding it twice makes one entry; it tells no hash."""
    digest = hashlib.sha256(b"\0".join([b"livewarden entry", list_name.encode(), kind.encode(), value]))
    return f"e-{digest.hexdigest()[:_DIGITS]}"


def check_entry(entry: Entry) -> Entry:
    """Gives back an entry that a person typed, if it may be kept.

    Raises:
        BankRequestError: its id, a tag or its video's id is empty, too long or does not print.
    """
    for what, text in (("--id", entry.entry), ("--video", entry.video), *(("--tag", tag) for tag in entry.tags)):
        if text is not None and (not 1 <= len(text) <= LARGEST_ID or not text.isprintable()):
            raise BankRequestError(f"{what}: expected 1 to {LARGEST_ID} printable characters")
    if entry.seconds is not None and not (math.isfinite(entry.seconds) and entry.seconds >= 0):
        raise BankRequestError("--seconds: expected 0 or more")
    return entry
