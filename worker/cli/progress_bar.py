"""The progress bar of commands that take long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.progress import Progress, ProgressColumn

from worker.cli.screen import Screen


@contextmanager
def progress_bar(*columns: ProgressColumn, description: str = "", total: float | None) -> Iterator[Callable[..., None]]:
    """A bar on stderr, if that is a terminal; gives what is told of progress: `completed=`, `advance=`, `description=`.

    Args:
        columns: none: those that rich has by default.
        total: None: nobody knows; the bar only moves.
    """
    console = Screen(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield partial(progress.update, progress.add_task(description, total=total))
