"""Tables and goals of the hash bank."""

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from bench.pdq_speed import Hashed
from bench.report import Goal
from bench.search_speed import QUERIES, Searched
from models.bank.index import MAX_DISTANCE

RATIOS = {10**5: 1.0, 10**6: 0.2, 10**7: 0.08}
"""Goals by number of entries: the time of a query ÷ that of faiss; the project has no goal for 10^5."""


def pdq_goals(hashed: Sequence[Hashed]) -> Iterator[Goal]:
    """Speed relative to the reference, for a 512×512 picture and a 720p frame."""
    for one, bound in zip(hashed, (8.0, 15.0), strict=bool(hashed)):
        yield Goal(
            text=f"PDQ of {one.width}×{one.height}, times as fast as pdqhash",
            bound=bound,
            at_least=True,
            measured=one.times_as_fast,
            detail=f"{one.luma_milliseconds:.2f} ms; {one.bits_apart} bits apart",
        )


def search_goals(searched: Sequence[Searched]) -> Iterator[Goal]:
    """Time relative to faiss's; no goal is met if a match was missed."""
    for one in searched:
        yield Goal(
            text=f"query at {one.entries:.0e}, {one.kind}, ÷ faiss",
            bound=RATIOS[one.entries],
            at_least=False,
            measured=one.ratio if not one.missed else math.inf,
            detail=f"{one.ours_milliseconds:.3f} ms, recall {one.recall:g}",
        )


def pdq_table(hashed: Sequence[Hashed]) -> Table | str:
    """The table of PDQ's speed, or the reason for its absence."""
    if not hashed:
        return "PDQ: left out, the reference binding is not installed; it is built where a C++ compiler is"
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


def transforms_table(costs: Sequence[tuple[str, float]]) -> Table:
    """The table of (hashed transforms, milliseconds); the first row is the picture alone."""
    table = Table(title="PDQ of a film frame with its variants", box=box.SIMPLE_HEAD)
    table.add_column("hashed", no_wrap=True)
    for heading in ("ms", "times the first"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, milliseconds in costs:
        table.add_row(name, f"{milliseconds:.2f}", f"{milliseconds / costs[0][1]:.2f}")
    return table


def search_table(searched: Sequence[Searched]) -> Table:
    """The time of a query in each bank."""
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
