"""The hash bank against its goals: `python -m bench.hashing` (`--quick`: a minute or two instead of six).

One thread. Times of searching and of hashing are medians of CPU time, measured alternately with the peer's in the same
run; look-back is measured in CPU time as well, the rest by the clock.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from bench import deployment, lookback, pdq_speed, search_speed, shared_snapshot, transforms
from bench.hashes import KINDS, Hashes, HashSample, queries, random_hashes
from bench.hashing_report import pdq_goals, pdq_table, search_goals, search_table, transforms_table
from bench.one_thread import on_one_thread
from bench.report import Goal, goal_table
from bench.search_speed import QUERIES, Searched
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.index import build
from models.bank.snapshot import Snapshot, open_snapshot, snapshot_written

FULL = (10**6, 10**7)
QUICK = (10**5, 10**6)
"""Entries of the banks."""
IMPORTED = 10**6
SOUGHT = 100
"""New entries for which the log is searched."""
REPORT_COLUMNS = 130
"""Width of the widest table, if the output is no terminal."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Banks of 10^5 and 10^6 instead of 10^6 and 10^7.")] = False,
    seed: Annotated[int, typer.Option(help="Another one draws other hashes.")] = 0,
) -> None:
    """Measures and prints the tables."""
    sizes = QUICK if quick else FULL
    goals: list[Goal] = []
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    hashed = pdq_speed.measure()
    console.print(pdq_table(hashed))
    goals += pdq_goals(hashed)
    console.print(transforms_table([(cost.name, cost.milliseconds) for cost in transforms.measure()]))
    with tempfile.TemporaryDirectory(prefix="livewarden-bench-") as name:
        folder = Path(name)
        snapshot, written_seconds = _written(folder, sizes[-1], seed)
        searched = list(_searched(sizes, snapshot, seed))
        console.print(search_table(searched))
        goals += search_goals(searched)
        goals += _process_goals(snapshot, written_seconds)
        del snapshot
        goals += _deployment_goals(folder)
    goals.append(_look_back_goal(sizes[-1]))
    console.print(goal_table(goals))


def _written(folder: Path, count: int, seed: int) -> tuple[Snapshot, float]:
    """A snapshot of one list of `count` random hashes."""
    hashes = random_hashes(count, np.random.default_rng(seed))
    entries = (
        Entry(entry=f"own-{row}", kind=HashKind.PDQ, value=bits.tobytes(), tags=("A",))
        for row, bits in enumerate(hashes)
    )
    started = perf_counter()
    with snapshot_written(folder, [(ListSpec(name="own"), entries)], watermark="") as path:
        return open_snapshot(path), perf_counter() - started


def _searched(sizes: Sequence[int], snapshot: Snapshot, seed: int) -> Iterator[Searched]:
    for size in sizes:
        for kind in KINDS:
            random = np.random.default_rng((seed, size))
            if kind is KINDS[0] and size == sizes[-1]:
                table = snapshot.tables[HashKind.PDQ]
                yield _compared(kind, np.ascontiguousarray(table.values), table.near, random)
            else:
                listed = kind.make(size, random)
                yield _compared(kind, listed, _built(listed), random)


def _built(listed: Hashes) -> search_speed.Near:
    index = build(listed.view(np.uint64))
    return lambda wanted, max_distance: index.search(wanted, max_distance=max_distance)


def _compared(kind: HashSample, listed: Hashes, near: search_speed.Near, random: np.random.Generator) -> Searched:
    return search_speed.compare(kind.name, listed, near, queries(kind, listed, QUERIES, random))


def _process_goals(snapshot: Snapshot, written_seconds: float) -> Iterator[Goal]:
    opened = shared_snapshot.measure(snapshot.path)
    entries = sum(snapshot.sizes.values())
    yield Goal(
        text=f"opening a snapshot of {entries:.0e}, s",
        bound=2,
        at_least=False,
        measured=opened.seconds,
        detail=f"a match {opened.median_milliseconds:.2f} ms, the first {opened.first_milliseconds:.0f}; "
        f"written in {written_seconds:.0f} s",
    )
    yield Goal(
        text=f"memory of a further process, {entries:.0e}, MB",
        bound=50,
        at_least=False,
        measured=opened.private_megabytes,
        detail=f"after {shared_snapshot.QUERIES} matches",
    )


def _deployment_goals(folder: Path) -> Iterator[Goal]:
    with deployment.deployment(folder) as (url, place):
        imported = deployment.measure_import(url, place, folder, IMPORTED)
        yield Goal(
            text=f"import of {imported.entries:.0e} entries, CSV, s",
            bound=20,
            at_least=False,
            measured=imported.seconds,
            detail="until it is in force, on disk",
        )
        changed = deployment.measure_changes(url, place)
        yield Goal(
            text="added or withdrawn: in force on all workers, s",
            bound=5,
            at_least=False,
            measured=changed.worst_seconds,
            detail=f"median {changed.median_seconds:.1f}; {deployment.WORKERS} processes, "
            f"{changed.matches_per_second:.0f} matches/s",
        )


def _look_back_goal(logged: int) -> Goal:
    figures = lookback.measure(logged, SOUGHT)
    return Goal(
        text=f"look-back: {logged:.0e} logged hashes × {SOUGHT}, s",
        bound=10,
        at_least=False,
        measured=figures["search_cpu_seconds"],
        detail=f"of CPU, from files; {figures['search_seconds']:.1f} by the clock; "
        f"{figures['found']:.0f} found of {figures['pairs']:.0f} near",
    )


if __name__ == "__main__":
    on_one_thread("bench.hashing")
    typer.run(main)
