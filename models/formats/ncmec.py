"""NCMEC hash sharing v2: the XML of a query's result, with tombstones for what members withdrew.

Source: facebook/ThreatExchange, `python-threatexchange/threatexchange/exchanges/clients/ncmec/`. Results come in pages,
which are not in the order of time and may have one id twice. So pages joined in one file are read as one, and a file
is read twice: first for the newest item of each id, then for its content. An id is `MEMBER-ID`, for ids are a
member's own.
"""

from array import array
from collections.abc import Collection, Iterator, Mapping
from typing import BinaryIO, Final

import numpy as np

from models.bank.entries import Entry, HashKind
from models.formats import fields
from models.formats.ncmecxml import Item, read_items
from models.formats.records import Progress, Record, Removal, Skip, SkipReason
from models.formats.source import ListSource

_KINDS: Final = {kind.value: kind for kind in HashKind}


def read_ncmec(file: BinaryIO, progress: Progress | None, *, categories: Collection[str] = ()) -> Iterator[Record]:
    """Reads a result of a query; `categories` are classifications to take ("A1"), none: all.

    Raises:
        ListFormatError: naming the element and what was expected.
    """
    start = file.tell()
    size = file.seek(0, 2) - start
    file.seek(start)
    newest = _newest(ListSource(file, None if progress is None else lambda done: progress(done // 2)))
    file.seek(start)
    for item in read_items(ListSource(file, None if progress is None else lambda done: progress((size + done) // 2))):
        last = newest.get(hash(item.key))
        if last is not None and last != _word(item):
            yield Skip(place=item.place, reason=SkipReason.SUPERSEDED)
        elif item.deleted:
            yield Removal(entry=fields.entry_id(item.key, item.place))
        elif categories and item.classification not in categories:
            yield Skip(place=item.place, reason=SkipReason.OTHER_CATEGORY)
        else:
            yield from _records(item)


def _records(item: Item) -> Iterator[Record]:
    tags = fields.tags(
        [item.media, f"classification:{item.classification}" if item.classification else "", f"member:{item.member}"]
    )
    name = fields.entry_id(item.key, item.place)
    if not item.fingerprints:
        yield Skip(place=item.place, reason=SkipReason.NO_HASH)
    for fingerprint, text in item.fingerprints:
        kind = _KINDS.get(fingerprint)
        if kind is None:
            yield Skip(place=item.place, reason=SkipReason.UNSUPPORTED_HASH)
            continue
        value = fields.hash_value(text, kind, f"{item.place} {kind.value}")
        if value in fields.EMPTY_FILE:
            yield Skip(place=item.place, reason=SkipReason.EMPTY_FILE)
        else:
            yield Entry(entry=name, kind=kind, value=value, tags=tags)


def _word(item: Item) -> int:
    """Time of an item of an id; a tombstone is newer than an entry of the same instant."""
    return 2 * item.timestamp_micros + item.deleted


def _newest(source: ListSource) -> Mapping[int, int]:
    """The newest item of every id that the file has more than once, by the id's hash.

    16 bytes an item until then: ids that come once, nearly all, need no more room.
    """
    keys, words = array("q"), array("q")
    for item in read_items(source):
        keys.append(hash(item.key))
        words.append(_word(item))
    key, word = np.frombuffer(keys, np.int64), np.frombuffer(words, np.int64)
    order = np.lexsort((word, key))
    key, word = key[order], word[order]
    same = key[1:] == key[:-1]
    last_of_many = np.append(~same, True) & np.insert(same, 0, False) if len(key) else same
    return dict(zip(key[last_of_many].tolist(), word[last_of_many].tolist(), strict=True))
