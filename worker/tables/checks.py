"""Checks and their results: a line for each, and advice below a failed one."""

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from worker.tables.lines import GAP, escaped, fold, folded_lines, side_by_side, width_of

LEAST_FOUND = 20
"""Cells of the result beside the name; with fewer (<) it goes below."""

_TO_DO = "→ "


class Checks:
    """Checks in the order in which they are added. A good one has one line on any terminal: a longer result ends with
    the last part that fits; `--json` has all of it. A bad one is shown in full."""

    def __init__(self) -> None:
        self._checks: list[tuple[Text, Text, Text, Text, bool]] = []

    def add(self, state: Text, name: str, found: str, *, advice: str = "", well: bool) -> None:
        """Adds a check; `well`: it is good."""
        self._checks.append((state, escaped(name), escaped(found), escaped(advice), well))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The protocol of rich."""
        yield from self._lines(console, options.max_width)

    def _lines(self, console: Console, width: int) -> Iterator[Text]:
        states = max((width_of(state) for state, *_ in self._checks), default=0)
        names = max((width_of(name) for _, name, *_ in self._checks), default=0)
        begin = states + names + 2 * GAP
        for state, name, found, advice, well in self._checks:
            if well:
                found = Text(shortened(found.plain, width - begin))
            beside = width - begin >= LEAST_FOUND
            lines = fold(console, found, width - begin) if beside else [Text()]
            for number, line in enumerate(lines):
                first = [Text(), Text()] if number else [state, name]
                yield side_by_side([*first, line], (states, names, 0))
            indent = begin if beside else GAP
            if not beside:
                yield from folded_lines(console, found, width, indent=indent)
            if advice.plain:
                for number, line in enumerate(fold(console, advice, width - indent - len(_TO_DO))):
                    yield side_by_side([Text(" " * indent + (" " * len(_TO_DO) if number else _TO_DO)) + line], (0,))


def shortened(text: str, room: int) -> str:
    """`text`, or the start of it that fits into `room` cells with "…": up to the end of a part or, where most of the
    room would stay empty, of a word. No name is cut in the middle."""
    if cell_len(text) <= room:
        return text
    words = text.split(" ")
    fitting = [end for end in range(len(words)) if cell_len(f"{' '.join(words[:end])} …") <= room]
    parts = [end for end in fitting if end and words[end - 1].endswith((",", ";"))]
    end = max(fitting, default=0)
    if parts and 2 * cell_len(" ".join(words[: parts[-1]])) >= room:
        end = parts[-1]
    return f"{' '.join(words[:end])} …".lstrip()
