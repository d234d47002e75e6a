"""The lists of LIVEWARDEN_LISTS_DIR: files `NAME.csv`, each the list NAME, read by each process for itself.

A file that is refused leaves its list as it last was. Such lists are searched flat: fit for some 10^5 hashes; larger
ones belong into the bank.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from config.regular_file import open_regular
from models.bank.bank import EMPTY, Bank, Match
from models.bank.delta import BankChange, Delta
from models.bank.entries import BUILT_IN, LIST_NAME, Entry, HashKind, ListSpec
from models.errors import HashListError, ListFormatError
from models.formats import Format, read
from models.pdq.pdq import PdqHash
from models.pdq.variant_kinds import Variant

_log = logging.getLogger(__name__)

SUFFIX = ".csv"
LARGEST_FLAT = 200_000
"""Entries of all files together, above which `livewarden doctor` advises to import them."""
_VERSION_DIGITS = 12

_NO_VARIANTS: Mapping[Variant, Sequence[PdqHash]] = MappingProxyType({})

Signature = tuple[int, int, int]
"""A file's inode, time of change in ns and size: another one means that it is to be read again."""


@dataclass(frozen=True, kw_only=True)
class FileList:
    """One file, read."""

    signature: Signature
    changes: tuple[BankChange, ...] = ()
    """What puts the list into a bank; none: nothing good was read of it yet."""
    refusal: HashListError | None = None
    """Why the file, as it is now, is refused."""


@dataclass(frozen=True, kw_only=True)
class FolderLists:
    """All of the folder. Immutable; `read_again` makes another one."""

    files: dict[Path, FileList] = field(default_factory=dict)
    refusal: HashListError | None = None
    """Why the folder itself cannot be read; its lists stay as they were."""

    @property
    def changes(self) -> tuple[BankChange, ...]:
        """What puts the lists into a bank."""
        return tuple(change for path in sorted(self.files) for change in self.files[path].changes)

    @cached_property
    def lists(self) -> dict[str, tuple[str, tuple[Entry, ...]]]:
        """List -> version, which follows from its entries, and those."""
        return {
            file.changes[0].list: (
                file.changes[0].id,
                tuple(change.entry for change in file.changes if change.entry is not None),
            )
            for file in self.files.values()
            if file.changes
        }

    @cached_property
    def bank(self) -> Bank:
        """The lists, to be compared with."""
        return Bank(delta=Delta().applied(*self.changes))

    @property
    def refusals(self) -> tuple[HashListError, ...]:
        """Why the folder or files are refused: each names file and line."""
        own = () if self.refusal is None else (self.refusal,)
        return own + tuple(file.refusal for file in self.files.values() if file.refusal is not None)

    @property
    def degraded(self) -> tuple[str, ...]:
        """Slugs: lists that are not what their files say."""
        own = () if self.refusal is None else ("lists-folder-unreadable",)
        refused = sorted(path.stem for path, file in self.files.items() if file.refusal is not None)
        return own + tuple(f"list-refused:{name}" for name in refused if LIST_NAME.fullmatch(name))


def read_again(before: FolderLists, folder: Path | None) -> FolderLists:
    """Reads the files that have changed; gives `before` itself if none has. A list whose file is gone is withdrawn."""
    if folder is None:
        return before
    try:
        signatures = {path: _signature(path) for path in _list_files(folder)}
    except OSError as error:
        refusal = HashListError(f"{folder}: expected a folder of hash lists: {error.strerror}")
        if str(before.refusal) == str(refusal):
            return before
        _log.warning("%s", refusal)
        return FolderLists(files=before.files, refusal=refusal)
    files = {}
    for path, signature in signatures.items():
        known = before.files.get(path)
        if known is not None and known.signature == signature:
            files[path] = known
            continue
        try:
            files[path] = FileList(signature=signature, changes=_read(path))
        except HashListError as error:
            _log.warning("a hash list is refused: %s", error)
            files[path] = FileList(signature=signature, changes=known.changes if known else (), refusal=error)
    if files == before.files and before.refusal is None:
        return before
    return FolderLists(files=files)


def load_folder(folder: Path | None) -> FolderLists:
    """Reads the folder for the first time; None: there is none.

    Raises:
        HashListError: the folder cannot be read, or a list is refused. The text tells the first refusal and how many
            more there are.
    """
    if folder is None:
        return FolderLists()
    try:
        paths = _list_files(folder)
        signatures = [_signature(path) for path in paths]
    except OSError as error:
        raise HashListError(f"{folder}: expected a folder of hash lists: {error.strerror}") from error
    files: dict[Path, FileList] = {}
    refusals: list[HashListError] = []
    for path, signature in zip(paths, signatures, strict=True):
        try:
            files[path] = FileList(signature=signature, changes=_read(path))
        except HashListError as error:
            refusals.append(error)
    if refusals:
        first, more = refusals[0], len(refusals) - 1
        raise HashListError(f"{first} (and {more} more refused)" if more else str(first)) from first
    return FolderLists(files=files)


def _list_files(folder: Path) -> list[Path]:
    """Files with another suffix, and hidden ones, are no lists."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == SUFFIX and not path.name.startswith("."))


def _signature(path: Path) -> Signature:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> tuple[BankChange, ...]:
    name = path.stem
    if not LIST_NAME.fullmatch(name):
        raise HashListError(f"{path}: expected a list name of 1 to 100 characters out of A-Z a-z 0-9 . _ -")
    if name in BUILT_IN:
        raise HashListError(f"{path}: the name {name} is kept for the built-in list: rename the file")
    if path.suffix != SUFFIX:
        raise HashListError(f"{path}: expected the suffix {SUFFIX} in lower case")
    try:
        with open_regular(path) as file:
            entries = [record for record in read(file, format=Format.CSV) if isinstance(record, Entry)]
    except ListFormatError as error:
        raise HashListError(f"{path}, {error}") from error
    except OSError as error:
        raise HashListError(f"{path}: cannot be read: {error.strerror}") from error
    version = _version(entries)
    spec = ListSpec(name=name, source=path.name)
    return (
        BankChange.put_list(spec, at_ms=0, id=version),
        *(BankChange.add(name, entry, at_ms=0, id=version) for entry in entries),
    )


def _version(entries: list[Entry]) -> str:
    """Follows from what the list holds."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.entry}\n{entry.kind} {entry.tags} {entry.video} {entry.seconds}\n".encode())
        digest.update(entry.value)
    return digest.hexdigest()[:_VERSION_DIGITS]


@dataclass(frozen=True, kw_only=True, eq=False)
class BankWithFiles(Bank):
    """A bank, and another one over it whose built-in lists do not count. A list that both have is the two together."""

    deployed: Bank
    """The one below: its snapshot and delta are this one's."""
    files: Bank

    @classmethod
    def of(cls, deployed: Bank, files: Bank) -> "BankWithFiles":
        """Both."""
        return cls(snapshot=deployed.snapshot, delta=deployed.delta, deployed=deployed, files=files)

    @cached_property
    def specs(self) -> Mapping[str, ListSpec]:
        """List name -> list; of one that both have, as the bank has it."""
        return MappingProxyType({**self.deployed.specs, **self.files.specs, **self.deployed.specs})

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """List name -> version of its content."""
        versions = dict(self.deployed.versions)
        for name, version in self.files.versions.items():
            if name not in BUILT_IN:
                own = versions.get(name, EMPTY)
                versions[name] = version if own == EMPTY else f"{own}+{version}"
        return MappingProxyType(versions)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """List name -> number of its entries."""
        sizes = dict(self.deployed.sizes)
        for name, size in self.files.sizes.items():
            if name not in BUILT_IN:
                sizes[name] = sizes.get(name, 0) + size
        return MappingProxyType(sizes)

    def match(self, pdq: PdqHash, *, variants: Mapping[Variant, Sequence[PdqHash]] = _NO_VARIANTS) -> tuple[Match, ...]:
        """As `Bank.match`, in both."""
        return self._together(self.deployed.match(pdq, variants=variants), self.files.match(pdq, variants=variants))

    def find(self, kind: HashKind, value: bytes) -> tuple[Match, ...]:
        """As `Bank.find`, in both."""
        return self._together(self.deployed.find(kind, value), self.files.find(kind, value))

    def exact(self, name: str, entry_id: str) -> tuple[Entry, ...]:
        """As `Bank.exact`, in both."""
        return self.deployed.exact(name, entry_id) + (() if name in BUILT_IN else self.files.exact(name, entry_id))

    def entries(self, name: str) -> Iterator[Entry]:
        """As `Bank.entries`, of both."""
        yield from self.deployed.entries(name)
        if name not in BUILT_IN:
            yield from self.files.entries(name)

    def _together(self, own: tuple[Match, ...], of_files: Iterable[Match]) -> tuple[Match, ...]:
        best: dict[tuple[str, str], Match] = {}
        for match in (*own, *(match for match in of_files if match.list not in BUILT_IN)):
            known = best.get((match.list, match.entry))
            if known is None or match.distance < known.distance:
                best[match.list, match.entry] = match
        return self._nearest(best.values())


def layers(bank: Bank) -> tuple[Bank, ...]:
    """The banks that this one is made of."""
    return (bank, bank.files) if isinstance(bank, BankWithFiles) else (bank,)
