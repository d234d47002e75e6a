"""NCMEC's hash sharing: the newest record of every ID counts, and malicious XML does no harm."""

import io
import re

import pytest

from models.bank.entries import Entry, HashKind
from models.errors import ListFormatError
from models.formats import Format, Record, Removal, Skip, SkipReason, read, sniff

PDQ = "0123456789abcdef" * 4
MD5 = "900150983cd24fb0d6963f7d28e17f72"
SHA1 = "a9993e364706816aba3e25717850c26c9cd0d89d"
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"

HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
ROOT = '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">'


def records(data: bytes | str, categories: tuple[str, ...] = ()) -> list[Record]:
    raw = data.encode() if isinstance(data, str) else data
    return list(read(io.BytesIO(raw), categories=categories))


def item(
    name: str,
    fingerprints: str | None = f"<md5>{MD5}</md5>",
    *,
    kind: str = "image",
    at: str = "2017-10-24T15:00:00Z",
    grade: str = "A1",
    member: str = "42",
) -> str:
    classification = f"<classification>{grade}</classification>" if grade else ""
    hashes = "" if fingerprints is None else f"<fingerprints>{fingerprints}</fingerprints>"
    return (
        f'<{kind}><member id="{member}">Example Member</member><timestamp>{at}</timestamp><id>{name}</id>'
        f"{classification}{hashes}</{kind}>"
    )


def page(images: str = "", videos: str = "") -> str:
    return (
        f'{HEAD}{ROOT}<images count="2" maxTimestamp="2017-10-24T15:10:00Z">{images}</images>'
        f'<videos count="2" maxTimestamp="2017-10-24T15:20:00Z">{videos}</videos>'
        "<paging><next>/v2/entries?from=2017&amp;start=2001</next></paging></queryResult>"
    )


def entry(name: str, kind: HashKind, digits: str, media: str = "image", grade: str = "A1") -> Entry:
    grades = (f"classification:{grade}",) if grade else ()
    return Entry(entry=name, kind=kind, value=bytes.fromhex(digits), tags=(media, *grades, "member:42"))


def test_a_page_gives_entries_and_tombstones() -> None:
    """Usable hashes would be lost, PhotoDNA go uncounted, or a withdrawn hash stay."""
    images = item("image1", f"<md5>{MD5}</md5><SHA1>{SHA1}</SHA1><pdna>a1a1</pdna><pdq>{PDQ}</pdq>")
    images += item("image4", None, kind="deletedImage", grade="")
    videos = item("video1", f"\n <md5>\n{MD5}\n</md5><tmk_pdqf>{'x' * 300_000}</tmk_pdqf>", kind="video", grade="")
    videos += item("video4", None, kind="deletedVideo", member="43")
    assert records(page(images, videos)) == [
        entry("42-image1", HashKind.MD5, MD5),
        entry("42-image1", HashKind.SHA1, SHA1),
        Skip(place="image 1", reason=SkipReason.UNSUPPORTED_HASH),
        entry("42-image1", HashKind.PDQ, PDQ),
        Removal(entry="42-image4"),
        entry("42-video1", HashKind.MD5, MD5, "video", ""),
        Skip(place="video 3", reason=SkipReason.UNSUPPORTED_HASH),
        Removal(entry="43-video4"),
    ]


def test_the_newest_record_counts_in_any_order() -> None:
    """Pages are not ordered by time: an older tombstone would remove a renewed entry, or an older entry stay."""
    early, late = "2019-11-24T15:10:00Z", "2019-11-25T15:10:00.5+00:00"
    renewed = item("renewed", at=late) + item("renewed", None, kind="deletedImage", at=early)
    withdrawn = item("withdrawn", None, kind="deletedImage", at=late) + item("withdrawn", at=early)
    changed = item("changed", f"<pdq>{PDQ}</pdq>", at=late, grade="A2") + item("changed", at=early)
    same_instant = item("same", at=late) + item("same", None, kind="deletedImage", at=late)
    another_member = item("withdrawn", at=early, member="9")
    found = records(page(withdrawn + changed + same_instant + renewed + another_member))
    assert [record for record in found if not isinstance(record, Skip)] == [
        Removal(entry="42-withdrawn"),
        entry("42-changed", HashKind.PDQ, PDQ, grade="A2"),
        Removal(entry="42-same"),
        entry("42-renewed", HashKind.MD5, MD5),
        Entry(
            entry="9-withdrawn",
            kind=HashKind.MD5,
            value=bytes.fromhex(MD5),
            tags=("image", "classification:A1", "member:9"),
        ),
    ]
    assert [record.place for record in found if isinstance(record, Skip)] == [
        "image 2",
        "image 4",
        "image 5",
        "deletedImage 8",
    ]


@pytest.mark.parametrize("joint", ["", "\n", "\n\n  ", "\ufeff", "\n<!-- page -->\n"])
def test_concatenated_pages_are_read_as_one(joint: str) -> None:
    """A fetch of a million entries is a thousand pages, which only `cat page*.xml` brings into one import."""
    pages = [page(item("a", None, kind="deletedImage", at="2020-01-01T00:00:00Z"), ""), page(item("b")), page()]
    pages.append(page(item("a", at="2019-01-01T00:00:00Z")).removeprefix(HEAD))
    assert records(joint.join(pages)) == [
        Removal(entry="42-a"),
        entry("42-b", HashKind.MD5, MD5),
        Skip(place="image 3", reason=SkipReason.SUPERSEDED),
    ]


def test_pages_may_meet_anywhere_in_a_block() -> None:
    """A block that ends within the next page's first words would break the import."""

    class Short(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(step, size) if size and size > 0 else step)

    data = (page(item("a")) + "\n\ufeff" + page(item("b")) + page(item("c")).removeprefix(HEAD)).encode()
    for step in range(1, 90):
        found = [record.entry for record in read(Short(data), format=Format.NCMEC) if isinstance(record, Entry)]
        assert found == ["42-a", "42-b", "42-c"], step


def test_a_broken_page_refuses_the_file_at_its_line() -> None:
    """The reported line would not be the editor's, which counts through all pages."""
    with pytest.raises(ListFormatError, match=r"^line 6, column [0-9]+: expected XML in UTF-8: mismatched tag"):
        records(page(item("a")) + "\n" + page(item("b")) + "\n" + page(item("c")).replace("</image>", "</b>"))


def test_skipped_items_are_counted() -> None:
    """The empty file's digest, items without a hash and other classifications would be skipped without a count."""
    images = item("a", f"<md5>{EMPTY_MD5}</md5>") + item("b", "") + item("c", "<md5/>") + item("d", grade="B2")
    assert records(page(images), categories=("A1", "A2")) == [
        Skip(place="image 1", reason=SkipReason.EMPTY_FILE),
        Skip(place="image 2", reason=SkipReason.NO_HASH),
        Skip(place="image 3", reason=SkipReason.NO_HASH),
        Skip(place="image 4", reason=SkipReason.OTHER_CATEGORY),
    ]


def test_a_withdrawn_hash_is_removed_whatever_classifications_are_requested() -> None:
    """A withdrawn hash would go on matching: a tombstone has no classification, or another one by now."""
    images = (
        item("a") + item("b", None, kind="deletedImage", grade="") + item("c", None, kind="deletedImage", grade="B2")
    )
    assert records(page(images), categories=("A1",)) == [
        entry("42-a", HashKind.MD5, MD5),
        Removal(entry="42-b"),
        Removal(entry="42-c"),
    ]


def test_a_page_without_items_is_accepted() -> None:
    """The last page of a day without changes would be refused."""
    assert records(page()) == []
    assert records(f"{HEAD}{ROOT}</queryResult>") == []


@pytest.mark.parametrize(
    ("data", "place", "expected"),
    [
        (page(item("a") + item("b", f"<md5>{MD5[1:]}</md5>")), "image 2 md5", "found 31 characters"),
        (page(item("a", f"<pdq>{PDQ[1:]}g</pdq>")), "image 1 pdq", "another character at 64"),
        (page(item("a", f"<md5>{MD5}<b/></md5>")), "image 1", "text alone"),
        (page(item("")), "image 1", "an id"),
        (page(item("x" * 300)), "image 1", "1 to 200"),
        (page(item("a", member="")), "image 1", "a member"),
        (page(item("a", at="yesterday")), "image 1", "a timestamp"),
        (page(item("a", at="")), "image 1", "a timestamp"),
        (page("<picture/>"), "element 1", "image or its tombstone"),
        (page(item("v", kind="video")), "element 1", "image or its tombstone"),
        (page().replace("v2", "v3"), "start of file", "hashsharing/v2"),
        ("<html><body/></html>", "start of file", "queryResult"),
        (page(item("a"))[:-30], re.compile("line 2, column [0-9]+"), "no element found"),
        (page(item("a")).replace("</image>", "</video>"), re.compile("line 2, column [0-9]+"), "mismatched tag"),
        (page(item("a")) + "x", re.compile("line 2, column [0-9]+"), "syntax error"),
        (page(item("&nbsp;")), re.compile("line 2, column [0-9]+"), "undefined entity"),
        (page(item("<a>" * 40 + "</a>" * 40)), "image 1", "text alone"),
        (page(item("a", None).replace("</image>", "<b>" * 40)), "image 1", "levels"),
        ("<a>" * 1_000_000, "start of file", "queryResult"),
        (ROOT + "<a>" * 1_000_000, "after element 0", "levels"),
    ],
)
def test_a_malformed_file_is_refused(data: str, place: str | re.Pattern[str], expected: str) -> None:
    """Half a list would look like a whole one; or the refusal would not name the element, or quote a hash into a
    log."""
    with pytest.raises(ListFormatError) as refused:
        records(data)
    if isinstance(place, str):
        assert refused.value.place == place
    else:
        assert place.fullmatch(refused.value.place)
    assert expected in str(refused.value)
    assert MD5[1:16] not in str(refused.value)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))


@pytest.mark.parametrize(
    "doctype",
    [
        f'<!DOCTYPE queryResult [<!ENTITY l0 "ha">{LAUGHS}]>',
        f'<!DOCTYPE queryResult [<!ENTITY a "{"a" * 100_000}">]>',
        '<!DOCTYPE queryResult [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE queryResult SYSTEM "https://example.org/x.dtd">',
        "<!DOCTYPE queryResult>",
    ],
)
def test_entity_bombs_are_refused_immediately(doctype: str) -> None:
    """A few hundred bytes would become gigabytes, or read a file of the machine."""
    data = page(item("&l29;")).replace(HEAD, HEAD + doctype)
    with pytest.raises(ListFormatError, match=r"^start of file: expected XML without a document type"):
        records(data)


@pytest.mark.parametrize("filler", [' b="', "<!--", "<b c='d'/>", "<?x "])
def test_an_endless_element_is_refused_in_bounded_memory(filler: str) -> None:
    """An endless element would fill the memory before it is refused."""
    data = ROOT + "<images><image" + (">" if filler[0] == "<" else "") + filler + filler.rstrip('"') * 2_000_000
    with pytest.raises(ListFormatError):
        records(data)


def test_another_encoding_is_refused() -> None:
    """An ID would silently change if the declared Latin-1 were decoded."""
    data = page(item("é")).replace("UTF-8", "ISO-8859-1").encode("latin-1")
    with pytest.raises(ListFormatError, match=r"^line 2, column [0-9]+: expected XML in UTF-8: not well-formed"):
        records(data)


def test_progress_never_goes_back() -> None:
    """A file is read twice, for the newest record of each ID: the bar would jump back half-way."""
    data = page("".join(item(f"image{n}") for n in range(3000))).encode()
    told: list[int] = []
    list(read(io.BytesIO(data), progress=told.append))
    assert told == sorted(told)
    assert told[-1] == len(data)


def test_the_format_is_recognised() -> None:
    """The user would have to name the format, or another kind of XML be refused without saying what it is."""
    assert sniff(b"\xef\xbb\xbf\n" + page().encode()) is Format.NCMEC
