"""Matches files with lists of MD5, SHA-1 and SHA-256 digests; such a file need not be decodable."""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from config.facts import ListMatch
from models.bank.bank import Bank
from models.bank.entries import HashKind
from worker.bank.folder_lists import layers
from worker.bank.lists_in_force import as_list_match

BLOCK_BYTES = 1 << 20

DIGESTS = (HashKind.MD5, HashKind.SHA1, HashKind.SHA256)


def match_file(bank: Bank, data: bytes | BinaryIO) -> tuple[ListMatch, ...]:
    """Entries that are digests of this very file, which is read once and rewound.

    Raises:
        OSError: it cannot be read.
    """
    wanted = [kind for kind in DIGESTS if _holds(bank, kind)]
    if not wanted:
        return ()
    hashers = [(kind, hashlib.new(kind.value, usedforsecurity=False)) for kind in wanted]
    for block in _blocks(data):
        for _, hasher in hashers:
            hasher.update(block)
    return tuple(as_list_match(match) for kind, hasher in hashers for match in bank.find(kind, hasher.digest()))


def _holds(bank: Bank, kind: HashKind) -> bool:
    """Returns whether any list has such digests: reading a film takes seconds."""
    return any(
        (layer.snapshot is not None and kind in layer.snapshot.tables)
        or any(entry.kind is kind for _, entry in layer.delta.entries)
        for layer in layers(bank)
    )


def _blocks(data: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    if not data.seekable():  # a pipe: the decoder needs its bytes
        return
    start = data.tell()
    while block := data.read(BLOCK_BYTES):
        yield block
    data.seek(start)
