"""The items of NCMEC's XML, one at a time, by the standard library's expat; pages may follow one another in a file.

A document type, and with it every entity, is refused at sight: NCMEC sends none, and bombs are made of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from xml.parsers import expat

from models.errors import ListFormatError
from models.formats.source import ListSource

NAMESPACE: Final = "https://hashsharing.ncmec.org/hashsharing/v2"
ROOT: Final = "queryResult"

LARGEST_ITEM_BYTES: Final = 4 << 20
"""Bytes of one item, or between two; items with feedback of many members have some 10 kB."""

_LONGEST_TAIL: Final = 4096
"""Bytes: the declaration that a page begins with, or its root's tag, is shorter."""

DEEPEST: Final = 32
"""Levels of elements; NCMEC uses eight."""

_MEDIA: Final = {"images": "image", "videos": "video"}
_TEXTS: Final = frozenset(["member", "timestamp", "id", "classification"])
_FINGERPRINTS: Final = "fingerprints"
_LARGEST_TEXT: Final = 1 << 16
"""Characters kept of one element; the fingerprints that the bank keeps have 64 at most."""

_LEVEL_MEDIA, _LEVEL_ITEM, _LEVEL_FIELD, _LEVEL_FINGERPRINT = 2, 3, 4, 5
"""Depths at which `images`, `image`, `id` or `fingerprints`, and `md5` stand; the root stands at 1."""


@dataclass(kw_only=True, slots=True)
class Item:
    """An image or a video, or its tombstone."""

    place: str
    """`image 3`, counted from 1 through images and videos alike."""
    media: str
    """image or video."""
    deleted: bool
    member: str = ""
    identity: str = ""
    """Its id among the member's."""
    classification: str = ""
    timestamp_micros: int = 0
    """Time of the item, in microseconds of the epoch."""
    fingerprints: list[tuple[str, str]] = field(default_factory=list)
    """Name, in lower case, and text of each that has one."""

    @property
    def key(self) -> str:
        """An id that no other item has."""
        return f"{self.member}-{self.identity}"


def read_items(source: ListSource) -> Iterator[Item]:
    """Gives the items of a file.

    Raises:
        ListFormatError: it is malformed, naming the element or the line.
    """
    document = _Document()
    pages = _Pages(document)
    read_bytes = done_bytes = 0
    for block in source.blocks():
        pages.feed(block)
        read_bytes += len(block)
        if document.items:
            done_bytes = read_bytes
            yield from document.items
            document.items.clear()
        if read_bytes - done_bytes > LARGEST_ITEM_BYTES:
            raise ListFormatError(document.place, f"expected elements of at most {LARGEST_ITEM_BYTES} bytes")
    pages.end()
    yield from document.items


class _Pages:
    """The parser of one page after another: an XML document ends where its root does, and the next may follow."""

    def __init__(self, document: "_Document") -> None:
        self._document = document
        self._lines_before = 0
        self._begin()

    def _begin(self) -> None:
        self._document.ended = False
        self._parser = parser = expat.ParserCreate("utf-8", " ")
        self._fed_bytes = 0
        self._tail = b""
        """The last bytes fed: what a next page begins with may be among them."""
        parser.buffer_text = True
        parser.StartElementHandler = self._document.start
        parser.EndElementHandler = self._document.end
        parser.CharacterDataHandler = self._document.text
        parser.StartDoctypeDeclHandler = self._document.doctype
        parser.EntityDeclHandler = self._document.doctype

    def feed(self, block: bytes) -> None:
        """Parses a block.

        Raises:
            ListFormatError: it is not XML, or not NCMEC's.
        """
        while block:
            try:
                self._parser.Parse(block, False)
            except expat.ExpatError as error:
                block = self._next_page(block, error)
            else:
                self._fed_bytes += len(block)
                self._tail = (self._tail + block[-_LONGEST_TAIL:])[-_LONGEST_TAIL:]
                return

    def end(self) -> None:
        """Ends the last page.

        Raises:
            ListFormatError: it is not whole.
        """
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise self._refused(error) from None

    def _next_page(self, block: bytes, error: expat.ExpatError) -> bytes:
        """Begins a page where something follows the last one, and gives what is to be parsed of it: else refuses."""
        start = self._parser.ErrorByteIndex - self._fed_bytes + len(self._tail)
        if not self._document.ended or start < 0:
            raise self._refused(error) from None
        rest = (self._tail + block)[start:]
        self._lines_before += self._parser.ErrorLineNumber - 1
        self._begin()
        return rest

    def _refused(self, error: expat.ExpatError) -> ListFormatError:
        place = f"line {self._lines_before + error.lineno}, column {error.offset + 1}"
        return ListFormatError(place, f"expected XML in UTF-8: {expat.ErrorString(error.code)}")


class _Document:
    """Makes items of expat's events."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        """Complete ones that were not taken yet."""
        self.ended = False
        """True once the root has been closed."""
        self._count = 0
        self._depth = 0
        self._media = ""
        self._item: Item | None = None
        self._field = ""
        self._text: list[str] | None = None
        """Pieces of the element's text; None: it is not needed."""
        self._text_length = 0

    @property
    def place(self) -> str:
        """Place in the file, for a refusal."""
        return self._item.place if self._item is not None else f"after element {self._count}"

    def doctype(self, *_: object) -> None:
        raise ListFormatError("start of file", "expected XML without a document type and entities")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ListFormatError(self.place, f"expected at most {DEEPEST} levels of elements")
        if self._text is not None:
            raise ListFormatError(self.place, "expected text alone in id, timestamp, classification and fingerprints")
        namespace, _, name = tag.rpartition(" ")
        if self._depth == 1:
            if name != ROOT or namespace not in (NAMESPACE, ""):
                raise ListFormatError("start of file", f"expected {ROOT} in {NAMESPACE}")
        elif self._depth == _LEVEL_MEDIA:
            self._media = _MEDIA.get(name, "")
        elif self._media and self._depth == _LEVEL_ITEM:
            self._begin(name)
        elif self._item is not None and self._depth == _LEVEL_FIELD:
            self._field = name
            if name == "member":
                self._item.member = attributes.get("id", "")
            elif name in _TEXTS:
                self._collect()
        elif self._item is not None and self._depth == _LEVEL_FINGERPRINT and self._field == _FINGERPRINTS:
            self._collect()

    def _begin(self, name: str) -> None:
        self._count += 1
        deleted = name == f"deleted{self._media.capitalize()}"
        if not deleted and name != self._media:
            raise ListFormatError(f"element {self._count}", f"expected {self._media} or its tombstone")
        self._item = Item(place=f"{name} {self._count}", media=self._media, deleted=deleted)

    def _collect(self) -> None:
        self._text, self._text_length = [], 0

    def text(self, text: str) -> None:
        if self._text is None:
            return
        self._text.append(text[: _LARGEST_TEXT - self._text_length])
        self._text_length += len(self._text[-1])

    def end(self, tag: str) -> None:
        item = self._item
        if item is not None and self._text is not None:
            self._take(item, tag.rpartition(" ")[2], "".join(self._text).strip())
            self._text = None
        if item is not None and self._depth == _LEVEL_ITEM:
            if not item.member or not item.identity:
                raise ListFormatError(item.place, "expected an id, and a member with one")
            self.items.append(item)
            self._item = None
        self._depth -= 1
        self.ended = self._depth == 0

    def _take(self, item: Item, name: str, text: str) -> None:
        if self._depth == _LEVEL_FINGERPRINT:
            if text:
                item.fingerprints.append((name.lower(), text))
        elif name == "timestamp":
            item.timestamp_micros = _micros(text, item.place)
        elif name == "id":
            item.identity = text
        else:
            item.classification = text


def _micros(text: str, place: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ListFormatError(place, "expected a timestamp such as 2017-10-24T15:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment - _EPOCH).total_seconds() * 1_000_000)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
