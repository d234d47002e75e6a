"""The hash bank against what was asked of it: `python -m bench.hashing` (`--quick`: a minute or two instead of six).

One thread. Times of searching and of hashing are medians of CPU time, taken in turns with the peer's in the same run.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bench import deployment, lookback, pdqspeed, searching, sharing, turned
from bench.hashes import KINDS, Hashes, Kind, queries, random_hashes
from bench.pdqspeed import Hashed
from bench.report import Goal
from bench.searching import QUERIES, Searched
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.index import MAX_DISTANCE, build
from models.bank.snapshot import Snapshot, open_snapshot, write_snapshot

FULL = (10**6, 10**7)
QUICK = (10**5, 10**6)
"""Entries of the banks."""
RATIOS = {10**5: 1.0, 10**6: 0.2, 10**7: 0.08}
"""Time of a query in parts of faiss's that is to be reached; at 10^5 nobody asked for one."""
IMPORTED = 10**6
SOUGHT = 100
"""Entries that come new and are looked for in the log."""
REPORT_COLUMNS = 130
"""Of the widest table, where the output is no terminal."""


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
    hashed = pdqspeed.measure()
    console.print(_pdq_table(hashed))
    goals += _pdq_goals(hashed)
    console.print(_turned_table(turned.measure()))
    with tempfile.TemporaryDirectory(prefix="livewarden-bench-") as name:
        folder = Path(name)
        snapshot, written_seconds = _written(folder, sizes[-1], seed)
        searched = list(_searched(sizes, snapshot, seed))
        console.print(_search_table(searched))
        goals += _search_goals(searched)
        goals += _process_goals(snapshot, written_seconds)
        del snapshot
        goals += _deployment_goals(folder)
    goals.append(_look_back_goal(sizes[-1]))
    console.print(_goal_table(goals))


def _written(folder: Path, count: int, seed: int) -> tuple[Snapshot, float]:
    """A snapshot of one list of `count` random hashes."""
    hashes = random_hashes(count, np.random.default_rng(seed))
    entries = (
        Entry(entry=f"own-{row}", kind=HashKind.PDQ, value=bits.tobytes(), tags=("A",))
        for row, bits in enumerate(hashes)
    )
    started = perf_counter()
    path = write_snapshot(folder, [(ListSpec(name="own"), entries)], watermark="")
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


def _built(listed: Hashes) -> searching.Near:
    index = build(listed.view(np.uint64))
    return lambda wanted, max_distance: index.search(wanted, max_distance=max_distance)


def _compared(kind: Kind, listed: Hashes, near: searching.Near, random: np.random.Generator) -> Searched:
    return searching.compare(kind.name, listed, near, queries(kind, listed, QUERIES, random))


def _pdq_goals(hashed: Sequence[Hashed]) -> Iterator[Goal]:
    for one, bound in zip(hashed, (8.0, 15.0), strict=bool(hashed)):
        yield Goal(
            text=f"PDQ of {one.width}×{one.height}, times as fast as pdqhash",
            bound=bound,
            at_least=True,
            measured=one.times_as_fast,
            detail=f"{one.luma_milliseconds:.2f} ms; {one.bits_apart} bits apart",
        )


def _search_goals(searched: Sequence[Searched]) -> Iterator[Goal]:
    for one in searched:
        yield Goal(
            text=f"query at {one.entries:.0e}, {one.kind}, ÷ faiss",
            bound=RATIOS[one.entries],
            at_least=False,
            measured=one.ratio,
            detail=f"{one.ours_milliseconds:.3f} ms, recall {one.recall:g}",
        )


def _process_goals(snapshot: Snapshot, written_seconds: float) -> Iterator[Goal]:
    opened = sharing.measure(snapshot.path)
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
        detail=f"after {sharing.QUERIES} matches",
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
        measured=figures["search_seconds"],
        detail=f"from files; in memory {figures['sweep_seconds']:.1f}; "
        f"{figures['found']:.0f} found of {figures['pairs']:.0f} near",
    )


def _pdq_table(hashed: Sequence[Hashed]) -> Table | str:
    if not hashed:
        return "PDQ: left out, the reference binding is not here; it is built where a C++ compiler is"
    table = Table(title="PDQ, ms a picture", box=box.SIMPLE_HEAD)
    table.add_column("picture", no_wrap=True)
    for heading in ("from luma", "from RGB", "pdqhash", "times as fast", "from RGB", "bits apart"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in hashed:
        table.add_row(
            f"{one.width} × {one.height}",
            f"{one.luma_milliseconds:.2f}",
            f"{one.rgb_milliseconds:.2f}",
            f"{one.reference_milliseconds:.2f}",
            f"{one.times_as_fast:.1f}",
            f"{one.reference_milliseconds / one.rgb_milliseconds:.1f}",
            str(one.bits_apart),
        )
    return table


def _turned_table(costs: Sequence[turned.Cost]) -> Table:
    table = Table(title="PDQ of a film frame with its variants", box=box.SIMPLE_HEAD)
    table.add_column("hashed", no_wrap=True)
    for heading in ("ms", "times the first"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cost in costs:
        table.add_row(cost.name, f"{cost.milliseconds:.2f}", f"{cost.milliseconds / costs[0].milliseconds:.2f}")
    return table


def _search_table(searched: Sequence[Searched]) -> Table:
    title = f"One query at distance {MAX_DISTANCE}, ms; half of {QUERIES} queries are near a listed hash"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    table.add_column("bank", no_wrap=True)
    for heading in ("entries", "livewarden", "1 in 100", "faiss flat", "ratio", "matches", "recall"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in searched:
        table.add_row(
            one.kind,
            f"{one.entries:.0e}",
            f"{one.ours_milliseconds:.3f}",
            f"{one.slow_milliseconds:.2f}",
            f"{one.faiss_milliseconds:.2f}",
            f"{one.ratio:.3f}",
            str(one.matches),
            f"{one.recall:g}",
        )
    return table


def _goal_table(goals: Sequence[Goal]) -> Table:
    table = Table(title="To reach", box=box.SIMPLE_HEAD)
    table.add_column("goal", no_wrap=True)
    table.add_column("bound", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("")
    for goal in goals:
        table.add_row(
            goal.text,
            f"{'≥' if goal.at_least else '≤'} {goal.bound:g}",
            f"{goal.measured:.3g}",
            "met" if goal.met else "MISSED",
            goal.detail,
        )
    return table


def on_one_thread() -> None:
    """Starts this process again where NumPy's BLAS would take more threads: it reads that once, when it is loaded."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "bench.hashing", *sys.argv[1:]],
            {**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )


if __name__ == "__main__":
    on_one_thread()
    typer.run(main)
