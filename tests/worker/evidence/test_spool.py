"""The spool: what a worker has sealed survives it, within bounds, whatever else lies in the folder."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from evidence_items import Pair, sealed_item

from config.settings import Settings
from worker.errors import EvidenceError
from worker.evidence.item import EvidenceKind, SealedItem
from worker.evidence.spool import UNFINISHED, UNFINISHED_SECONDS, Spool

PAIR = Pair()
ROOM = 10_000_000


def items(*kinds: str) -> list[SealedItem]:
    return [sealed_item(PAIR, seed, kind=EvidenceKind(kind)) for seed, kind in enumerate(kinds)]


def age(spool: Spool, item: SealedItem, *, seconds: float) -> None:
    """Makes an item's file older."""
    path = spool.folder / f"{item.ref}.{item.head.kind}.age"
    before = path.stat().st_mtime - seconds
    os.utime(path, (before, before))


@pytest.fixture
def small_disk(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[Path]:
    """A disk of 200 kB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "livewarden-test", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        ci_or_skip("this process may not mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_items_are_read_back_and_removed(tmp_path: Path) -> None:
    """Pictures would be lost on the way to the store."""
    spool = Spool(tmp_path / "state" / "spool", ROOM)
    assert spool.entries() == []
    one, other = items("hit", "context")
    spool.put([one, other])
    assert {(entry.ref, entry.kind, entry.size_bytes) for entry in spool.entries()} == {
        (item.ref, item.head.kind, len(item.sealed)) for item in (one, other)
    }
    assert spool.read(one.ref) == one.sealed
    spool.remove(one.ref)
    spool.remove(one.ref)
    assert [entry.ref for entry in spool.entries()] == [other.ref]
    with pytest.raises(EvidenceError, match="not in the spool") as caught:
        spool.read(one.ref)
    assert caught.value.reason == "missing"


def test_only_the_owner_may_read_the_spool(tmp_path: Path) -> None:
    """Another user of the machine could copy sealed pictures, and open them once a key leaks."""
    spool = Spool(tmp_path / "spool", ROOM)
    spool.put(items("hit"))
    (path,) = spool.folder.iterdir()
    assert (path.stat().st_mode & 0o777, spool.folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_context_makes_room_and_the_oldest_first(tmp_path: Path) -> None:
    """While the store is away a hit would be lost, and pictures around it be kept."""
    old, hit, young = items("context", "hit", "context")
    spool = Spool(tmp_path, sum(len(item.sealed) for item in (old, hit, young)) + 500)
    spool.put([young, hit])
    spool.put([old])
    age(spool, old, seconds=100)
    age(spool, hit, seconds=200)
    (new,) = items("hit")
    gone = spool.put([new])
    assert [entry.ref for entry in gone] == [old.ref]
    assert {entry.ref for entry in spool.entries()} == {hit.ref, young.ref, new.ref}


def test_hits_never_make_room(tmp_path: Path) -> None:
    """A picture that an event names would vanish before anybody saw it."""
    one, other = items("hit", "hit")
    spool = Spool(tmp_path, len(one.sealed) + len(other.sealed))
    spool.put([one, other])
    for kind in ("hit", "context"):
        with pytest.raises(EvidenceError, match="full") as caught:
            spool.put(items(kind))
        assert caught.value.reason == "spool-full"
    assert {entry.ref for entry in spool.entries()} == {one.ref, other.ref}


def test_other_processes_share_the_bound(tmp_path: Path) -> None:
    """Three workers of a host would fill its disk three times over."""
    (one,) = items("hit")
    first, second = (Spool(tmp_path, round(2.5 * len(one.sealed))) for _ in range(2))
    first.put([one])
    second.put(items("hit"))
    with pytest.raises(EvidenceError, match="full"):
        second.put(items("hit"))
    first.remove(one.ref)
    second.put(items("hit"))


def test_foreign_and_damaged_files_are_left_alone(tmp_path: Path) -> None:
    """A file of somebody else would be deleted, or end the worker's thread for good."""
    spool = Spool(tmp_path, ROOM)
    (item,) = items("hit")
    spool.put([item])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / f"{'0' * 32}.hit.age").mkdir()
    (tmp_path / f"{'1' * 32}.hit.age").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / f"{'2' * 32}.context.age")
    (tmp_path / f"{'3' * 32}.other.age").touch()
    (tmp_path / os.fsdecode(b"\xff\xfe")).touch()
    assert [entry.ref for entry in spool.entries()] == [item.ref]
    for number in range(3):
        with pytest.raises(EvidenceError):
            spool.read(str(number) * 32)
    spool.clean()
    spool.put(items("hit"))
    assert len(list(tmp_path.iterdir())) == 8


def test_what_dead_writers_left_is_removed_and_never_read(tmp_path: Path) -> None:
    """A worker that is killed again and again would fill the disk; or half a picture go to the store."""
    spool = Spool(tmp_path, ROOM)
    dead, writing = (tmp_path / f"{digit * 32}.hit.age.ab{UNFINISHED}" for digit in "ab")
    dead.write_bytes(b"half")
    writing.write_bytes(b"half")
    before = dead.stat().st_mtime - UNFINISHED_SECONDS - 1
    os.utime(dead, (before, before))
    spool.clean()
    assert list(tmp_path.iterdir()) == [writing]
    assert spool.entries() == []


def test_a_full_disk_takes_all_items_or_none(small_disk: Path) -> None:
    """Of a segment's pictures the first would be kept and the others lost without a word."""
    spool = Spool(small_disk, ROOM)
    (item,) = items("hit")
    kept, reason = 0, ""
    while not reason:
        try:
            spool.put(items("hit", "hit", "hit"))
            kept += 3
        except EvidenceError as error:
            reason = error.reason
    assert reason == "spool-full"
    assert len(spool.entries()) == kept > 0
    assert len(list(small_disk.iterdir())) == kept
    spool.remove(spool.entries()[0].ref)
    spool.put([item])


def test_on_a_full_disk_context_makes_room_too(small_disk: Path) -> None:
    """With a spool larger than its disk hits would be lost while context pictures fill it."""
    spool = Spool(small_disk, ROOM)
    made = [items("context")[0]]
    while not (gone := spool.put([made[-1]])):
        made.append(items("context")[0])
    assert gone[0].ref in {item.ref for item in made}
    (hit,) = items("hit")
    spool.put([hit])
    assert spool.read(hit.ref) == hit.sealed


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The escalation would wait for a disk, or say nothing of its missing picture."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "spool", Path("/proc/livewarden")):
        with pytest.raises(EvidenceError, match=str(folder)) as caught:
            Spool(folder, ROOM).put(items("hit"))
        assert caught.value.reason == "spool"
    with pytest.raises(EvidenceError):
        Spool(tmp_path / "file", ROOM).entries()


def test_an_item_is_on_disk_when_it_is_taken(tmp_path: Path) -> None:
    """A picture that an event names would be gone after a power failure."""
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from evidence_items import Pair, sealed_item
from worker.evidence.spool import Spool
calls = []
def watch(event, arguments):
    if event in ("os.rename",):
        calls.append(event)
import os
for name in ("fsync", "fdatasync"):
    real = getattr(os, name)
    setattr(os, name, lambda fd, name=name, real=real: (calls.append(name), real(fd))[1])
sys.addaudithook(watch)
pair = Pair()
Spool(Path({str(tmp_path)!r}), 10**7).put([sealed_item(pair), sealed_item(pair)])
print(*calls)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["fdatasync", "fdatasync", "os.rename", "os.rename", "fsync"]


def test_a_writer_killed_at_any_moment_leaves_complete_items_only(tmp_path: Path) -> None:
    """After a kill the store would be given half a picture."""
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from evidence_items import Pair, sealed_item
from worker.evidence.spool import Spool
pair, spool = Pair(), Spool(Path(sys.argv[1]), 10**8)
made = [sealed_item(pair, seed) for seed in range(20)]
from worker.evidence.item import new_ref
from dataclasses import replace
print("ready", flush=True)
while True:
    spool.put([replace(item, head=replace(item.head, ref=new_ref())) for item in made[:3]])
    print("x", flush=True)
"""
    for turn in range(5):
        folder = tmp_path / str(turn)
        child = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        said = sum(1 for _ in range(turn * 7) if child.stdout.readline())
        child.kill()
        said += sum(line == "x\n" for line in child.stdout)
        child.stdout.close()
        child.wait()
        spool = Spool(folder, 10**8)
        entries = spool.entries()
        assert len(entries) >= 3 * said
        for entry in entries:
            assert len(spool.read(entry.ref)) == entry.size_bytes > 1000
            spool.read(entry.ref).index(b"age-encryption.org/v1")


def test_settings_name_the_folder_and_the_bound(tmp_path: Path) -> None:
    """An operator's disk would stay empty, and the home of a container's user fill up."""
    named = Spool.of(
        Settings.from_mapping({"LIVEWARDEN_SPOOL_DIR": str(tmp_path), "LIVEWARDEN_SPOOL_BYTES": "5000000"})
    )
    assert (named.folder, named.max_bytes) == (tmp_path, 5_000_000)
    assert str(Spool.of(Settings()).folder).endswith("/.local/state/livewarden/spool")
