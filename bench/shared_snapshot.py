"""The cost of a further worker process on a host: it opens a snapshot that others have open, and queries it.

`python -m bench.shared_snapshot SNAPSHOT SEED` is such a process: it prints its figures and stays until its input ends.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from bench.hashes import flipped, random_hashes
from models.bank.bank import Bank
from models.bank.entries import HashKind
from models.bank.snapshot import open_snapshot
from models.pdq.pdq import PdqHash

QUERIES = 2000
"""Queries of each process: they touch most pages that a query can."""
OTHERS = 1


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The figures of one process."""

    seconds: float
    """Time to open the snapshot, before the first query."""
    first_milliseconds: float
    """Time of the first query, which maps the pages that it touches."""
    median_milliseconds: float
    """Time of `Bank.match`: search, entries, lists."""
    private_megabytes: float
    """Growth of its own memory: pages that it wrote, and its page tables. Pages of the snapshot are shared."""


def measure(snapshot: Path) -> Opened:
    """Opens a snapshot in a further process, while OTHERS have it open."""
    with ExitStack() as stack:
        for seed in range(OTHERS):
            stack.enter_context(_opened(snapshot, seed))
        return stack.enter_context(_opened(snapshot, OTHERS))


@contextmanager
def _opened(snapshot: Path, seed: int) -> Iterator[Opened]:
    command = [sys.executable, "-m", "bench.shared_snapshot", str(snapshot), str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("a process that opens the snapshot failed")
        yield Opened(**json.loads(line))
        process.communicate()


def main() -> None:
    """Runs one process."""
    path, random = Path(sys.argv[1]), np.random.default_rng(int(sys.argv[2]))
    before = _own_kilobytes()
    started = perf_counter()
    snapshot = open_snapshot(path)
    seconds = perf_counter() - started
    bank = Bank(snapshot=snapshot)
    values = snapshot.tables[HashKind.PDQ].values
    known = flipped(values[random.integers(0, len(values), QUERIES // 2)], 31, random)
    times = []
    for bits in random.permutation(np.concatenate([known, random_hashes(QUERIES // 2, random)])):
        started = perf_counter()
        bank.match(PdqHash(bits=bits.tobytes(), quality=100))
        times.append(1000 * (perf_counter() - started))
    print(
        json.dumps(
            {
                "seconds": seconds,
                "first_milliseconds": times[0],
                "median_milliseconds": float(np.median(times)),
                "private_megabytes": (_own_kilobytes() - before) / 1024,
            }
        ),
        flush=True,
    )
    sys.stdin.read()


def _own_kilobytes() -> int:
    """Private pages, which this process wrote, and its page tables (proc(5))."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return _field(rollup, "Private_Dirty:") + _field(status, "VmPTE:")


def _field(text: str, name: str) -> int:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name))


if __name__ == "__main__":
    main()
