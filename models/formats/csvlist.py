"""Our own list files: `NAME.csv`, its header `hash` and, as needed, `id`, `kind`, `tags`, `video`, `seconds`.

One entry a line. Without `kind` a hash is PDQ; without an id the line's number stands for it; tags are parted by `;`.
"""

from collections.abc import Iterator
from typing import Final

from models.bank.entries import Entry, HashKind
from models.errors import ListFormatError
from models.formats import fields
from models.formats.records import Record, Skip, SkipReason
from models.formats.source import ListSource

COLUMNS: Final = ("hash", "id", "kind", "tags", "video", "seconds")
"""In the order that we write them; any after `hash` may be left out, in any order."""

TAG_SEPARATOR: Final = ";"

_KINDS: Final = {kind.value: kind for kind in HashKind}


def is_header(line: str) -> bool:
    """True if a first line may be one of Livewarden's own."""
    names = [name.strip() for name in line.split(",")]
    return names[0] == "hash" and set(names) <= set(COLUMNS) and len(set(names)) == len(names)


def read_csv(source: ListSource) -> Iterator[Record]:
    """Reads one of our lists.

    Raises:
        ListFormatError: naming the line and what was expected.
    """
    lines = source.lines()
    _, header = next(lines, (1, ""))
    if not is_header(header):
        raise ListFormatError("line 1", f"expected a header of 'hash' and more of {','.join(COLUMNS[1:])}")
    names = [name.strip() for name in header.split(",")]
    if names in (["hash"], ["hash", "id"]):
        return _read_plain(lines, has_ids=len(names) == 2)
    return _read_columns(lines, names)


def _read_plain(lines: Iterator[tuple[int, str]], *, has_ids: bool) -> Iterator[Record]:
    """Reads lists of PDQ hashes alone, the large ones, at twice the speed of `_read_columns`."""
    kind = HashKind.PDQ
    for number, line in lines:
        text, comma, name = line.partition(",")
        place = f"line {number}"
        value = fields.hash_value(text, kind, place)
        if bool(comma) is not has_ids or "," in name or '"' in name:
            found = fields.split(line, place)
            _check_count(found, 1 + has_ids, place)
            name = found[-1]
        else:
            name = name.strip()
        yield Entry(entry=fields.entry_id(name, place) if name else str(number), kind=kind, value=value)


def _read_columns(lines: Iterator[tuple[int, str]], names: list[str]) -> Iterator[Record]:
    for number, line in lines:
        place = f"line {number}"
        found = fields.split(line, place)
        _check_count(found, len(names), place)
        cells = dict(zip(names, found, strict=True))
        kind = _KINDS.get((cells.get("kind") or HashKind.PDQ.value).lower())
        if kind is None:
            raise ListFormatError(place, f"expected a kind out of {', '.join(_KINDS)}")
        value = fields.hash_value(cells["hash"], kind, place)
        if value in fields.EMPTY_FILE:
            yield Skip(place=place, reason=SkipReason.EMPTY_FILE)
            continue
        video = cells.get("video")
        time_text = cells.get("seconds")
        yield Entry(
            entry=fields.entry_id(cells.get("id") or str(number), place),
            kind=kind,
            value=value,
            tags=fields.tags((cells.get("tags") or "").split(TAG_SEPARATOR)),
            video=fields.entry_id(video, place) if video else None,
            seconds=fields.seconds(time_text, place) if time_text else None,
        )


def _check_count(found: list[str], expected: int, place: str) -> None:
    if len(found) != expected:
        fields_expected = "one field" if expected == 1 else f"{expected} fields"
        hint = "; put a field with a comma in double quotes" if len(found) > expected > 1 else ""
        raise ListFormatError(place, f"expected {fields_expected}, as in the header, found {len(found)}{hint}")
