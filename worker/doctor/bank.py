"""Whether the deployed hash bank is what it should be: `livewarden doctor`'s part of it."""

from collections.abc import Iterator

from config.counts import counted
from config.errors import LivewardenError
from config.settings import PREFIX, Settings
from worker.bank.compaction import COMPACT_CHANGES
from worker.bank.deployed import Deployed, follow
from worker.bank.folder_lists import LARGEST_FLAT, load_folder
from worker.bank.place import SnapshotPlace
from worker.doctor.diagnosis import Diagnosis, State
from worker.errors import StoreError
from worker.store.redis_client import connect


def examine_bank(settings: Settings) -> Iterator[Diagnosis]:
    """Checks snapshot, changes and freshness; nothing where Redis is away: another check tells that."""
    redis = connect(settings.redis_url.get_secret_value(), retries=0)
    try:
        place = SnapshotPlace.of(settings)
        deployed = follow(redis, place)
    except StoreError:
        return
    except LivewardenError as error:
        yield Diagnosis(name="hash bank", state=State.FAIL, found=str(error), advice=_ADVICE)
        return
    finally:
        redis.close()
    yield _snapshot(deployed, stored=bool(place.store_url))
    yield _freshness(deployed)
    yield from _files(settings, deployed)


TOO_MANY_CHANGES = 3 * COMPACT_CHANGES
"""Above which (>) no worker can be compacting: it would have begun at a third of them."""

_ADVICE = (
    f"set {PREFIX}BANK_DIR, for all processes of a host, to one folder, and {PREFIX}STORE_URL to the store of all "
    "hosts; workers fetch what is missing, and their log says what fails"
)


def _snapshot(deployed: Deployed, *, stored: bool) -> Diagnosis:
    """`stored`: snapshots are put into the store."""
    if deployed.behind:
        return Diagnosis(name="hash bank", state=State.FAIL, found=f"behind: {deployed.behind}", advice=_ADVICE)
    snapshot = deployed.pointer.name or "no snapshot yet"
    found = f"{snapshot}, {counted(deployed.changes, 'change')} since"
    if deployed.changes > TOO_MANY_CHANGES:
        return Diagnosis(
            name="hash bank",
            state=State.WARN,
            found=f"{found}: nobody compacts them, and each is compared with one by one",
            advice=f"see that workers run, and that they may write to {PREFIX}BANK_DIR; their log says what fails",
        )
    if stored and deployed.pointer.name and not deployed.pointer.digest:
        return Diagnosis(
            name="hash bank",
            state=State.WARN,
            found=f"{found}; it is not in the store, where other hosts would fetch it",
            advice=f"see that the host which wrote it runs a worker, and that {PREFIX}STORE_URL takes files",
        )
    return Diagnosis(name="hash bank", state=State.OK, found=found)


def _freshness(deployed: Deployed) -> Diagnosis:
    if not deployed.stale:
        return Diagnosis(name="stale lists", state=State.OK, found="every list was refreshed as often as it says")
    return Diagnosis(
        name="stale lists",
        state=State.WARN,
        found=f"not refreshed in time: {', '.join(deployed.stale)}; they stay in force, and events are marked",
        advice="fetch the newest files from their sources and bring them in with `livewarden bank import`",
    )


def _files(settings: Settings, deployed: Deployed) -> Iterator[Diagnosis]:
    """What only a look at both kinds of list shows."""
    try:
        folder = load_folder(settings.lists_dir)
    except LivewardenError:
        return  # told by the check of the lists
    names = {change.list for change in folder.changes}
    twice = sorted(names & set(deployed.bank.specs))
    if twice:
        yield Diagnosis(
            name="lists folder",
            state=State.WARN,
            found=f"in {PREFIX}LISTS_DIR and in the bank: {', '.join(twice)}; both are compared with",
            advice="keep each list in one place: import the file into the bank and take it out of the folder",
        )
    if len(folder.changes) > LARGEST_FLAT:
        yield Diagnosis(
            name="lists folder",
            state=State.WARN,
            found=f"{counted(len(folder.changes), 'hash')} in files: each worker process holds a copy, and compares "
            "with each",
            advice="bring them into the bank with `livewarden bank import`",
        )
