"""Imports of a file of hashes into a list: all of it or nothing.

A small file becomes changes, which every worker follows; a large one is written into a new snapshot directly, so that
neither Redis nor the workers' memory has to hold it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from redis import Redis

from config.errors import LivewardenError
from models.bank.bank import Bank
from models.bank.delta import BankChange
from models.bank.entries import BUILT_IN, LIST_NAME, Entry, HashKind, ListSpec
from models.bank.snapshot import Snapshot
from models.errors import ListFormatError
from models.formats import HEAD_BYTES, Format, Progress, Removal, read, sniff
from models.formats.report import ImportCount, ImportReport
from worker.bank.changelog import append_changes
from worker.bank.edits import OPERATOR
from worker.bank.history import BankAct, ChangeAuthor, just_did
from worker.bank.merge import Merge
from worker.bank.publication import Contents, PreparedLookBack, publish_snapshot
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError
from worker.people.actor import Actor
from worker.store.local_file import at_rest, open_file

SMALL_CHANGES = 5_000
"""Up to (<=) so many, an import is made as changes. More would fill Redis and be searched flat for long."""

WRITER_SECONDS = 600.0
"""The longest wait of an import for another writer: a snapshot of 10^7 entries takes minutes."""

UNKNOWN_SOURCE = "unknown"
"""Source of a list that an import creates: it is not taken for the platform's own."""


LookBack = Callable[[str, Iterable[Entry]], PreparedLookBack]
"""Prepares a search of the verdict log for new entries of the named list."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The result of an import."""

    list: str
    format: Format
    created: bool
    """The list did not exist before."""
    report: ImportReport
    """The content of the file, in numbers."""
    added: int
    """Entries that the list did not have."""
    withdrawn: int
    """Entries that the list had and does not have any more."""
    entries: int
    """Entries of the list now."""
    version: str
    looked_back: int
    """New PDQ hashes that the verdict log is searched for."""
    not_looked_back: str = ""
    """Reason why it is not searched for other new ones; empty: it is."""

    def to_record(self) -> dict[str, Any]:
        """The record that `livewarden bank import --json` prints."""
        return {
            "list": self.list,
            "format": str(self.format),
            "created": self.created,
            **self.report.to_record(),
            "added": self.added,
            "withdrawn": self.withdrawn,
            "entries": self.entries,
            "version": self.version,
            "looked_back": self.looked_back,
            "not_looked_back": self.not_looked_back or None,
        }


def import_file(
    redis: Redis,
    storage: SnapshotStorage,
    name: str,
    path: Path,
    *,
    format: Format | None = None,  # noqa: A002 (the word that the command line has for it)
    categories: Collection[str] = (),
    replace: bool = False,
    by: str | Actor = OPERATOR,
    role: str = "",
    progress: Progress | None = None,
    small_changes: int = SMALL_CHANGES,
    look_back: LookBack | None = None,
    source: BinaryIO | None = None,
    video: str | None = None,
) -> Imported:
    """Imports a file into the list `name`, which is created if it does not exist.

    Args:
        format: of the file; None: detected from its content.
        categories: of VICS, or classifications of NCMEC, to import; none: all.
        replace: the file is the complete list; else the list's entries stay, except those that the file withdraws.
        progress: called with the number of bytes read.
        look_back: called with the new entries of a large file, before they are in force; None: a large file is not
            looked back for.
        source: read in place of `path`, such as standard input; `path` names it in messages. A pipe is kept beside the
            snapshots meanwhile, in a file without a name.
        video: name of the video that a file of frames belongs to; None: the file's name, and frames from `source` are
            refused.

    Raises:
        BankRequestError: the file is malformed, the list takes no imports, or another writer is at work. Nothing was
            changed.
        PeopleError: there is a roster, and the actor is not in it, any more. Nothing was changed.
        LocalFileError, StoreError, SnapshotError, LeaseLostError: nothing was changed (StoreError: all of it may be).
    """
    author = ChangeAuthor.of(by, role)
    if name in BUILT_IN:
        raise BankRequestError(f"list {name} is built in and takes no files: see `livewarden bank add --help`")
    if not LIST_NAME.fullmatch(name):
        raise BankRequestError(f"list {name[:120]!r}: expected a name of 1 to 100 characters out of A-Z a-z 0-9 . _ -")
    if video is None:
        video = path.stem if source is None else ""
    with (
        open_file(path) if source is None else at_rest(source, path, storage.assigned_folder(redis)) as file,
        _naming(path),
        ImportCount(storage.assigned_folder(redis)) as count,
    ):
        layout = _layout(file, path, format)
        records = count.count(read(file, format=layout, progress=progress, video=video, categories=categories))
        head = list(islice(records, small_changes + 1))
        bank = follow(redis, storage).bank
        spec = bank.specs.get(name)
        if replace and bank.sizes.get(name):
            _expect_entries(head, count, name)
        changes = None
        if len(head) <= small_changes and (not replace or bank.sizes.get(name, 0) <= small_changes):
            changes = _changes(bank, name, head, replace=replace)
        if changes is not None and len(changes.all) <= small_changes:
            created = [] if spec is not None else [BankChange.put_list(_new_spec(name), at_ms=0)]
            recorded = not created + changes.all and just_did(redis, "import", name, author)
            append_changes(redis, created + changes.all, by=by, role=role, refreshed="" if recorded else name)
            after = follow(redis, storage).bank
            added, removed, looked_back, why_not = changes.added, changes.removed, changes.sought, ""
        else:
            snapshot, merge, prepared = _rewrite(
                redis,
                storage,
                name,
                chain(head, records),
                replace=replace,
                author=author,
                look_back=look_back,
                act=BankAct(did="import", list=name, by=author.by, role=author.role, verified=author.verified),
            )
            after, added, removed = Bank(snapshot=snapshot), merge.new, merge.removed
            looked_back, why_not = prepared.hashes, prepared.missing
        report = count.report()
    return Imported(
        list=name,
        format=layout,
        created=spec is None,
        report=report,
        added=added,
        withdrawn=removed,
        entries=after.sizes[name],
        version=after.versions[name],
        looked_back=looked_back,
        not_looked_back=why_not,
    )


def _expect_entries(records: Iterable[Entry | Removal], count: ImportCount, name: str) -> None:
    """Refuses to empty a list: an export may have failed, or a category be misspelt."""
    if any(isinstance(record, Entry) for record in records):
        return
    left_out = ", ".join(f"{reason} {number:,}" for reason, number in count.report().skipped.items())
    raise ListFormatError(
        "end of file",
        f"expected at least one entry for --replace, which would empty list {name}"
        f"{f' (left out: {left_out})' if left_out else ''}: `livewarden bank remove {name} --whole-list` withdraws it",
    )


@dataclass(frozen=True, kw_only=True)
class _Changes:
    all: list[BankChange]
    added: int
    removed: int
    sought: int
    """PDQ hashes among those added."""


def _changes(bank: Bank, name: str, records: Iterable[Entry | Removal], *, replace: bool) -> _Changes:
    """The changes that a small file makes."""
    entries = {(entry.entry, entry.kind, entry.value): entry for entry in records if isinstance(entry, Entry)}
    gone = [record.entry for record in records if isinstance(record, Removal)]
    if replace:
        gone += [old.entry for old in bank.entries(name) if (old.entry, old.kind, old.value) not in entries]
    withdrawn = {entry_id: bank.exact(name, entry_id) for entry_id in gone}
    changes = [BankChange.remove(name, entry_id, at_ms=0) for entry_id, there in withdrawn.items() if there]
    added = sought = 0
    for key, entry in entries.items():
        there = bank.exact(name, entry.entry)
        known = any((old.entry, old.kind, old.value) == key for old in there)
        # Withdrawing an id removes all of its hashes: those that stay are added again.
        if not known or entry not in there or entry.entry in withdrawn:
            changes.append(BankChange.add(name, entry, at_ms=0))
        added += not known
        sought += not known and entry.kind is HashKind.PDQ
    removed = sum((old.entry, old.kind, old.value) not in entries for there in withdrawn.values() for old in there)
    return _Changes(all=changes, added=added, removed=removed, sought=sought)


def _rewrite(
    redis: Redis,
    storage: SnapshotStorage,
    name: str,
    records: Iterable[Entry | Removal],
    *,
    replace: bool,
    author: ChangeAuthor,
    look_back: LookBack | None,
    act: BankAct,
) -> tuple[Snapshot, Merge, PreparedLookBack]:
    """Writes the file and the rest of the bank into a new snapshot."""
    prepared = PreparedLookBack()

    def contents(bank: Bank) -> Contents:
        incoming = merge.incoming(alone=not bank.sizes.get(name, 0))
        yield bank.specs.get(name) or _new_spec(name), chain(incoming, merge.kept(lambda: bank.entries(name)))
        yield from ((spec, entries) for spec, entries in bank.contents() if spec.name != name)

    def look_backs(snapshot: Snapshot) -> Mapping[str, str]:
        nonlocal prepared
        prepared = _look_back(look_back, name, merge.only_new(snapshot.entries(name)))
        return prepared.jobs

    with Merge(records, replace=replace, folder=storage.assigned_folder(redis)) as merge:
        snapshot = publish_snapshot(
            redis,
            storage,
            contents,
            refreshed=name,
            author=author,
            act=lambda: (
                replace_fields(act, more={"added": merge.new, "withdrawn": merge.removed})
                if merge.new or merge.removed or not just_did(redis, "import", name, author)
                else None
            ),
            wait_seconds=WRITER_SECONDS,
            look_backs=look_backs,
        )
    assert snapshot is not None
    return snapshot, merge, prepared


def _look_back(look_back: LookBack | None, name: str, new: Iterable[Entry]) -> PreparedLookBack:
    """Prepares the search of the log, or says why not: the list comes into force in any case."""
    if look_back is None:
        return PreparedLookBack(missing="no store")
    try:
        return look_back(name, new)
    except LivewardenError as error:
        return PreparedLookBack(missing=str(error))


def _new_spec(name: str) -> ListSpec:
    return ListSpec(name=name, source=UNKNOWN_SOURCE)


def _layout(file: BinaryIO, path: Path, named: Format | None) -> Format:
    if not file.seekable():
        raise BankRequestError(f"{path}: expected a file, found a pipe: write what comes through it to disk first")
    if named is not None:
        return named
    try:
        head = file.read(HEAD_BYTES)
    except OSError as error:
        raise BankRequestError(f"{path}: cannot be read: {error.strerror}") from error
    return sniff(head)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Names the file in a reader's errors, which have a place and a reason, never a hash."""
    try:
        yield
    except ListFormatError as error:
        raise BankRequestError(f"{path}, {error}: nothing was imported") from error
