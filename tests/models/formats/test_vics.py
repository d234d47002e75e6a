"""Project VIC and CAID files: every supported hash is imported, and no broken file is imported in part."""

import io
import json
from typing import Any

import pytest

from models.bank.entries import Entry, HashKind
from models.errors import ListFormatError
from models.formats import Format, Record, Skip, SkipReason, read, sniff

PDQ = "0123456789abcdef" * 4
MD5 = "900150983CD24FB0D6963F7D28E17F72"
SHA1 = "A9993E364706816ABA3E25717850C26C9CD0D89D"
EMPTY_MD5 = "D41D8CD98F00B204E9800998ECF8427E"
EMPTY_SHA1 = "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"

CONTEXT_20 = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata"
MEDIA_20 = {"@odata.context": f"{CONTEXT_20}#Media"}
CASES_20 = {"@odata.context": f"{CONTEXT_20}#Cases"}
OPEN_20 = json.dumps(MEDIA_20)[:-1] + ', "value": ['
MEDIA_12 = {"odata.metadata": "http://github.com/ICMEC/ProjectVic/DataModels/1.2.xml#Media"}
MEDIA_13 = {"odata.metadata": "http://github.com/ICMEC/ProjectVic/DataModels/1.3.xml#Media"}


def records(data: bytes | str, categories: tuple[str, ...] = ()) -> list[Record]:
    raw = data.encode() if isinstance(data, str) else data
    return list(read(io.BytesIO(raw), categories=categories))


def listed(*media: dict[str, Any], context: dict[str, str] = MEDIA_20, **more: object) -> str:
    return json.dumps({**context, **more, "value": list(media)})


def entry(kind: HashKind, digits: str, name: str = "7", tags: tuple[str, ...] = ()) -> Entry:
    return Entry(entry=name, kind=kind, value=bytes.fromhex(digits), tags=tags)


@pytest.mark.parametrize("context", [MEDIA_20, MEDIA_13, MEDIA_12])
def test_media_give_an_entry_for_each_hash(context: dict[str, str]) -> None:
    """Files written by police tools, with upper-case hashes, a byte-order mark and booleans as texts, would be
    refused."""
    media = {
        "MediaID": 7,
        "Category": 1,
        "MD5": MD5,
        "SHA1": SHA1,
        "MediaSize": 2835,
        "Series": "Harbour",
        "VictimIdentified": "True",
        "OffenderIdentified": "false",
        "IsDistributed": True,
        "Tags": "boat, sea;sand",
        "Exifs": [{"MD5": MD5, "PropertyName": "Make", "PropertyValue": "Canon"}],
        "AlternateHashes": [
            {"HashName": "PhotoDNA", "HashValue": "QUFBQQ=="},
            {"HashName": "PDQ", "HashValue": PDQ},
        ],
    }
    tags = ("category:1", "series:Harbour", "victim-identified", "distributed", "boat", "sea", "sand")
    assert records("\ufeff" + listed(media, context=context)) == [
        entry(HashKind.MD5, MD5, tags=tags),
        entry(HashKind.SHA1, SHA1, tags=tags),
        entry(HashKind.PDQ, PDQ, tags=tags),
        Skip(place="value[0]", reason=SkipReason.UNSUPPORTED_HASH),
    ]


def test_media_inside_cases_are_read() -> None:
    """Media of a file of cases, one level deeper, would be missed, or IDs of two cases be confused."""
    cases = [
        {"CaseID": "x", "Media": [{"MediaID": 1, "MD5": MD5}], "SourceApplicationName": "t"},
        {"CaseID": "y", "Media": []},
        {"Media": [{"MediaID": "1", "SHA1": SHA1}, {"MediaID": 2}]},
    ]
    assert records(listed(*cases, context=CASES_20)) == [
        entry(HashKind.MD5, MD5, "0/1"),
        entry(HashKind.SHA1, SHA1, "2/1"),
        Skip(place="value[2].Media[1]", reason=SkipReason.NO_HASH),
    ]


def test_empty_hashes_and_those_of_an_empty_file_are_left_out() -> None:
    """The empty file's digests occur in real lists, and would match every empty upload."""
    media = [
        {"MediaID": 1, "MD5": EMPTY_MD5, "SHA1": EMPTY_SHA1},
        {"MediaID": 2, "MD5": "", "SHA1": None, "PhotoDNA": ""},
        {"MediaID": 3, "MD5": "", "PhotoDNA": "QUFBQQ=="},
        {"MD5": MD5},
    ]
    assert records(listed(*media)) == [
        Skip(place="value[0]", reason=SkipReason.EMPTY_FILE),
        Skip(place="value[0]", reason=SkipReason.EMPTY_FILE),
        Skip(place="value[1]", reason=SkipReason.NO_HASH),
        Skip(place="value[2]", reason=SkipReason.UNSUPPORTED_HASH),
        entry(HashKind.MD5, MD5, "value[3]"),
    ]


def test_only_requested_categories_are_imported() -> None:
    """Category numbers differ by country, and some mean harmless: those would be imported as known material."""
    media = [{"MediaID": n, "Category": category, "MD5": MD5} for n, category in enumerate([1, "2", 0, None])]
    assert records(listed(*media), categories=("1", "2")) == [
        entry(HashKind.MD5, MD5, "0", ("category:1",)),
        entry(HashKind.MD5, MD5, "1", ("category:2",)),
        Skip(place="value[2]", reason=SkipReason.OTHER_CATEGORY),
        Skip(place="value[3]", reason=SkipReason.OTHER_CATEGORY),
    ]
    assert len(records(listed(*media))) == 4


def test_no_comment_refuses_a_list() -> None:
    """Free text with line ends, or of any length, would refuse the list or break its display."""
    media = {"MediaID": 7, "MD5": MD5, "Series": "a\nb", "Tags": ["", " \t", "x" * 1000, *map(str, range(90))]}
    (found,) = records(listed(media))
    assert isinstance(found, Entry)
    assert found.tags == ("series:a b", "x" * 200, *map(str, range(30)))


def test_conflicting_hashes_are_all_kept() -> None:
    """Dropping one of two conflicting hashes might drop the right one."""
    media = {"MediaID": 7, "MD5": MD5, "Hashes": [{"HashName": "MD5", "HashValue": "0" * 32}]}
    assert records(listed(media)) == [entry(HashKind.MD5, MD5), entry(HashKind.MD5, "0" * 32)]


def test_elements_are_read_across_blocks() -> None:
    """A block may end within a hash, a number, an escape or a letter of two bytes: such a file would be refused."""
    media = [
        {"MediaID": n, "Category": n % 5, "MD5": f"{n:032X}", "Tags": "ä\u2028\\é" * (n % 7)} for n in range(12_000)
    ]
    text = json.dumps({**MEDIA_20, "value": media}, ensure_ascii=False)
    assert len(text) > 1_000_000
    found = records(text)
    assert [record.value for record in found if isinstance(record, Entry)] == [
        n.to_bytes(16, "big") for n in range(12_000)
    ]


@pytest.mark.parametrize(
    ("data", "place", "expected"),
    [
        (listed({"MD5": MD5}, {"MD5": MD5[:-1]}), "value[1].md5", "found 31 characters"),
        (listed({"MD5": 7}), "value[0].MD5", "a hash as text"),
        (listed({"MD5": MD5[:-1] + "G"}), "value[0].md5", "another character at 32"),
        (listed({"Hashes": [{"HashName": "PDQ", "HashValue": MD5}]}), "value[0].pdq", "64 hex digits"),
        (listed({"Hashes": [{"HashValue": MD5}]}), "value[0]", "HashName"),
        (listed({"MediaID": [1], "MD5": MD5}), "value[0].MediaID", "an id"),
        (listed({"MediaID": "a\nb", "MD5": MD5}), "value[0].MediaID", "printable"),
        (listed({"Category": [1], "MD5": MD5}), "value[0].Category", "a category"),
        (listed(context={"@odata.context": CONTEXT_20.replace("2.0", "3.1") + "#Media"}), "context", "found 3.1"),
        (listed(context={"@odata.context": "https://example.org/$metadata#Media"}), "context", "Project VIC"),
        (listed(context={"@odata.context": f"{CONTEXT_20}#People"}), "context", "Project VIC"),
        (json.dumps({"value": [{"MD5": MD5}]}), "value", "@odata.context"),
        (json.dumps({"value": [], **MEDIA_20}), "value", "@odata.context"),
        (json.dumps(MEDIA_20), "end of file", "a list, value"),
        (json.dumps({**MEDIA_20, "value": {}}), "value", "[ here"),
        (json.dumps({**MEDIA_20, "value": [[]]}), "value[0]", "an object"),
        (json.dumps({**CASES_20, "value": [[]]}), "value[0]", "{ here"),
        (listed({"MD5": MD5}) + "x", "end of file", "nothing more"),
        (listed({"MD5": MD5}, {"MD5": MD5})[:-3], "value[1]", "whole and well-formed"),
        (listed({"MD5": MD5})[:-1], "value", ", or } here"),
        (listed({"MD5": MD5}).replace("}", "} 5"), "value[0]", ", or ] here"),
        (OPEN_20 + f'{{"MD5": "{MD5}", "MD5": "{EMPTY_MD5}"}}]}}', "value[0]", "each key"),
        (OPEN_20 + '{"MediaSize": NaN}]}', "value[0]", "sane numbers"),
        (OPEN_20 + f'{{"MediaSize": {"9" * 5000}}}]}}', "value[0]", "sane numbers"),
        (OPEN_20 + f'{{"MD5": "{MD5}\n"}}]}}', "value[0]", "well-formed"),
    ],
)
def test_a_malformed_file_is_refused(data: str, place: str, expected: str) -> None:
    """Half a list would look like a whole one; or the refusal would not name the element, or quote a hash into a
    log."""
    with pytest.raises(ListFormatError) as refused:
        records(data)
    assert refused.value.place == place
    assert expected in str(refused.value)
    assert MD5[:16] not in str(refused.value)


@pytest.mark.parametrize(
    "start",
    [
        "[",
        '{"a":',
        '{"a":[',
        json.dumps(MEDIA_20)[:-1] + ', "value":',
        OPEN_20 + '{"a":',
        json.dumps(CASES_20)[:-1] + ', "value":[{"a":',
    ],
)
@pytest.mark.parametrize("nested", ["[", '{"a":'])
def test_a_file_nested_a_million_deep_is_refused(start: str, nested: str) -> None:
    """Such a file would crash a recursive reader."""
    with pytest.raises(ListFormatError):
        list(read(io.BytesIO((start + nested * 1_000_000).encode()), format=Format.VICS))


@pytest.mark.parametrize("filler", ["x", "\\n", " ", "0"])
def test_an_endless_element_is_refused_in_bounded_memory(filler: str) -> None:
    """An endless element would fill the memory before it is refused."""
    quote = "" if filler in (" ", "0") else '"'
    text = OPEN_20 + f'{{"MD5":{quote}{filler * 6_000_000}'
    with pytest.raises(ListFormatError, match=r"^value\[0\]: "):
        records(text)


def test_text_that_is_not_utf_8_is_refused_at_its_element() -> None:
    """An ID in another encoding would silently become another ID."""
    data = listed({"MD5": MD5}, {"MD5": MD5, "MediaID": "é"}).encode().replace(b"\\u00e9", b"\xe9")
    with pytest.raises(ListFormatError, match=r"^value\[1\]: expected text in UTF-8$"):
        records(data)


def test_the_format_is_recognised() -> None:
    """A byte-order mark or leading line ends would hide the format."""
    assert sniff(b'\xef\xbb\xbf\r\n {\r\n"@odata.context":') is Format.VICS
