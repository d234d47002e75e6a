"""How `livewarden bank` shows what it did: tables, an import's counts and its progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from models.formats import Progress
    from worker.bank.importing import Imported


@contextmanager
def progress_of(file: Path) -> "Iterator[Progress | None]":
    """A progress bar on stderr, if that is a terminal, in bytes of the file."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from worker.cli.screen import Screen

    console = Screen(stderr=True)
    if not console.is_terminal or not file.is_file():
        yield None
        return
    size = file.stat().st_size
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=size)
        yield lambda read_bytes: bar.update(
            task, completed=read_bytes, description="reading" if read_bytes < size else "writing"
        )


def print_import(done: "Imported", file: Path) -> None:
    """What was in a file, and what became of it."""
    report = done.report
    typer.echo(f"{file} ({done.format}) into {done.list}{', which is new' if done.created else ''}:")
    typer.echo(f"  accepted    {report.total_accepted:>12,}  {_told(report.accepted)}")
    skipped = {f"{reason}, first at {report.first_skipped[reason]}": n for reason, n in report.skipped.items()}
    typer.echo(f"  skipped     {sum(report.skipped.values()):>12,}  {_told(skipped)}")
    typer.echo(f"  removed     {report.removed:>12,}  by the file itself")
    typer.echo(f"  duplicates  {report.duplicates:>12,}")
    if report.contradictions:
        typer.echo(f"  contradictory ids {report.contradictions:>6,}  all of their hashes are in the list")
    typer.echo(f"{done.list}: {done.added:,} new, {done.withdrawn:,} withdrawn, now {done.entries:,} entries")
    if done.looked_back:
        typer.echo(f"{done.looked_back:,} new PDQ hashes are looked for in the verdict log, while workers run")
    if done.not_looked_back:
        typer.echo(f"livewarden: not all that is new is looked back for: {done.not_looked_back}", err=True)


def _told(counts: dict[str, int]) -> str:
    return "; ".join(f"{name} {count:,}" for name, count in counts.items())


def table_of(*headings: str) -> "Table":
    """An empty table of lists or figures."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=any(headings))
    for heading in headings:
        table.add_column(heading, no_wrap=heading in ("list", "entries"), overflow="fold")
    return table


def print_table(table: "Table") -> None:
    """On standard output."""
    from worker.cli.screen import Screen

    Screen().print(table)
