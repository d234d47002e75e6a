"""Snapshots are complete or absent, whichever process dies, and whoever reads them meanwhile."""

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
    """The contents of a folder of snapshots."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that stops half-way through writing a snapshot."""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half way\n"
        yield process
        process.kill()


def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """Export, compaction and matching would see altered entries."""
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
    """A listed hash would be missed at some row or in some list."""
    entries = listed(crowded(20_000))
    lists = [(ListSpec(name="a", max_distance=31), entries[:5000]), (ListSpec(name="b"), entries[5000:])]
    bank = Bank(snapshot=open_snapshot(write_snapshot(tmp_path, lists, watermark="")))
    for place in range(0, 20_000, 7):
        matches = bank.match(PdqHash(bits=entries[place].value, quality=100))
        told = [match.entry for match in matches if match.list == ("a" if place < 5000 else "b") and not match.distance]
        assert f"e{place}" in told


def test_the_pointer_leads_to_the_last_published_snapshot(tmp_path: Path) -> None:
    """A worker that starts would load the snapshot written last, not the one in force."""
    assert current_snapshot(tmp_path) is None
    first = write_snapshot(tmp_path, [(OWN, [])], watermark="1-0")
    assert current_snapshot(tmp_path) is None
    make_current(tmp_path, first)
    second = write_snapshot(tmp_path, [(OWN, [])], watermark="2-0")
    assert current_snapshot(tmp_path) == first
    make_current(tmp_path, second)
    assert current_snapshot(tmp_path) == second


def test_a_writer_that_dies_leaves_the_last_good_one(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    """A kill -9 during writing would damage the bank in force, or leave files behind for good."""
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
    """Pruning would remove the files of another process that is still writing."""
    make_current(tmp_path, write_snapshot(tmp_path, [(OWN, [])], watermark="1-0"))
    prune(tmp_path)
    writer.communicate("go on\n")
    assert writer.returncode == 0
    (other,) = (path for path in tmp_path.glob("snapshot-*") if path != current_snapshot(tmp_path))
    assert open_snapshot(other).sizes == {"own": 20_000}


def test_a_crash_at_any_point_leaves_a_complete_snapshot_in_force(tmp_path: Path) -> None:
    """A crash between two file operations would leave neither the old nor the new snapshot intact."""
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


def test_prune_keeps_the_snapshot_in_force(tmp_path: Path) -> None:
    """If an operator goes back to an older snapshot, it would be removed for its age."""
    paths = [write_snapshot(tmp_path, [(OWN, [])], watermark=f"{place}-0") for place in range(5)]
    for place, path in enumerate(paths):
        os.utime(path, ns=(place, place))
    make_current(tmp_path, paths[0])
    assert set(prune(tmp_path, keep=2)) == set(paths[1:4])
    assert current_snapshot(tmp_path) == paths[0]
    assert paths[4].is_dir()


def test_a_removed_snapshot_stays_usable_where_it_is_open(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """A worker that follows late would stall or crash."""
    entries = listed(crowded(17_000))
    bank = Bank(snapshot=open_snapshot(write_snapshot(tmp_path, [(OWN, entries)], watermark="")))
    newer = write_snapshot(tmp_path, [(OWN, [])], watermark="")
    make_current(tmp_path, newer)
    assert len(prune(tmp_path, keep=0)) == 1
    assert left(tmp_path) == ["CURRENT", newer.name]
    assert bank.match(PdqHash(bits=entries[77].value, quality=100))
    assert len(list(bank.entries("own"))) == 17_000


def test_a_failed_import_leaves_nothing(tmp_path: Path) -> None:
    """Half of a malformed file would be left behind."""

    def entries() -> Iterator[Entry]:
        for place in range(20_000):
            yield Entry(entry=str(place), kind=HashKind.PDQ, value=place.to_bytes(32))
        raise ValueError("line 20001")

    with pytest.raises(ValueError, match="line 20001"):
        write_snapshot(tmp_path, [(OWN, entries())], watermark="")
    assert left(tmp_path) == []


def test_a_lost_lease_stops_the_writing(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """After its lease is lost, a compaction would write while another process compacts."""
    beats = iter(range(8))

    def beat() -> None:
        if next(beats, None) is None:
            raise TimeoutError("the lease is gone")

    with pytest.raises(TimeoutError, match="lease is gone"):
        write_snapshot(tmp_path, [(OWN, listed(crowded(17_000)))], watermark="", heartbeat=beat)
    assert left(tmp_path) == []


def test_a_full_disk_is_reported_and_changes_nothing(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """A full disk would damage the bank in force. A limit on file size stands in for it: writes fail in the same
    place."""
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
def test_an_incomplete_snapshot_is_refused(
    tmp_path: Path, crowded: Crowded, listed: Listed, name: str, harm: Callable[[Path], None]
) -> None:
    """A truncated memory-mapped file would kill the process, or entries would silently be missed."""
    path = write_snapshot(tmp_path, [(OWN, listed(crowded(17_000)))], watermark="")
    harm(path / name)
    with pytest.raises(SnapshotError, match=name.replace(".", r"\.")):
        open_snapshot(path)


def test_verify_finds_a_flipped_bit(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """`bank verify` would not name the file that a faulty disk has altered."""
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


def test_manifests_of_another_format_are_refused(tmp_path: Path, crowded: Crowded, listed: Listed) -> None:
    """After an upgrade or an accidental edit, a snapshot would be misread instead of being written again."""
    path = write_snapshot(tmp_path, [(OWN, listed(crowded(9)))], watermark="")
    for manifest in _alter(json.loads((path / "manifest.json").read_text())):
        (path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(SnapshotError, match=r"manifest\.json"):
            open_snapshot(path)


@pytest.mark.parametrize("name", ["", "..", "snapshot-gone", "/etc", "snapshot-../.."])
def test_a_pointer_to_nowhere_is_reported(tmp_path: Path, name: str) -> None:
    """A missing target read as "no snapshot" would start a worker with empty lists."""
    (tmp_path / "CURRENT").write_text(name)
    with pytest.raises(SnapshotError, match="CURRENT: names a snapshot that is not there"):
        current_snapshot(tmp_path)


def test_only_a_snapshot_of_the_folder_becomes_current(tmp_path: Path) -> None:
    """Processes on other hosts or in containers could not find a snapshot outside the shared folder."""
    elsewhere = write_snapshot(tmp_path / "elsewhere", [(OWN, [])], watermark="")
    with pytest.raises(SnapshotError, match="expected a snapshot in"):
        make_current(tmp_path, elsewhere)


@pytest.mark.parametrize("lists", [[(ListSpec(name="selftest"), [])], [(OWN, []), (OWN, [])]])
def test_invalid_lists_are_refused(tmp_path: Path, lists: list[tuple[ListSpec, list[Entry]]]) -> None:
    """A list could replace a built-in one, or hide another of its name."""
    with pytest.raises(SnapshotError, match="built in, or was given twice"):
        write_snapshot(tmp_path, lists, watermark="")
    assert left(tmp_path) == []


def test_pruning_keeps_the_snapshot_in_force_however_old_and_never_points_back(tmp_path: Path) -> None:
    """A suspended writer, or a clock set back, would take the list in force from all processes that start."""
    paths = [write_snapshot(tmp_path, [(OWN, [])], watermark=f"{place}-0") for place in range(4)]
    for place, path in enumerate(paths):
        os.utime(path, ns=(place, place))
    make_current(tmp_path, paths[2])
    assert tidy(tmp_path, in_force=lambda: "") == (), "nobody knows what is in force"
    assert set(tidy(tmp_path, in_force=lambda: paths[0].name)) == {paths[1], paths[2]}
    assert current_snapshot(tmp_path) == paths[0]
    assert set(tidy(tmp_path, in_force=lambda: "snapshot-elsewhere", keep=1)) == {paths[3]}
    assert current_snapshot(tmp_path) == paths[0]


def test_a_snapshot_about_to_be_published_stays(tmp_path: Path) -> None:
    """A host that prunes while a large list is uploaded would publish a snapshot that is gone."""
    in_force = write_snapshot(tmp_path, [(OWN, [])], watermark="1-0")
    with snapshot_written(tmp_path, [(OWN, [])], watermark="2-0") as path:
        os.utime(path, ns=(1, 1))
        make_current(tmp_path, in_force)
        assert tidy(tmp_path, in_force=lambda: in_force.name, keep=1) == ()
        assert prune(tmp_path, keep=1) == ()
        open_snapshot(path)
    assert tidy(tmp_path, in_force=lambda: in_force.name, keep=1) == (path,)
