"""Snapshots: whole or not there, whatever dies, and whoever reads them meanwhile."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from snapshots import prune, write_snapshot

from models.bank.bank import Bank
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.snapshot import (
    current_snapshot,
    make_current,
    open_snapshot,
    snapshot_written,
    tidy,
    verify_snapshot,
)
from models.errors import SnapshotError
from models.pdq.pdq import PdqHash
from models.pdq.variant_kinds import Variant

OWN = ListSpec(name="own", source="platform", category="A", max_distance=20, variants=(Variant.CROP,), owner="me")
Crowded = Callable[..., npt.NDArray[np.uint8]]
Listed = Callable[..., tuple[Entry, ...]]

WRITER = """
import sys
from pathlib import Path
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.snapshot import snapshot_written

def entries():
    for place in range(20_000):
        yield Entry(entry=str(place), kind=HashKind.PDQ, value=place.to_bytes(32))
    print("half way", flush=True)
    sys.stdin.readline()

with snapshot_written(Path(sys.argv[1]), [(ListSpec(name="own"), entries())], watermark="1-0"):
    pass
"""


def left(folder: Path) -> list[str]:
    """What is in a folder of snapshots."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that stops half way through writing a snapshot."""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half way\n"
        yield process
        process.kill()


def test_what_was_written_is_read(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """Export, compaction and matches all read from here: nothing of an entry may change on the way."""
    entries = [
        *listed(crowded(20_000)),
        Entry(entry="schön ✓", kind=HashKind.PDQ, value=bytes(32), tags=("A", 'quo"te', "ü"), video="v", seconds=0.1),
        Entry(entry="0", kind=HashKind.PDQ, value=bytes(32), seconds=0.0),
    ]
    digests = [Entry(entry="x" * 200, kind=HashKind.SHA256, value=bytes([place]) * 32) for place in range(9)]
    path = write_snapshot(
        tmp_path,
        [(OWN, [*digests, *entries]), (ListSpec(name="empty"), []), (ListSpec(name="z"), entries[:3])],
        watermark="17-3",
    )
    snapshot = open_snapshot(path)
    assert snapshot.watermark == "17-3"
    assert list(snapshot.specs.items()) == [("own", OWN), ("empty", ListSpec(name="empty")), ("z", ListSpec(name="z"))]
    assert dict(snapshot.sizes) == {"own": 20_011, "empty": 0, "z": 3}
    assert set(snapshot.entries("own")) == {*digests, *entries}
    assert list(snapshot.entries("z")) == entries[:3]
    assert list(snapshot.entries("empty")) == list(snapshot.entries("nowhere")) == []
    verify_snapshot(path)


def test_the_index_on_disk_finds_every_entry(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """A hash that is listed is found, at any row and of any list."""
    entries = listed(crowded(20_000))
    lists = [(ListSpec(name="a", max_distance=31), entries[:5000]), (ListSpec(name="b"), entries[5000:])]
    bank = Bank(snapshot=open_snapshot(write_snapshot(tmp_path, lists, watermark="")))
    for place in range(0, 20_000, 7):
        matches = bank.match(PdqHash(bits=entries[place].value, quality=100))
        told = [match.entry for match in matches if match.list == ("a" if place < 5000 else "b") and not match.distance]
        assert f"e{place}" in told


def test_the_pointer_leads_to_the_last_good_one(tmp_path: Path) -> None:
    """A worker that starts takes what was last put into force, not what was written last."""
    assert current_snapshot(tmp_path) is None
    first = write_snapshot(tmp_path, [(OWN, [])], watermark="1-0")
    assert current_snapshot(tmp_path) is None
    make_current(tmp_path, first)
    second = write_snapshot(tmp_path, [(OWN, [])], watermark="2-0")
    assert current_snapshot(tmp_path) == first
    make_current(tmp_path, second)
    assert current_snapshot(tmp_path) == second


def test_a_writer_that_dies_leaves_the_last_good_one(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    """kill -9 in the middle: the bank in force is untouched, and what is left over is cleared away once it is dead."""
    good = write_snapshot(tmp_path, [(OWN, [])], watermark="1-0")
    make_current(tmp_path, good)
    assert prune(tmp_path) == (), "a living writer's folder stays"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert current_snapshot(tmp_path) == good
    assert open_snapshot(good).watermark == "1-0"
    assert len(prune(tmp_path)) == 1
    assert left(tmp_path) == ["CURRENT", good.name]


def test_a_living_writer_finishes_beside_others(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    """Pruning while another process writes must not take its files away."""
    make_current(tmp_path, write_snapshot(tmp_path, [(OWN, [])], watermark="1-0"))
    prune(tmp_path)
    writer.communicate("go on\n")
    assert writer.returncode == 0
    (other,) = (path for path in tmp_path.glob("snapshot-*") if path != current_snapshot(tmp_path))
    assert open_snapshot(other).sizes == {"own": 20_000}


def test_a_crash_at_any_point_leaves_a_whole_snapshot_in_force(tmp_path: Path) -> None:
    """Dead before any of the things done to files: the snapshot in force is the old one or the new one, to the byte."""
    environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}:{Path(__file__).parents[1]}", "OPENBLAS_NUM_THREADS": "1"}
    script = Path(__file__).with_name("crash_points.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    *points, remains = (line.split() for line in done.stdout.splitlines())
    assert len(points) > 20
    in_force = [int(watermark) for _, watermark in points]
    assert in_force == sorted(in_force), "it never goes back"
    assert in_force[0] == 0
    assert in_force[-1] == len(points), "with nothing to die of it is the new one"
    assert remains == ["left", "CURRENT", "snapshot", "snapshot"]


def test_prune_keeps_what_is_in_force(tmp_path: Path) -> None:
    """An operator may go back to an older one: being old is no reason to go."""
    paths = [write_snapshot(tmp_path, [(OWN, [])], watermark=f"{place}-0") for place in range(5)]
    for place, path in enumerate(paths):
        os.utime(path, ns=(place, place))
    make_current(tmp_path, paths[0])
    assert set(prune(tmp_path, keep=2)) == set(paths[1:4])
    assert current_snapshot(tmp_path) == paths[0]
    assert paths[4].is_dir()


def test_a_removed_snapshot_stays_usable_where_it_is_open(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """A worker that follows late must not stall or crash."""
    entries = listed(crowded(17_000))
    bank = Bank(snapshot=open_snapshot(write_snapshot(tmp_path, [(OWN, entries)], watermark="")))
    newer = write_snapshot(tmp_path, [(OWN, [])], watermark="")
    make_current(tmp_path, newer)
    assert len(prune(tmp_path, keep=0)) == 1
    assert left(tmp_path) == ["CURRENT", newer.name]
    assert bank.match(PdqHash(bits=entries[77].value, quality=100))
    assert len(list(bank.entries("own"))) == 17_000


def test_an_import_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A malformed file is refused whole: half of it must not lie about."""

    def entries() -> Iterator[Entry]:
        for place in range(20_000):
            yield Entry(entry=str(place), kind=HashKind.PDQ, value=place.to_bytes(32))
        raise ValueError("line 20001")

    with pytest.raises(ValueError, match="line 20001"):
        write_snapshot(tmp_path, [(OWN, entries())], watermark="")
    assert left(tmp_path) == []


def test_a_lost_lease_stops_the_writing(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """The heartbeat renews the lease of a compaction; when that is gone another process compacts."""
    beats = iter(range(8))

    def beat() -> None:
        if next(beats, None) is None:
            raise TimeoutError("the lease is gone")

    with pytest.raises(TimeoutError, match="lease is gone"):
        write_snapshot(tmp_path, [(OWN, listed(crowded(17_000)))], watermark="", heartbeat=beat)
    assert left(tmp_path) == []


def test_a_full_disk_is_told_and_changes_nothing(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """A limit on the size of files stands in for a full disk: writes fail in the same place."""
    make_current(tmp_path, write_snapshot(tmp_path, [(OWN, [])], watermark="1-0"))
    entries = listed(crowded(20_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(SnapshotError, match="cannot be written: File too large"):
            write_snapshot(tmp_path, [(OWN, entries)], watermark="2-0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    current = current_snapshot(tmp_path)
    assert current is not None
    assert open_snapshot(current).watermark == "1-0"
    assert left(tmp_path) == ["CURRENT", current.name]


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)


@pytest.mark.parametrize("name", ["pdq.values.npy", "pdq.rows.npy", "pdq.offsets.npy", "manifest.json"])
@pytest.mark.parametrize("harm", [_cut, Path.unlink])
def test_what_is_not_whole_is_refused(
    tmp_path: Path, crowded: Crowded, listed: Listed, name: str, harm: Callable[[Path], None]
) -> None:
    """A cut file read through a map would kill the process, or miss entries in silence."""
    path = write_snapshot(tmp_path, [(OWN, listed(crowded(17_000)))], watermark="")
    harm(path / name)
    with pytest.raises(SnapshotError, match=name.replace(".", r"\.")):
        open_snapshot(path)


def test_verify_finds_a_turned_bit(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """Disks err; `bank verify` must say in which file."""
    path = write_snapshot(tmp_path, [(OWN, listed(crowded(17_000)))], watermark="")
    with (path / "pdq.values.npy").open("r+b") as file:
        file.seek(5000)
        (byte,) = file.read(1)
        file.seek(5000)
        file.write(bytes([byte ^ 1]))
    open_snapshot(path)
    with pytest.raises(SnapshotError, match=r"pdq\.values\.npy: its content was altered"):
        verify_snapshot(path)


def _alter(manifest: dict[str, object]) -> Iterator[dict[str, object]]:
    yield manifest | {"format": 2}
    yield {key: value for key, value in manifest.items() if key != "files"}
    yield manifest | {"kinds": ["photodna"]}
    yield manifest | {"kinds": []}
    yield manifest | {"lists": [{"spec": {"name": "a b"}, "version": "1", "rows": {}}]}
    yield manifest | {"lists": [{"spec": {"name": "own"}, "version": "1", "rows": {"pdq": [0, 99]}}]}
    yield manifest | {"lists": 3}


def test_manifests_of_another_make_are_refused(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """After an upgrade or a slip of the hand: a clear refusal, so that the bank is written anew."""
    path = write_snapshot(tmp_path, [(OWN, listed(crowded(9)))], watermark="")
    for manifest in _alter(json.loads((path / "manifest.json").read_text())):
        (path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(SnapshotError, match=r"manifest\.json"):
            open_snapshot(path)


@pytest.mark.parametrize("name", ["", "..", "snapshot-gone", "/etc", "snapshot-../.."])
def test_a_pointer_to_nowhere_is_told(tmp_path: Path, name: str) -> None:
    """ "No snapshot" would start a worker with empty lists."""
    (tmp_path / "CURRENT").write_text(name)
    with pytest.raises(SnapshotError, match="CURRENT: names a snapshot that is not there"):
        current_snapshot(tmp_path)


def test_only_a_snapshot_of_the_folder_becomes_current(tmp_path: Path) -> None:
    """Processes of other hosts or containers find it by its name in the folder that they share."""
    elsewhere = write_snapshot(tmp_path / "elsewhere", [(OWN, [])], watermark="")
    with pytest.raises(SnapshotError, match="expected a snapshot in"):
        make_current(tmp_path, elsewhere)


@pytest.mark.parametrize("lists", [[(ListSpec(name="selftest"), [])], [(OWN, []), (OWN, [])]])
def test_lists_that_cannot_be_are_refused(tmp_path: Path, lists: list[tuple[ListSpec, list[Entry]]]) -> None:
    """The built-in list is not written, and no list can hide another of its name."""
    with pytest.raises(SnapshotError, match="built in, or was given twice"):
        write_snapshot(tmp_path, lists, watermark="")
    assert left(tmp_path) == []


def test_tidying_up_keeps_what_is_in_force_however_old_and_never_points_back(tmp_path: Path) -> None:
    """A writer that stood still, or a clock that was set back, would take the list in force from all who start."""
    paths = [write_snapshot(tmp_path, [(OWN, [])], watermark=f"{place}-0") for place in range(4)]
    for place, path in enumerate(paths):
        os.utime(path, ns=(place, place))
    make_current(tmp_path, paths[2])
    assert tidy(tmp_path, in_force=lambda: "") == (), "nobody knows what is in force"
    assert set(tidy(tmp_path, in_force=lambda: paths[0].name)) == {paths[1], paths[2]}
    assert current_snapshot(tmp_path) == paths[0]
    assert set(tidy(tmp_path, in_force=lambda: "snapshot-elsewhere", keep=1)) == {paths[3]}
    assert current_snapshot(tmp_path) == paths[0]


def test_a_snapshot_that_is_about_to_be_in_force_stays(tmp_path: Path) -> None:
    """A host that tidies up while a large list is on its way into the store would put a list in force that is gone."""
    in_force = write_snapshot(tmp_path, [(OWN, [])], watermark="1-0")
    with snapshot_written(tmp_path, [(OWN, [])], watermark="2-0") as path:
        os.utime(path, ns=(1, 1))
        make_current(tmp_path, in_force)
        assert tidy(tmp_path, in_force=lambda: in_force.name, keep=1) == ()
        assert prune(tmp_path, keep=1) == ()
        open_snapshot(path)
    assert tidy(tmp_path, in_force=lambda: in_force.name, keep=1) == (path,)
