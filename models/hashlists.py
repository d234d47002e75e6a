"""Hash lists: named sets of PDQ hashes of known material, and the matches of a picture among them.

A list comes from a file `NAME.csv` (`models.listfile`); the list `selftest` (the test card) is built in. Searching is
flat and exact: every listed hash is compared, so a list of one hash matches as surely as one of a million.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from models.errors import HashListError, UnhashableError
from models.listfile import SELFTEST, ListFile, list_files, read_list
from models.pdq import MATCH_DISTANCE, MIN_QUALITY, PdqHash
from models.testcard import TESTCARD_HASHES

MAX_MATCHES_A_LIST = 16
"""Nearest matches told of one list; more of one picture are near-duplicates in the list and tell nothing new."""

_VERSION_DIGITS = 12
"""Hex digits of SHA-256 that name a list's version: 48 bits tell apart what one deployment ever loads."""

_WORDS = 4
"""A hash is four 64-bit words."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """A listed hash within MATCH_DISTANCE of a picture's."""

    list: str
    entry: str
    """The entry's id in its list, or the number of its line; never the listed hash itself."""
    distance: int
    """0 to MATCH_DISTANCE."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HashList:
    """One list, ready to be searched."""

    name: str
    version: str
    """Changes when the list's content does."""
    entries: tuple[str, ...]
    words: npt.NDArray[np.uint64]
    """uint64, (4, entries): the hashes' bytes in machine order, which a Hamming distance does not care about."""

    @classmethod
    def of(cls, name: str, hashes: bytes, entries: Sequence[str]) -> "HashList":
        """Makes a list of `hashes`, 32 bytes an entry; its version follows from hashes and entry ids."""
        digest = hashlib.sha256(hashes)
        digest.update("\n".join(entries).encode())
        words = np.ascontiguousarray(np.frombuffer(hashes, np.uint64).reshape(-1, _WORDS).T)
        return cls(name=name, version=digest.hexdigest()[:_VERSION_DIGITS], entries=tuple(entries), words=words)

    def match(self, pdq: PdqHash) -> tuple[Match, ...]:
        """The nearest MAX_MATCHES_A_LIST entries within MATCH_DISTANCE (<=), nearest first, then in list order."""
        distances = np.zeros(len(self.entries), np.uint16)  # 256 apart is possible, and would be 0 in uint8
        for listed, wanted in zip(self.words, np.frombuffer(pdq.bits, np.uint64), strict=True):
            distances += np.bitwise_count(listed ^ wanted)
        found = np.flatnonzero(distances <= MATCH_DISTANCE)
        nearest = found[np.argsort(distances[found], kind="stable")][:MAX_MATCHES_A_LIST]
        return tuple(
            Match(list=self.name, entry=self.entries[place], distance=int(distances[place])) for place in nearest
        )


@dataclass(frozen=True, kw_only=True)
class HashLists:
    """All lists in force. Immutable: a reload makes another one, so a match never sees half a change."""

    lists: Mapping[str, HashList]

    @property
    def versions(self) -> dict[str, str]:
        """List name -> version of its content."""
        return {name: hash_list.version for name, hash_list in self.lists.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """List name -> number of entries."""
        return {name: len(hash_list.entries) for name, hash_list in self.lists.items()}

    def match(self, pdq: PdqHash) -> tuple[Match, ...]:
        """All matches of a picture, list by list, each list's nearest first. Empty: it is in no list.

        Raises:
            UnhashableError: its quality is under MIN_QUALITY, so that nothing can be said. Ask `pdq.hashable` first.
        """
        if not pdq.hashable:
            raise UnhashableError(f"a PDQ hash of quality {pdq.quality}: expected {MIN_QUALITY} or more to match it")
        return tuple(match for hash_list in self.lists.values() for match in hash_list.match(pdq))


@dataclass(frozen=True, kw_only=True)
class Reload:
    """What reading the folder again gave."""

    lists: HashLists
    """In force from now on: the new version of every good list, the last good one of every refused list."""
    refusals: tuple[HashListError, ...] = field(default=())
    """Why lists were refused, one error a list, each naming file and line."""


def load_lists(folder: Path | None) -> HashLists:
    """Loads the built-in list and those of `folder`; None: only the built-in one.

    Raises:
        HashListError: the folder cannot be read, or a list is refused. The text tells the first refusal and how many
            more there are.
    """
    loaded = reload_lists(HashLists(lists={}), folder)
    if loaded.refusals:
        first, more = loaded.refusals[0], len(loaded.refusals) - 1
        raise HashListError(f"{first} (and {more} more refused)" if more else str(first)) from first
    return loaded.lists


def reload_lists(previous: HashLists, folder: Path | None) -> Reload:
    """Reads the folder again; a list that is now refused keeps its version of `previous`, if it has one there.

    A list whose file is gone is withdrawn. If the folder itself cannot be read, everything stays as it was.
    """
    try:
        files = list_files(folder) if folder is not None else ()
    except HashListError as error:
        return Reload(lists=HashLists(lists=_frozen([_selftest(), *previous.lists.values()])), refusals=(error,))
    lists, refusals = [_selftest()], []
    for file in files:
        try:
            lists.append(_load(file))
        except HashListError as error:
            refusals.append(error)
            last_good = previous.lists.get(file.name)
            if last_good is not None and file.name != SELFTEST:
                lists.append(last_good)
    return Reload(lists=HashLists(lists=_frozen(lists)), refusals=tuple(refusals))


def _load(file: ListFile) -> HashList:
    content = read_list(file)
    return HashList.of(file.name, content.hashes, content.entries)


def _selftest() -> HashList:
    hashes = b"".join(bytes.fromhex(text) for text in TESTCARD_HASHES.values())
    return HashList.of(SELFTEST, hashes, tuple(TESTCARD_HASHES))


def _frozen(lists: Sequence[HashList]) -> Mapping[str, HashList]:
    return MappingProxyType({hash_list.name: hash_list for hash_list in lists})
