"""Rich's console and its progress bar, which print visible characters only."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from worker.logs.printable import printable_lines
from worker.tables.lines import UNBOUNDED

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

_UNSEEN = "\N{REPLACEMENT CHARACTER}"


class Screen(Console):
    """A console that shows foreign texts without control characters.

    Rich passes control characters on. Here each becomes one visible character, so that tables keep their shape; callers
    that show which one it was call `printable` before.

    Output to a pipe or file has no width, unless COLUMNS sets one.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        columns = os.environ.get("COLUMNS", "")  # as rich reads it
        if (
            "width" not in options
            and not self.is_terminal
            and not (columns.isascii() and columns.isdigit() and int(columns))
        ):
            self.width = UNBOUNDED
        elif self.width < 1:  # COLUMNS=0, as a shell without a terminal exports it
            self.width = 80

    @property
    def file(self) -> IO[str]:
        """The stream that it writes to. A progress bar or a live table puts a proxy of rich's before `PrintableStream`,
        and rich unwraps one of them only; the other would escape the codes that move the cursor."""
        file = super().file
        while (behind := getattr(file, "rich_proxied_file", None)) is not None:
            file = behind
        return file

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich's, with all but its own control codes made visible."""
        for segment in super().render(renderable, options):
            if segment.control or printable_lines(segment.text) == segment.text:
                yield segment
            else:
                yield Segment(_visible(segment.text), segment.style)


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() or character == "\n" else _UNSEEN for character in text)


def badge(purpose: str) -> Text:
    """The mark behind a stream's ID of a drill or canary, which must not be taken for real."""
    return Text() if purpose == "live" else Text.assemble(" ", (purpose.upper(), "black on green"))


@contextmanager
def progress_bar(
    *columns: "ProgressColumn", description: str = "", total: float | None
) -> Iterator[Callable[..., None]]:
    """A bar on stderr, if that is a terminal; yields a function that takes `completed=`, `advance=` or `description=`.

    Args:
        columns: none: rich's default.
        total: None: it is unknown, and the bar only moves.
    """
    from rich.progress import Progress

    console = Screen(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield partial(progress.update, progress.add_task(description, total=total))
