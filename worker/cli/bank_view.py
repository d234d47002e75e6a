"""Output of `livewarden bank` for people: tables, the counts of an import and its progress."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from config.counts import counted

if TYPE_CHECKING:
    from models.formats import Progress
    from worker.bank.imports import Imported
    from worker.bank.inspection import BankCheck
    from worker.bank.quarantine import Quarantine


@contextmanager
def progress_of(file: Path) -> "Iterator[Progress | None]":
    """A progress bar on stderr, if that is a terminal, in bytes of the file."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn

    from worker.cli.screen import progress_bar

    if not file.is_file():
        yield None
        return
    size = file.stat().st_size
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with progress_bar(*columns, description="reading", total=size) as update:
        yield lambda read_bytes: update(completed=read_bytes, description="reading" if read_bytes < size else "writing")


def print_import(done: "Imported", file: Path) -> None:
    """Prints the counts of an import."""
    from worker.cli.screen import Screen
    from worker.tables.field_table import FieldTable

    report = done.report
    typer.echo(f"{file} ({done.format}) into {done.list}{', which is new' if done.created else ''}:")
    table = FieldTable()
    skipped = {f"{reason}, first at {report.first_skipped[reason]}": n for reason, n in report.skipped.items()}
    for name, number, more in (
        ("accepted", report.total_accepted, _counts(report.accepted)),
        ("skipped", sum(report.skipped.values()), _counts(skipped)),
        ("removed", report.removed, "by the file itself"),
        ("duplicates", report.duplicates, ""),
        ("contradictory ids", report.contradictions, "all of their hashes are in the list"),
    ):
        if number or name != "contradictory ids":
            table.add(f"  {name}", f"{number:>12,}  {more}")
    Screen().print(table)
    typer.echo(f"{done.list}: {done.added:,} new, {done.withdrawn:,} withdrawn, now {counted(done.entries, 'entry')}")
    if done.looked_back:
        new = counted(done.looked_back, "new PDQ hash")
        typer.echo(f"The verdict log is searched for {new}, while workers run")
    if done.not_looked_back:
        typer.echo(f"livewarden: not every new hash is looked back for: {done.not_looked_back}", err=True)


def _counts(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{name} {count:,}" for name, count in counts.items())


def print_lists(records: Sequence[Mapping[str, Any]]) -> None:
    """Prints the bank's lists, as `worker.bank.inspection.list_records` gives them."""
    from rich.text import Text

    from worker.cli.screen import Screen
    from worker.tables.listing import Listing, ids, numbers, texts

    table = Listing(
        ids("list"),
        numbers("entries"),
        texts("source"),
        texts("category"),
        numbers("distance"),
        numbers("quality"),
        texts("variants"),
        texts("notes"),
        left_out_first=("quality", "variants", "distance", "category"),
    )
    for record in records:
        notes = [Text("stale", "bold red")] * record["stale"] + [Text("exportable")] * record["exportable"]
        table.add(
            record["list"],
            f"{record['entries']:,}",
            record["source"],
            record["category"],
            f"≤ {record['max_distance']}",
            f"≥ {record['min_quality']}",
            ", ".join(record["variants"]),
            Text(", ").join(notes),
        )
    Screen().print(table)


def print_stats(record: Mapping[str, Any]) -> None:
    """Prints the bank in figures, as `worker.bank.inspection.stats` gives them."""
    from worker.cli.screen import Screen
    from worker.tables.field_table import FieldTable

    table = FieldTable()
    for name, value in record.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | dict) else value
        if isinstance(shown, bool):
            shown = "yes" if shown else "no"
        table.add(name.replace("_", " "), f"{shown:,}" if isinstance(shown, int) else str(shown or "none"))
    Screen().print(table)


def print_checks(checks: "Sequence[BankCheck]") -> None:
    """Prints the results of the bank's verification."""
    from rich.text import Text

    from worker.cli.screen import Screen
    from worker.tables.checks import Checks

    table = Checks()
    for check in checks:
        state = Text("ok", "green") if check.ok else Text("WRONG", "bold red")
        table.add(state, check.name, check.found, well=check.ok)
    Screen().print(table)


def print_quarantined(found: "Sequence[Quarantine]") -> None:
    """Prints the entries in quarantine."""
    from worker.cli.screen import Screen
    from worker.events.cloudevent import rfc3339
    from worker.tables.listing import Listing, fixed, ids, texts

    table = Listing(
        ids("list"), ids("entry"), fixed("until"), texts("by"), texts("reason"), left_out_first=("by", "reason")
    )
    for one in found:
        table.add(one.list, one.entry, rfc3339(one.until_ms), one.by, one.reason)
    Screen().print(table)
