"""Texts that others wrote, as a terminal or a log may show them.

Names, URLs, headers and error texts come from streams, files and messages. What steers a terminal in them, turns the
direction of writing, or begins a new line, could forge what an operator reads.
"""

from typing import Any, TextIO


def printable(text: str) -> str:
    """`text` on one line: what is no visible character is escaped as in JSON, `\\u001b`.

    That is all of C0, C1, line separators, bidirectional and other format characters, lone surrogates, and what has no
    character yet. The result stays valid inside of a JSON string.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def printable_lines(text: str) -> str:
    """As `printable`, but what begins a new line stays one."""
    return text if text.isprintable() else "\n".join(printable(line) for line in text.split("\n"))


def _escaped(character: str) -> str:
    # Beyond the first plane as JSON has it, by a pair of surrogates.
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class PrintableStream:
    """Standard output or error through which nothing but visible characters and new lines goes.

    Lines are those of whoever writes: texts of others that may have new lines go through `printable` before.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.rich_proxied_file = stream
        """Where rich writes to (its own name for such an attribute): it has colours, so `worker.cli.screen` escapes
        what goes into its consoles instead."""

    def write(self, text: str) -> int:
        """Writes `text`, escaped; gives the characters that were taken."""
        self._stream.write("\t".join(printable_lines(part) for part in text.split("\t")))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
