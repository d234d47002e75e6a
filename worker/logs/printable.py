"""Escapes foreign text for terminals and logs.

Names, URLs, headers and error texts come from streams, files and messages. Terminal control sequences, bidirectional
marks and line breaks in them could forge what an operator reads.
"""

from typing import Any, TextIO


def printable(text: str) -> str:
    """`text` on one line: unprintable characters are escaped as in JSON, `\\u001b`.

    These are all of C0, C1, line separators, bidirectional and other format characters, lone surrogates, and unassigned
    code points. The result stays valid inside a JSON string.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def printable_lines(text: str) -> str:
    """As `printable`, but line feeds are kept."""
    return text if text.isprintable() else "\n".join(printable(line) for line in text.split("\n"))


def _escaped(character: str) -> str:
    # Above U+FFFF as a surrogate pair, as in JSON.
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class PrintableStream:
    """Standard output or error that escapes all but printable characters, tabs and line feeds.

    Line feeds are the writer's: foreign text that may contain them must go through `printable` first.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.rich_proxied_file = stream
        """The stream that rich writes to (the name is rich's): its output has colour codes, so `worker.cli.screen`
        escapes the input of its consoles instead."""

    def write(self, text: str) -> int:
        """Writes `text`, escaped; returns its length."""
        self._stream.write("\t".join(printable_lines(part) for part in text.split("\t")))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
