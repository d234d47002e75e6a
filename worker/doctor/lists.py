"""Checks of hash lists, the hash bank and the files of the verdict log."""

from collections.abc import Iterator

from redis import Redis

from config.counts import counted
from config.errors import LivewardenError
from config.facts import ALLOW, SELFTEST
from config.settings import PREFIX, Settings
from models.bank.bank import Bank
from worker.bank.compaction import COMPACT_CHANGES
from worker.bank.folder_lists import LARGEST_FLAT, load_folder
from worker.bank.lists_in_force import combine_lists
from worker.bank.replication import fetch_at_start
from worker.bank.shared_bank import SharedBank, follow, offline
from worker.bank.snapshot_storage import SnapshotStorage
from worker.doctor.diagnosis import Diagnosis, fail, ok, warn
from worker.errors import StoreError
from worker.verdictlog.damaged import damaged_files

TOO_MANY_CHANGES = 3 * COMPACT_CHANGES
"""More (>) changes than this: no worker compacts them. It would have begun at a third of them."""

_ADVICE = (
    f"set {PREFIX}BANK_DIR, for all processes of a host, to one folder, and {PREFIX}STORE_URL to the store of all "
    "hosts; workers fetch what is missing, and their log says what fails"
)


def follow_bank(redis: Redis | None, settings: Settings) -> SharedBank | LivewardenError | None:
    """The shared bank, or the reason why it cannot be opened; None: Redis is away."""
    if redis is None:
        return None
    storage = SnapshotStorage.of(settings)
    try:
        fetch_at_start(redis, storage)
        return follow(redis, storage)
    except StoreError:
        return None
    except LivewardenError as error:
        return error


def lists_in_force(shared: SharedBank | LivewardenError | None, settings: Settings) -> Bank:
    """The lists that pictures are compared with; without Redis, those of the folders.

    Raises:
        HashListError, BankRequestError: nothing usable is there.
    """
    folder = load_folder(settings.lists_dir)
    if isinstance(shared, LivewardenError):
        raise shared
    return combine_lists(shared or SharedBank(bank=offline(SnapshotStorage.of(settings))), folder).bank


def check_lists(lists: Bank) -> Diagnosis:
    """Shows the lists and their sizes, and warns where all are built in."""
    found = ", ".join(f"{name} ({size:,})" for name, size in sorted(lists.sizes.items()) if size)
    if any(size for name, size in lists.sizes.items() if name not in {SELFTEST, ALLOW}):
        return ok("hash lists", found)
    return warn(
        "hash lists",
        f"{found}: no known material would be recognised",
        advice="bring lists in with `livewarden bank import LIST FILE`, or put NAME.csv files with a header `hash` or "
        f"`hash,id` into a folder and set {PREFIX}LISTS_DIR to it",
    )


def examine_bank(shared: SharedBank | LivewardenError | None, settings: Settings) -> Iterator[Diagnosis]:
    """Checks snapshot, changes and freshness, as `follow_bank` returned them."""
    if shared is None:
        return
    if isinstance(shared, LivewardenError):
        yield fail("hash bank", str(shared), _ADVICE)
        return
    yield _snapshot(shared, stored=bool(SnapshotStorage.of(settings).store_url))
    yield _freshness(shared)
    yield from _files(settings, shared)


def _snapshot(shared: SharedBank, *, stored: bool) -> Diagnosis:
    """`stored`: the deployment stores snapshots."""
    if shared.behind:
        return fail("hash bank", f"behind: {shared.behind}", _ADVICE)
    snapshot = shared.pointer.name or "no snapshot yet"
    found = f"{snapshot}, {counted(shared.changes, 'change')} since"
    if shared.changes > TOO_MANY_CHANGES:
        return warn(
            "hash bank",
            f"{found}: no worker compacts them, and pictures are compared with each separately",
            f"see that workers run, and that they may write to {PREFIX}BANK_DIR; their log says what fails",
        )
    if stored and shared.pointer.name and not shared.pointer.digest:
        return warn(
            "hash bank",
            f"{found}; it is not in the store, where other hosts would fetch it",
            f"see that the host which wrote it runs a worker, and that {PREFIX}STORE_URL takes files",
        )
    return ok("hash bank", found)


def _freshness(shared: SharedBank) -> Diagnosis:
    if not shared.stale:
        return ok("stale lists", "every list was refreshed as often as it says")
    return warn(
        "stale lists",
        f"not refreshed in time: {', '.join(shared.stale)}; they stay in force, and events are marked",
        "fetch the newest files from their sources and bring them in with `livewarden bank import`",
    )


def _files(settings: Settings, shared: SharedBank) -> Iterator[Diagnosis]:
    """Compares the lists of the folder with those of the bank."""
    try:
        folder = load_folder(settings.lists_dir)
    except LivewardenError:
        return  # the row of the lists reports it
    names = {change.list for change in folder.changes}
    twice = sorted(names & set(shared.bank.specs))
    if twice:
        yield warn(
            "lists folder",
            f"in {PREFIX}LISTS_DIR and in the bank: {', '.join(twice)}; both are compared with",
            "keep each list in one place: import the file into the bank and take it out of the folder",
        )
    if len(folder.changes) > LARGEST_FLAT:
        yield warn(
            "lists folder",
            found=f"{counted(len(folder.changes), 'hash')} in files: each worker process holds a copy, and compares "
            "with each",
            advice="bring them into the bank with `livewarden bank import`",
        )


def examine_log_files(redis: Redis) -> Iterator[Diagnosis]:
    """Names files of the verdict log that workers could not read; no row where there are none."""
    damaged = damaged_files(redis)
    if not damaged:
        return
    first = next(iter(damaged.values()))
    yield warn(
        "verdict log files",
        f"{counted(len(damaged), 'file')} cannot be read or looked back on: {first.problem}",
        advice="look for the cause: a full disk, a machine that lost its power, another program that writes there; "
        "bring the files back from a copy, or leave them: they are removed when they are too old",
    )
