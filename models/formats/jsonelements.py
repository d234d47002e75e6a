"""The elements of a VICS file, one at a time: the file of any size, each element of a bounded size and depth.

What stands around the elements is read here, character by character; an element is given to the standard library's
decoder, which is compiled, and refuses what is nested too deep. (`ijson` 3.6 read the same files at a quarter of the
speed, and a number of 5,000 digits crashed its process.)
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NoReturn

from models.errors import ListFormatError
from models.formats.source import ListSource

LARGEST_ELEMENT: Final = 4 << 20
"""Characters of one element, or of another value: media with hundreds of Exif properties have some 100,000."""

CONTEXT_KEYS: Final = ("@odata.context", "odata.metadata")
"""Names of the data model, in VICS 2.0 and in 1.2 and 1.3."""

MOST_KEYS: Final = 1000
"""Fields of the file's own object, or of a case; VICS has some 20."""

_BLANKS: Final = re.compile(r"[ \t\r\n]*+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Element:
    """One element of a file's list."""

    place: str
    """`value[12]`, or `value[0].Media[12]` in a file of cases; counted from 0."""
    case: int | None
    """Its case's place in the file; None: the file lists media."""
    fields: dict[str, Any]
    """As JSON has them."""


def read_elements(source: ListSource, lists_cases: Callable[[object], bool]) -> Iterator[Element]:
    """Gives the media of a file.

    Args:
        source: the file.
        lists_cases: decides from the file's context if it lists cases, or refuses it.

    Raises:
        ListFormatError: it is malformed, naming the element.
    """
    text = _Text(source)
    cases: bool | None = None
    found = False
    for key in text.keys():  # noqa: SIM118 (it reads them)
        text.place = key if key in CONTEXT_KEYS else "value"
        if key in CONTEXT_KEYS:
            cases = lists_cases(text.value())
        elif key != "value":
            text.value()
        elif cases is None:
            text.refuse(f"a file that begins with {' or '.join(CONTEXT_KEYS)}")
        elif found:
            text.refuse("one list, found another")
        else:
            found = True
            yield from _cases(text) if cases else _media(text, "value", None)
    text.place = "end of file"
    if not found:
        text.refuse("a list, value")
    text.end()


def _cases(text: "_Text") -> Iterator[Element]:
    for number in text.items("value"):
        for key in text.keys():  # noqa: SIM118
            if key == "Media":
                yield from _media(text, f"value[{number}].Media", number)
            else:
                text.value()
            text.place = f"value[{number}]"


def _media(text: "_Text", path: str, case: int | None) -> Iterator[Element]:
    for _ in text.items(path):
        media = text.value()
        if not isinstance(media, dict):
            text.refuse("an object")
        yield Element(place=text.place, case=case, fields=media)


class _Text:
    """The file's text from where it has been read to, and the place that a refusal names."""

    def __init__(self, source: ListSource) -> None:
        self.place = "start of file"
        self._blocks = source.blocks()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        """About a block, or what has come so far of a longer value."""
        self._at = 0
        self._ended = False
        self._broken = False
        """True if the next bytes are not UTF-8; refused when they are needed, so that the place is known."""

    def refuse(self, expected: str) -> NoReturn:
        """Refuses the file, since something else than `expected` came."""
        raise ListFormatError(self.place, f"expected {expected}")

    def keys(self) -> Iterator[str]:
        """The keys of an object; the caller takes each one's value before the next."""
        self._take("{")
        seen: set[str] = set()
        if self._next() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str) or key in seen or len(seen) == MOST_KEYS:
                self.refuse(f"an object with texts as keys, each once, at most {MOST_KEYS}")
            seen.add(key)
            self._take(":")
            yield key
            if self._take(",}") == "}":
                return

    def items(self, path: str) -> Iterator[int]:
        """The places of an array's items, from 0; the caller takes each item before the next."""
        self.place = path
        self._take("[")
        if self._next() == "]":
            self._at += 1
            return
        for number in count():
            self.place = f"{path}[{number}]"
            yield number
            if self._take(",]") == "]":
                break
        self.place = path

    def value(self) -> object:
        """Reads any value, at most LARGEST_ELEMENT long."""
        self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                pass  # Wrong, or not all of it has come.
            except (ValueError, RecursionError):
                self.refuse("JSON of a sane depth, with sane numbers, and each key once")
            else:
                if end < len(self._text) or self._ended:  # Of a number, more digits may come.
                    self._at = end
                    return value
            if self._ended:
                self.refuse("JSON, whole and well-formed")
            if len(self._text) - self._at > LARGEST_ELEMENT:
                self.refuse(f"JSON, well-formed, with values of at most {LARGEST_ELEMENT} characters")
            self._fill()

    def end(self) -> None:
        """Reads to the end of the file, where nothing but blanks may be."""
        if self._next():
            self.refuse("nothing more")

    def _take(self, allowed: str) -> str:
        letter = self._next()
        if not letter or letter not in allowed:
            self.refuse(f"JSON with {' or '.join(allowed)} here")
        self._at += 1
        return letter

    def _next(self) -> str:
        """The next character that is no blank, which stays; "" at the end of the file."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._fill()

    def _fill(self) -> None:
        if self._broken:
            self.refuse("text in UTF-8")
        block = next(self._blocks, b"")
        try:
            more = self._decoder.decode(block, final=not block)
            self._ended = not block
        except UnicodeDecodeError as error:
            more = bytes(error.object[: error.start]).decode()
            self._broken = True
        self._text = self._text[self._at :] + more
        self._at = 0


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError
    return result


def _no_number(_: str) -> NoReturn:
    raise ValueError


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_each_key_once, parse_constant=_no_number)
