"""Copied snapshots: byte for byte as published, or nothing."""

import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from snapshots import write_snapshot

from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.snapshot import (
    copy_snapshot,
    file_names,
    manifest_digest,
    open_snapshot,
    verify_snapshot,
)
from models.errors import SnapshotError

ENTRIES = 20_000
"""Enough hashes for an index."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    entries = [
        Entry(entry=f"e-{place}", kind=HashKind.PDQ, value=(place * 7919).to_bytes(32)) for place in range(ENTRIES)
    ]
    return write_snapshot(tmp_path_factory.mktemp("there"), [(ListSpec(name="own"), entries)], watermark="7-0")


def reading(path: Path, altered: dict[str, Callable[[bytes], bytes]]) -> Callable[[str], Iterator[bytes]]:
    """Returns files in chunks; some are altered."""

    def read(name: str) -> Iterator[bytes]:
        data = altered.get(name, bytes)((path / name).read_bytes())
        for start in range(0, len(data), 50_000):
            yield data[start : start + 50_000]

    return read


def copied(path: Path, folder: Path, **altered: Callable[[bytes], bytes]) -> Path:
    files = {name.replace("__", "."): change for name, change in altered.items()}
    return copy_snapshot(folder, path.name, digest=manifest_digest(path), read=reading(path, files))


def test_a_copy_equals_the_published_snapshot(published: Path, tmp_path: Path) -> None:
    """A host would match against other entries than the rest."""
    path = copied(published, tmp_path / "here")
    assert path == tmp_path / "here" / published.name
    verify_snapshot(path)
    assert file_names(path) == file_names(published)
    assert open_snapshot(path).sizes == {"own": ENTRIES}
    assert [one.name for one in (tmp_path / "here").iterdir()] == [published.name]


@pytest.mark.parametrize(
    "altered",
    [
        {"pdq__values__npy": lambda data: data[:-1] + bytes([data[-1] ^ 1])},
        {"pdq__values__npy": lambda data: data[:-1]},
        {"pdq__values__npy": lambda data: data + b"more" * 1_000_000},
        {"pdq__rows__npy": lambda _: b""},
        {"manifest__json": lambda data: data + b" "},
        {"manifest__json": lambda _: b""},
    ],
)
def test_an_altered_byte_is_refused(
    published: Path, tmp_path: Path, altered: dict[str, Callable[[bytes], bytes]]
) -> None:
    """A writer to the store, or a faulty disk, would take hashes out of force."""
    with pytest.raises(SnapshotError, match="published"):
        copied(published, tmp_path / "here", **altered)
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["snapshot-../../x", "x", "snapshot-", "snapshot-a/b"])
def test_a_name_cannot_leave_the_folder(published: Path, tmp_path: Path, name: str) -> None:
    """A writer to Redis could have files written anywhere."""
    with pytest.raises(SnapshotError, match="expected the name of a snapshot"):
        copy_snapshot(tmp_path / "here", name, digest=manifest_digest(published), read=reading(published, {}))


def test_a_damaged_copy_is_replaced(published: Path, tmp_path: Path) -> None:
    """A host whose disk lost half of a file would stay behind for ever."""
    path = copied(published, tmp_path / "here")
    with (path / "pdq.values.npy").open("r+b") as file:
        file.truncate(1_000)
    copied(published, tmp_path / "here")
    verify_snapshot(path)
    assert [one.name for one in (tmp_path / "here").iterdir()] == [published.name]


def test_a_failed_copy_leaves_nothing(published: Path, tmp_path: Path) -> None:
    """Each attempt would take more of the disk."""

    def read(name: str) -> Iterator[bytes]:
        yield from reading(published, {})(name) if name == "manifest.json" else [b"some"]
        if name != "manifest.json":
            raise LookupError("the store is away")

    with pytest.raises(LookupError):
        copy_snapshot(tmp_path, published.name, digest=manifest_digest(published), read=read)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported(published: Path, tmp_path: Path) -> None:
    """Half of a bank would be in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        with pytest.raises(SnapshotError, match="cannot be written"):
            copied(published, tmp_path / "here")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert list((tmp_path / "here").iterdir()) == []
