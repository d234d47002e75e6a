"""Project VIC's exchange format (VICS), used with the UK's CAID as well: JSON, read element by element.

Versions 1.2 and 1.3 name themselves in `odata.metadata`, 2.0 in `@odata.context`; `#Media` files list media, `#Cases`
files list cases that hold `Media`. Numbers of categories differ by country, so none is taken to mean anything here:
they become tags, and the importer chooses which to take.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from models.bank.entries import Entry, HashKind
from models.errors import ListFormatError
from models.formats import fields
from models.formats.jsonelements import read_elements
from models.formats.records import Record, Skip, SkipReason
from models.formats.source import ListSource

_CONTEXT: Final = re.compile(r"/DataModels/(\d+\.\d+)\.xml[^#]*#(Media|Cases)", re.IGNORECASE)
_VERSIONS: Final = ("1.2", "1.3", "2.0")

_HASH_FIELDS: Final = {"MD5": HashKind.MD5, "SHA1": HashKind.SHA1, "SHA256": HashKind.SHA256, "PDQ": HashKind.PDQ}
_OWN_FIELDS: Final = (*_HASH_FIELDS, "PhotoDNA")
_EXIFS: Final = "Exifs"
"""Most of a file; of hashes it repeats the media's own MD5."""
_NESTED: Final = (list, dict)
_FLAGS: Final = {
    "VictimIdentified": "victim-identified",
    "OffenderIdentified": "offender-identified",
    "IsDistributed": "distributed",
}
_TAG_SEPARATORS: Final = re.compile(r"[,;|]")


def read_vics(source: ListSource, *, categories: Collection[str] = ()) -> Iterator[Record]:
    """Reads a file of media; ids are `MediaID`, with the case's number before it in a file of cases.

    Args:
        source: the file.
        categories: which to take, as the file has them ("1"); none: all.

    Raises:
        ListFormatError: naming the element and what was expected.
    """
    for element in read_elements(source, check_context):
        yield from _media(element.place, element.case, element.fields, categories)


def check_context(context: object) -> bool:
    """True if a file's context has it list cases; False: media.

    Raises:
        ListFormatError: it is no VICS context, or one of another version.
    """
    found = _CONTEXT.search(context) if isinstance(context, str) else None
    if found is None:
        raise ListFormatError("context", "expected a Project VIC data model, #Media or #Cases")
    version, content = found.groups()
    if version not in _VERSIONS:
        raise ListFormatError("context", f"expected VICS {', '.join(_VERSIONS)}, found {version[:20]}")
    return content.lower() == "cases"


def _media(place: str, case: int | None, media: dict[str, Any], categories: Collection[str]) -> Iterator[Record]:
    category = _category(media.get("Category"), place)
    if categories and category not in categories:
        yield Skip(place=place, reason=SkipReason.OTHER_CATEGORY)
        return
    name = _name(media.get("MediaID"), case, place)
    tags = fields.tags(_tags(media, category))
    found: dict[tuple[HashKind, bytes], None] = {}
    skipped: list[SkipReason] = []
    for field, text in _hashes(media, place):
        kind = _HASH_FIELDS.get(field.upper().replace("-", ""))
        if kind is None:
            skipped.append(SkipReason.UNSUPPORTED_HASH)
            continue
        value = fields.hash_value(text, kind, f"{place}.{kind.value}")
        if value in fields.EMPTY_FILE:
            skipped.append(SkipReason.EMPTY_FILE)
        else:
            found[kind, value] = None
    if not found and not skipped:
        skipped.append(SkipReason.NO_HASH)
    for kind, value in found:
        yield Entry(entry=name, kind=kind, value=value, tags=tags)
    for reason in skipped:
        yield Skip(place=place, reason=reason)


def _hashes(media: dict[str, Any], place: str) -> Iterator[tuple[str, str]]:
    """Name and text of each hash: the fields of the element itself, then the alternatives nested in it."""
    for field in _OWN_FIELDS:
        text = media.get(field)
        if text is None or text == "":
            continue
        if not isinstance(text, str):
            raise ListFormatError(f"{place}.{field}", "expected a hash as text")
        yield field, text
    waiting = [value for field, value in media.items() if field != _EXIFS and isinstance(value, _NESTED)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed([item for item in value if isinstance(item, _NESTED)]))
            continue
        if "HashValue" in value or "HashName" in value:
            name, digits = value.get("HashName"), value.get("HashValue")
            if not isinstance(name, str) or not isinstance(digits, str | None):
                raise ListFormatError(place, "expected alternatives with HashName and HashValue as texts")
            if digits:
                yield name, digits
        waiting.extend(item for item in value.values() if isinstance(item, _NESTED))


def _category(value: object, place: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ListFormatError(f"{place}.Category", "expected a category as a number or text")
    return str(value).strip()


def _name(value: object, case: int | None, place: str) -> str:
    if value is None or value == "":
        return place
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ListFormatError(f"{place}.MediaID", "expected an id as a number or text")
    name = str(value).strip() if case is None else f"{case}/{str(value).strip()}"
    return fields.entry_id(name, f"{place}.MediaID")


def _tags(media: dict[str, Any], category: str) -> Iterator[str]:
    if category:
        yield f"category:{category}"
    series = media.get("Series")
    if isinstance(series, dict):
        series = series.get("Name")
    if isinstance(series, str) and series.strip():
        yield f"series:{series.strip()}"
    for field, tag in _FLAGS.items():
        flag = media.get(field)
        if flag is True or (isinstance(flag, str) and flag.strip().lower() == "true"):
            yield tag
    tags = media.get("Tags")
    if isinstance(tags, str):
        yield from _TAG_SEPARATORS.split(tags)
    elif isinstance(tags, list):
        yield from (tag for tag in tags if isinstance(tag, str))
