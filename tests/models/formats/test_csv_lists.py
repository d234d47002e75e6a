"""Our own list format: entries are imported as written, or the list is refused at the faulty line."""

import io

import pytest

from models.bank.entries import Entry, HashKind
from models.errors import ListFormatError
from models.formats import Format, Record, Skip, SkipReason, read, sniff

A = "0123456789abcdef" * 4
B = "f" * 64
MD5 = "900150983cd24fb0d6963f7d28e17f72"
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def records(text: str) -> list[Record]:
    return list(read(io.BytesIO(text.encode()), format=Format.CSV))


def pdq(entry: str, digits: str = A) -> Entry:
    return Entry(entry=entry, kind=HashKind.PDQ, value=bytes.fromhex(digits))


def test_hashes_alone_are_identified_by_their_lines() -> None:
    """A moderator could not find the matched entry in the file."""
    assert records(f"hash\n{A}\n{B}\n") == [pdq("2"), pdq("3", B)]


def test_windows_files_and_quoted_ids_are_accepted() -> None:
    """Lists exported from spreadsheets, with a byte-order mark, CRLF and empty lines at the end, would be refused."""
    text = f'\ufeffhash,id\r\n{A.upper()},"a, ""b"""\r\n {A} , twin \r\n{A},\r\n\r\n \r\n'
    assert records(text) == [pdq('a, "b"'), pdq("twin"), pdq("4")]


def test_an_empty_list_is_accepted() -> None:
    """An operator could not prepare a list before it has entries."""
    assert records("hash,id\n") == []


def test_columns_may_be_in_any_order() -> None:
    """Frames of videos, tags and file digests of an export could not be imported again."""
    text = f'hash,kind,id,seconds,video,tags\n{A},,f1,1.5,film 7,"series:x;a, b;;series:x"\n{MD5.upper()},MD5,f1,,,\n'
    assert records(text) == [
        Entry(
            entry="f1",
            kind=HashKind.PDQ,
            value=bytes.fromhex(A),
            tags=("series:x", "a, b"),
            video="film 7",
            seconds=1.5,
        ),
        Entry(entry="f1", kind=HashKind.MD5, value=bytes.fromhex(MD5)),
    ]


def test_the_digest_of_an_empty_file_is_dropped() -> None:
    """Every empty upload would be a match."""
    assert records(f"hash,kind\n{EMPTY_MD5},md5\n{MD5},md5\n") == [
        Skip(place="line 2", reason=SkipReason.EMPTY_FILE),
        Entry(entry="3", kind=HashKind.MD5, value=bytes.fromhex(MD5)),
    ]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (f"{A}\n", 1, "a header of 'hash'"),
        (f"hash,quality\n{A},80\n", 1, "a header of 'hash'"),
        (f"hash,id,id\n{A},x,y\n", 1, "a header of 'hash'"),
        (f"hash\n{A}\n{A[:-1]}\n", 3, "64 hex digits, found 63 characters"),
        (f"hash\n{A[:-2]}\n", 2, "64 hex digits, found 62 characters"),
        (f"hash\n{A}00\n", 2, "64 hex digits, found 66 characters"),
        (f"hash\n{A[:-1]}x\n", 2, "64 hex digits, found another character at 64"),
        (f"hash\n{A[:-1]}é\n", 2, "64 hex digits, found another character at 64"),
        (f"hash\n{A}\n\n{A}\n", 3, "64 hex digits, found 0 characters"),
        (f"hash\n{A},id\n", 2, "one field"),
        (f"hash,id\n{A}\n", 2, "2 fields"),
        (f"hash,id\n{A},a,b\n", 2, "double quotes"),
        (f'hash,id\n{A},"a\n', 2, "closed"),
        (f'hash,id\n{A},a"b"\n', 2, "closed"),
        (f"hash,id\n{A},a\x07b\n", 2, "printable"),
        (f"hash,id\n{A},{'x' * 201}\n", 2, "1 to 200"),
        (f"hash,kind\n{A},photodna\n", 2, "pdq, md5, sha1, sha256"),
        (f"hash,kind\n{A},md5\n", 2, "md5 of 32 hex digits"),
        (f"hash,video,seconds\n{A},v,-1\n", 2, "seconds"),
        (f"hash,video,seconds\n{A},v,nan\n", 2, "seconds"),
    ],
)
def test_a_bad_line_refuses_the_list_whole(text: str, line: int, expected: str) -> None:
    """Half a list would look like a whole one; or the log would quote a hash, or lack the line number."""
    with pytest.raises(ListFormatError) as refused:
        records(text)
    assert refused.value.place == f"line {line}"
    assert str(refused.value).startswith(f"line {line}: expected ")
    assert expected in str(refused.value)
    assert A[:16] not in str(refused.value)


def test_text_that_is_not_utf_8_is_refused_at_its_line() -> None:
    """A Latin-1 ID would silently become another ID."""
    with pytest.raises(ListFormatError, match=r"^line 4: expected text in UTF-8$"):
        list(read(io.BytesIO(f"hash,id\n{A},é\n\n{A},".encode() + b"\xe9\n")))


def test_an_endless_line_is_refused_in_bounded_memory() -> None:
    """A file of one endless line would fill the memory before it is refused."""
    with pytest.raises(ListFormatError, match=r"^line 2: expected a line of at most"):
        list(read(io.BytesIO(b"hash,id\n" + b"0" * (3 << 20))))


@pytest.mark.parametrize("filler", [" ", '"', '""', '",', " ,", "\t\v"])
def test_a_line_crafted_to_be_slow_is_read_quickly(filler: str) -> None:
    """A megabyte of blanks or quotes on one line would block an import for hours."""
    line = f'{A},{filler * (900_000 // len(filler))}x"\n'
    with pytest.raises(ListFormatError, match=r"^line 2: "):
        records(f"hash,id\n{line}")


def test_our_format_is_recognised() -> None:
    """`bank import own own.csv` would need --format."""
    for header in ("hash", "hash,id", "\ufeffhash , id\r", "hash,kind,tags"):
        assert sniff(f"{header}\n{A}\n".encode()) is Format.CSV
