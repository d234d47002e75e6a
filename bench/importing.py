"""The cost of an import in memory and time, as the file grows: `python -m bench.importing` (`--quick`: to 10^6).

Each import is a separate process, which reads its own memory every few milliseconds: private pages (RssAnon of
proc(5)). Pages of the snapshot that it writes and maps belong to the system, which reclaims them when needed. `python
-m bench.importing REDIS FOLDER FILE` is such a process.
"""

import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, process_time
from typing import Final

from bench.deployment import LIST, deployment, write_csv
from worker.bank.imports import import_file
from worker.bank.snapshot_storage import SnapshotStorage
from worker.lookback.bulk import prepare
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect

FULL: Final = (10**5, 10**6, 10**7)
QUICK: Final = (10**5, 10**6)

LOOK_SECONDS: Final = 0.005


@dataclass(frozen=True, kw_only=True)
class ImportCost:
    """The cost of one import."""

    seconds: float
    cpu_seconds: float
    """CPU seconds of all its threads."""
    megabytes: float
    """The largest growth of the process's own memory."""
    new: int


def measure(count: int) -> tuple[ImportCost, ImportCost]:
    """Measures the import of `count` random hashes into an empty list, and of the same file again."""
    with tempfile.TemporaryDirectory(prefix="livewarden-bench-") as name:
        folder = Path(name)
        with deployment(folder) as (url, _):
            file = write_csv(folder, count)
            return _import(url, folder, file), _import(url, folder, file)


def _import(url: str, folder: Path, file: Path) -> ImportCost:
    command = [sys.executable, "-m", "bench.importing", url, str(folder), str(file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return ImportCost(**json.loads(done.stdout))


def _own_kilobytes() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))


def _one(url: str, folder: Path, file: Path) -> ImportCost:
    done, most = threading.Event(), [0]

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            most[0] = max(most[0], _own_kilobytes())

    before, looking = _own_kilobytes(), threading.Thread(target=look)
    store = str(folder / "store")
    with connect(url) as redis:
        redis.ping()
        looking.start()
        began, cpu = monotonic(), process_time()
        imported = import_file(
            redis,
            SnapshotStorage(root=folder / "bank", dedicated=True, store_url=store),
            LIST,
            file,
            look_back=partial(prepare, redis, ObjectStore(store)),
        )
        seconds, cpu = monotonic() - began, process_time() - cpu
        done.set()
        looking.join()
    return ImportCost(seconds=seconds, cpu_seconds=cpu, megabytes=(most[0] - before) / 1024, new=imported.added)


def _shown(cost: ImportCost) -> str:
    return f"{cost.seconds:.1f} s ({cost.cpu_seconds:.1f} s CPU), {cost.megabytes:.0f} MB of its own"


def main() -> None:
    """Prints the table, or is one of the processes."""
    if len(sys.argv) == 4:
        url, folder, file = sys.argv[1:]
        print(json.dumps(vars(_one(url, Path(folder), Path(file)))))
        return
    sizes = QUICK if sys.argv[1:] == ["--quick"] else FULL
    costs = [measure(size) for size in sizes]
    for size, (first, again) in zip(sizes, costs, strict=True):
        print(f"import of {size:.0e} entries of CSV: {_shown(first)}; once more: {_shown(again)}, {again.new} new")
    grown = (costs[-1][0].megabytes - costs[-2][0].megabytes) * 2**20 / (sizes[-1] - sizes[-2])
    print(f"from {sizes[-2]:.0e} to {sizes[-1]:.0e}: {grown:.1f} bytes an entry")


if __name__ == "__main__":
    main()
