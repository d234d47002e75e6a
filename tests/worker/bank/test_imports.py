"""Imports of files into lists: all of a file or nothing, whatever it contains and whichever process dies."""

import json
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hls_origin import eventually
from redis import Redis

from models.bank import external_sort
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.snapshot import verify_snapshot
from models.errors import SnapshotError
from models.formats import Format
from models.pdq.pdq import PdqHash
from worker.bank import edits
from worker.bank.compaction import compact
from worker.bank.history import read_history
from worker.bank.imports import import_file
from worker.bank.keys import SNAPSHOT, WRITER
from worker.bank.publication import publish_snapshot
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError, LeaseLostError, LocalFileError
from worker.lookback.bulk import prepare
from worker.lookback.jobs import JOBS
from worker.store.lease import leased
from worker.store.object_store import ObjectStore

AS_CHANGES, AS_SNAPSHOT = 5_000, 0
"""`small_changes`: what is imported becomes changes, or a snapshot."""


def found(redis: Redis, storage: SnapshotStorage, text: str) -> list[tuple[str, str]]:
    matches = follow(redis, storage).bank.match(PdqHash(bits=bytes.fromhex(text), quality=100))
    return sorted((match.list, match.entry) for match in matches)


def state(redis: Redis, storage: SnapshotStorage) -> tuple[dict[str, int], dict[str, str]]:
    """The sizes and versions in force."""
    bank = follow(redis, storage).bank
    return dict(bank.sizes), dict(bank.versions)


@pytest.mark.parametrize("small_changes", [AS_CHANGES, AS_SNAPSHOT])
def test_an_import_keeps_other_entries_unless_it_replaces_the_list(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path], small_changes: int
) -> None:
    """The second file of a feed would remove the first; or entries withdrawn by the source would stay for good."""
    a, b, c = (secrets.token_hex(32) for _ in range(3))

    def take(hashes: dict[str, str], *, replace: bool) -> tuple[int, int, int]:
        done = import_file(redis, storage, "own", list_file(hashes), replace=replace, small_changes=small_changes)
        return done.added, done.withdrawn, done.entries

    assert take({"1": a, "2": b}, replace=False) == (2, 0, 2)
    assert take({"2": b, "3": c}, replace=False) == (1, 0, 3)
    assert take({"2": b, "3": c}, replace=False) == (0, 0, 3)
    assert take({"1": c, "3": c}, replace=True) == (1, 2, 2)
    assert found(redis, storage, a) == found(redis, storage, b) == []
    assert found(redis, storage, c) == [("own", "1"), ("own", "3")]


def test_a_large_list_is_imported_again(
    redis: Redis,
    storage: SnapshotStorage,
    list_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The comparison with the entries on disk would be wrong: entries twice in the list, or a daily look-back for all
    of it."""
    monkeypatch.setattr(external_sort, "RUN_ROWS", 1_000)
    store = ObjectStore(str(tmp_path / "store"))
    path = list_file(40_000)
    lines = path.read_text().splitlines()
    assert import_file(redis, storage, "own", path, look_back=partial(prepare, redis, store)).added == 40_000
    path.write_text("\n".join([*lines[:30_001], *(f"{secrets.token_hex(32)},x{n}" for n in range(500)), lines[1]]))
    done = import_file(redis, storage, "own", path, look_back=partial(prepare, redis, store))
    assert (done.added, done.withdrawn, done.looked_back, done.report.duplicates) == (500, 0, 500, 1)
    done = import_file(redis, storage, "own", path, look_back=partial(prepare, redis, store), replace=True)
    assert (done.added, done.withdrawn, done.looked_back, done.entries) == (0, 10_000, 0, 30_501)
    snapshot = follow(redis, storage).bank.snapshot
    assert snapshot is not None
    verify_snapshot(snapshot.path)
    for line in (lines[1], lines[30_000]):
        value, entry = line.split(",")
        assert found(redis, storage, value) == [("own", entry)]
        assert snapshot.exact("own", entry)[0].value.hex() == value
    assert found(redis, storage, lines[30_001].split(",")[0]) == []
    assert [file.name for file in storage.root.iterdir() if file.name.startswith("tmp")] == []


@pytest.mark.parametrize("small_changes", [AS_CHANGES, AS_SNAPSHOT])
def test_tombstones_withdraw(redis: Redis, storage: SnapshotStorage, tmp_path: Path, small_changes: int) -> None:
    """Hashes that the source withdrew would go on calling moderators."""
    kept, gone = secrets.token_hex(32), secrets.token_hex(32)

    def page(inner: str) -> Path:
        path = tmp_path / "page.xml"
        path.write_text(
            '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images count="1" maxTimestamp="x">'
            f"{inner}</images></queryResult>"
        )
        return path

    def image(name: str, value: str) -> str:
        return (
            f'<image><member id="1">m</member><timestamp>2026-01-01T00:00:00Z</timestamp><id>{name}</id>'
            f"<classification>A1</classification><fingerprints><pdq>{value}</pdq></fingerprints></image>"
        )

    tombstone = (
        '<deletedImage><member id="1">m</member><id>g</id><timestamp>2026-01-02T00:00:00Z</timestamp></deletedImage>'
    )
    import_file(redis, storage, "ncmec", page(image("k", kept) + image("g", gone)), small_changes=small_changes)
    done = import_file(redis, storage, "ncmec", page(tombstone), small_changes=small_changes)
    assert (done.format, done.report.removed, done.withdrawn, done.entries) == (Format.NCMEC, 1, 1, 1)
    assert len(found(redis, storage, kept)) == 1
    assert found(redis, storage, gone) == []


@pytest.mark.parametrize("small_changes", [AS_CHANGES, AS_SNAPSHOT])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"hash,id\n" + b"5a" * 32 + b",a\nnot-a-hash,b\n", "line 3"),
        (b'{"@odata.context": "x/DataModels/2.0.xml/US/$metadata#Media", "value": [' + b"[" * 100_000, "value"),
        ("hash\n".encode("utf-16"), "UTF-8"),
        (b"", "empty"),
    ],
)
def test_a_malformed_file_changes_nothing(
    redis: Redis, storage: SnapshotStorage, tmp_path: Path, small_changes: int, content: bytes, problem: str
) -> None:
    """Half a list would look like a whole one."""
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"hash,id\n{'a5' * 32},good\n")
    import_file(redis, storage, "own", good, small_changes=small_changes)
    before = state(redis, storage)
    bad.write_bytes(content)
    with pytest.raises(BankRequestError) as refused:
        import_file(redis, storage, "own", bad, replace=True, small_changes=small_changes)
    assert str(refused.value).startswith(f"{bad}, ")
    assert problem in str(refused.value)
    assert "5a5a" not in str(refused.value)
    assert state(redis, storage) == before
    assert len(list(storage.root.glob("*snapshot*"))) <= 1


@pytest.mark.parametrize("small_changes", [AS_CHANGES, AS_SNAPSHOT])
def test_a_file_without_entries_replaces_no_list(
    redis: Redis, storage: SnapshotStorage, tmp_path: Path, small_changes: int
) -> None:
    """An export that failed after its header, or a misspelt category, would withdraw all known material."""
    good, none, other = tmp_path / "good.csv", tmp_path / "none.csv", tmp_path / "other.json"
    good.write_text(f"hash,id\n{'a5' * 32},good\n")
    none.write_text("hash,id\n")
    media = {"MediaID": 1, "Category": 1, "MD5": "a5" * 16, "MediaSize": 1}
    context = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Media"
    other.write_text(json.dumps({"@odata.context": context, "value": [media]}))
    import_file(redis, storage, "own", none, replace=True, small_changes=small_changes)
    import_file(redis, storage, "own", good, small_changes=small_changes)
    before = state(redis, storage)
    with pytest.raises(BankRequestError, match=r"would empty list own: .*remove own --whole-list"):
        import_file(redis, storage, "own", none, replace=True, small_changes=small_changes)
    with pytest.raises(BankRequestError, match=r"left out: other-category 1\)"):
        import_file(redis, storage, "own", other, categories=["11"], replace=True, small_changes=small_changes)
    assert state(redis, storage) == before


def test_a_file_that_changes_while_it_is_read_changes_nothing(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """An unfinished download would pass for the whole list."""
    path = list_file(50_000)
    before = state(redis, storage)

    def grow(read_bytes: int) -> None:
        if read_bytes < 500_000:  # of 4 MB
            with path.open("a") as file:
                file.write(f"{'5a' * 32},more\n")

    with pytest.raises(BankRequestError, match="changed while it was read"):
        import_file(redis, storage, "own", path, progress=grow)
    assert state(redis, storage) == before


@pytest.mark.parametrize("name", ["selftest", "confirmed", "allow", "a/b", "", "x" * 101])
def test_no_file_is_imported_into_reviewed_lists(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path], name: str
) -> None:
    """`confirmed` would hold pictures that no second person reviewed; or a list's name would lead out of the bank."""
    with pytest.raises(BankRequestError, match=r"takes no files|expected a name"):
        import_file(redis, storage, name, list_file(1))


def test_a_missing_file_is_named(redis: Redis, storage: SnapshotStorage, tmp_path: Path) -> None:
    """An operator would not know which file is missing."""
    with pytest.raises(LocalFileError, match=r"nowhere\.csv"):
        import_file(redis, storage, "own", tmp_path / "nowhere.csv")


def test_a_pipe_is_refused_with_an_alternative(redis: Redis, storage: SnapshotStorage, tmp_path: Path) -> None:
    """`bank import own <(zcat list.gz)` would end in a traceback, and a named pipe would hang."""
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        with pytest.raises(BankRequestError, match="found a pipe: write what comes through it to disk first"):
            import_file(redis, storage, "own", Path(f"/dev/fd/{end}"), format=Format.CSV)
        with pytest.raises(LocalFileError, match="expected a regular file, found a pipe"):
            import_file(redis, storage, "own", tmp_path / "pipe", format=Format.CSV)
    finally:
        os.close(end)


def test_entries_added_during_an_import_stay(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """An import would remove an urgent hash that was added while it ran."""
    urgent, listed = secrets.token_hex(32), secrets.token_hex(32)
    import_file(redis, storage, "own", list_file({"l": listed}))
    added = False

    def add_meanwhile(_: int) -> None:
        nonlocal added
        if not added and redis.exists(WRITER):
            entry = Entry(entry="urgent", kind=HashKind.PDQ, value=bytes.fromhex(urgent))
            edits.add(redis, follow(redis, storage).bank, "own", [entry])
            edits.remove(redis, follow(redis, storage).bank, "own", ["l"])
            added = True

    import_file(redis, storage, "own", list_file(30_000, "big"), small_changes=10, progress=add_meanwhile)
    assert added
    assert found(redis, storage, urgent) == [("own", "urgent")]
    assert found(redis, storage, listed) == []
    assert follow(redis, storage).bank.sizes["own"] == 30_001


def test_two_writers_do_not_undo_each_other(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """If two operators import concurrently, one of the lists would be lost."""
    files = [list_file(200, "one"), list_file(200, "two")]
    threads = [
        threading.Thread(target=import_file, args=(redis, storage, path.stem, path), kwargs={"small_changes": 0})
        for path in files
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sizes, _ = state(redis, storage)
    assert (sizes["one"], sizes["two"]) == (200, 200)


def test_a_writer_that_lost_its_lease_changes_nothing(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """A writer that was suspended would undo later imports."""
    import_file(redis, storage, "own", list_file(10), small_changes=0)
    before = state(redis, storage)

    def contents(bank):
        redis.set(WRITER, "another")
        return bank.contents()

    with pytest.raises(LeaseLostError):
        publish_snapshot(redis, storage, contents)
    assert state(redis, storage) == before
    assert redis.get(WRITER) == "another"
    assert len(list(storage.root.glob("snapshot-*"))) == 1


def test_a_running_writer_is_reported(redis: Redis, storage: SnapshotStorage) -> None:
    """A user would wait without knowing for what."""
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="own"))
    with leased(redis, WRITER) as lease:
        assert lease is not None
        with pytest.raises(BankRequestError, match="another process"):
            compact(redis, storage, changes=1)


def test_a_full_disk_changes_nothing(redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]) -> None:
    """Half of a bank would be in force."""
    import_file(redis, storage, "own", list_file(10), small_changes=0)
    before = state(redis, storage)
    path = list_file(20_000, "big")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        with pytest.raises(SnapshotError, match="cannot be written"):
            import_file(redis, storage, "own", path, small_changes=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert state(redis, storage) == before
    assert len(list(storage.root.iterdir())) == 2  # the snapshot and the pointer: no leftovers fill the disk
    assert not redis.exists(WRITER)


def test_an_import_that_is_killed_changes_nothing_and_the_next_one_works(
    redis: Redis, redis_url: str, storage: SnapshotStorage, list_file: Callable[..., Path], tmp_path: Path
) -> None:
    """A power cut in the middle of an import would leave no bank, or keep others out indefinitely."""
    import_file(redis, storage, "own", list_file({"1": "5a" * 32}), small_changes=0)
    before, path = state(redis, storage), list_file(300_000, "big")
    stages = {
        "the lease is taken": lambda: redis.exists(WRITER),
        "a folder is there": lambda: list(storage.root.glob(".writing-*")),
        "entries are in it": lambda: sum(file.stat().st_size for file in storage.root.glob(".writing-*/*")) > 1_000_000,
    }
    for stage, reached in stages.items():
        for remains in storage.root.glob(".writing-*"):
            shutil.rmtree(remains)  # so that the next stage is that of its own process; the last ones stay
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "bank", "import", "own", str(path)],
            env={
                **os.environ,
                "LIVEWARDEN_REDIS_URL": redis_url,
                "LIVEWARDEN_BANK_DIR": str(storage.root),
                "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
            },
            cwd=tmp_path,
        )
        eventually(reached, within_seconds=60, what=stage)
        process.kill()
        process.wait()
        assert state(redis, storage) == before
        redis.delete(WRITER)  # it expires after 20 s
    import_file(redis, storage, "own", path)
    assert state(redis, storage)[0]["own"] == 300_001
    assert not list(storage.root.glob(".writing-*"))


def test_new_hashes_of_a_large_file_are_looked_back_for(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Streams that showed the material an hour ago would not be found; or a whole list would be searched for daily."""
    store = ObjectStore(str(tmp_path / "store"))
    import_file(redis, storage, "own", list_file(20), small_changes=0, look_back=partial(prepare, redis, store))
    redis.delete(JOBS)
    path = list_file(20)
    path.write_text(path.read_text() + f"{'5a' * 32},new\n")
    done = import_file(redis, storage, "own", path, small_changes=0, look_back=partial(prepare, redis, store))
    assert (done.added, done.looked_back, done.not_looked_back) == (21, 21, "")
    redis.delete(JOBS)
    path.write_text(path.read_text() + f"{'a5' * 32},newer\n")
    done = import_file(redis, storage, "own", path, small_changes=0, look_back=partial(prepare, redis, store))
    assert (done.added, done.looked_back) == (1, 1)
    (job,) = redis.hkeys(JOBS)
    assert pq.read_table(tmp_path / "store" / "lookback" / f"{job}.parquet")["entry"].to_pylist() == ["newer"]


def test_a_large_import_is_recorded_with_its_author(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path]
) -> None:
    """Nobody could find out who replaced a list."""
    import_file(redis, storage, "own", list_file(20), small_changes=0, by="kim", role="operator")
    import_file(redis, storage, "own", list_file(5), small_changes=0, by="lea", replace=True)
    acts = [(act.did, act.list, act.by, act.role, dict(act.more)) for act in read_history(redis)]
    assert acts == [
        ("import", "own", "lea", "", {"added": 5, "withdrawn": 20}),
        ("import", "own", "kim", "operator", {"added": 20, "withdrawn": 0}),
    ]


def test_an_unreachable_store_is_reported_and_delays_no_import(
    redis: Redis, storage: SnapshotStorage, list_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Known material would wait for an unrelated disk, or an operator would believe that the look-back ran."""
    (tmp_path / "store").write_text("no folder")
    done = import_file(
        redis,
        storage,
        "own",
        list_file(20),
        small_changes=0,
        look_back=partial(prepare, redis, ObjectStore(str(tmp_path / "store"))),
    )
    assert (done.entries, done.looked_back) == (20, 0)
    assert done.not_looked_back.startswith("store: ")
    assert done.to_record()["not_looked_back"] == done.not_looked_back


def test_deployments_in_one_default_folder_keep_their_lists_apart(
    redis: Redis, tmp_path: Path, list_file: Callable[..., Path]
) -> None:
    """Two deployments on one machine would swap their lists."""
    storage = SnapshotStorage(root=tmp_path / "state", dedicated=False)
    import_file(redis, storage, "own", list_file(10), small_changes=0)
    assert state(redis, storage)[0]["own"] == 10
    name = redis.hget(SNAPSHOT, "name")
    redis.flushall()
    assert "own" not in state(redis, storage)[0]
    import_file(redis, storage, "other", list_file(5), small_changes=0)
    assert "own" not in state(redis, storage)[0]
    assert len(list((tmp_path / "state").iterdir())) == 2
    assert redis.hget(SNAPSHOT, "name") != name
