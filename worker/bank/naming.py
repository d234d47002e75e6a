"""Names of entries that nobody named."""

import hashlib

from models.bank.entries import HashKind

_DIGITS = 16


def entry_id(list_name: str, kind: HashKind, value: bytes) -> str:
    """The same for the same hash of the same list, so that adding it twice makes one entry; it tells no hash."""
    digest = hashlib.sha256(b"\0".join([b"livewarden entry", list_name.encode(), kind.encode(), value]))
    return f"e-{digest.hexdigest()[:_DIGITS]}"
