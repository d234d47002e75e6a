"""The lists of LIVEWARDEN_LISTS_DIR, files `NAME.csv` that each process reads itself, and the bank with them over it.

A refused file leaves its list as it last was. These lists are searched flat, which is fit for some 10^5 hashes; larger
ones belong in the bank. Bank and files stay two banks inside, so that a change of the bank, which comes every few
seconds, costs nothing of the files' size.
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
"""A file's inode, time of change in ns and size: if one differs, the file is read again."""


@dataclass(frozen=True, kw_only=True)
class FileList:
    """One file as read."""

    signature: Signature
    changes: tuple[BankChange, ...] = ()
    """The changes that make a bank of the list; none: the file was never valid."""
    refusal: HashListError | None = None
    """Reason why the present file is refused."""


@dataclass(frozen=True, kw_only=True)
class FolderLists:
    """All lists of the folder. Immutable; `reload_folder` returns the next one."""

    files: dict[Path, FileList] = field(default_factory=dict)
    refusal: HashListError | None = None
    """Reason why the folder itself cannot be read; its lists stay as they are."""

    @property
    def changes(self) -> tuple[BankChange, ...]:
        """The changes that make a bank of the lists."""
        return tuple(change for path in sorted(self.files) for change in self.files[path].changes)

    @cached_property
    def lists(self) -> dict[str, tuple[str, tuple[Entry, ...]]]:
        """List -> its version, a digest of its entries, and the entries."""
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
        """The lists as a bank."""
        return Bank(delta=Delta().applied(*self.changes))

    @property
    def refusals(self) -> tuple[HashListError, ...]:
        """Reason why the folder or files are refused: each text names file and line."""
        own = () if self.refusal is None else (self.refusal,)
        return own + tuple(file.refusal for file in self.files.values() if file.refusal is not None)

    @property
    def degraded(self) -> tuple[str, ...]:
        """Slugs of lists that are not as in their files, for `degraded`."""
        own = () if self.refusal is None else ("lists-folder-unreadable",)
        refused = sorted(path.stem for path, file in self.files.items() if file.refusal is not None)
        return own + tuple(f"list-refused:{name}" for name in refused if LIST_NAME.fullmatch(name))


def reload_folder(before: FolderLists, folder: Path | None) -> FolderLists:
    """Reads changed files; returns `before` itself if there are none. A list whose file is gone is withdrawn."""
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
        HashListError: the folder cannot be read, or a list is refused. The text has the first refusal and the number of
            further ones.
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
    """The files with the suffix of lists that are not hidden."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == SUFFIX and not path.name.startswith("."))


def _signature(path: Path) -> Signature:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> tuple[BankChange, ...]:
    name = path.stem
    if not LIST_NAME.fullmatch(name):
        raise HashListError(f"{path}: expected a list name of 1 to 100 characters out of A-Z a-z 0-9 . _ -")
    if name in BUILT_IN:
        raise HashListError(f"{path}: the name {name} is reserved for the built-in list: rename the file")
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
    """A digest of the list's entries."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.entry}\n{entry.kind} {entry.tags} {entry.video} {entry.seconds}\n".encode())
        digest.update(entry.value)
    return digest.hexdigest()[:_VERSION_DIGITS]


@dataclass(frozen=True, kw_only=True, eq=False)
class BankWithFiles(Bank):
    """A bank with another one over it whose built-in lists do not count. A list that both have is the union of both."""

    shared: Bank
    """The lower one: its snapshot and delta are those of this bank."""
    files: Bank

    @classmethod
    def of(cls, shared: Bank, files: Bank) -> "BankWithFiles":
        """Lays `files` over `shared`."""
        return cls(snapshot=shared.snapshot, delta=shared.delta, shared=shared, files=files)

    @cached_property
    def specs(self) -> Mapping[str, ListSpec]:
        """List name -> spec; of a list that both have, the shared bank's."""
        return MappingProxyType({**self.shared.specs, **self.files.specs, **self.shared.specs})

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """List name -> version of its content."""
        versions = dict(self.shared.versions)
        for name, version in self.files.versions.items():
            if name not in BUILT_IN:
                own = versions.get(name, EMPTY)
                versions[name] = version if own == EMPTY else f"{own}+{version}"
        return MappingProxyType(versions)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """List name -> number of its entries."""
        sizes = dict(self.shared.sizes)
        for name, size in self.files.sizes.items():
            if name not in BUILT_IN:
                sizes[name] = sizes.get(name, 0) + size
        return MappingProxyType(sizes)

    def match(self, pdq: PdqHash, *, variants: Mapping[Variant, Sequence[PdqHash]] = _NO_VARIANTS) -> tuple[Match, ...]:
        """As `Bank.match`, in both."""
        return self._together(self.shared.match(pdq, variants=variants), self.files.match(pdq, variants=variants))

    def find(self, kind: HashKind, value: bytes) -> tuple[Match, ...]:
        """As `Bank.find`, in both."""
        return self._together(self.shared.find(kind, value), self.files.find(kind, value))

    def exact(self, name: str, entry_id: str) -> tuple[Entry, ...]:
        """As `Bank.exact`, in both."""
        return self.shared.exact(name, entry_id) + (() if name in BUILT_IN else self.files.exact(name, entry_id))

    def entries(self, name: str) -> Iterator[Entry]:
        """As `Bank.entries`, of both."""
        yield from self.shared.entries(name)
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
    """The banks that this one consists of."""
    return (bank, bank.files) if isinstance(bank, BankWithFiles) else (bank,)
