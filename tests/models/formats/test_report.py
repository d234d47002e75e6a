"""The report of an import accounts for everything in the file."""

import io
from collections.abc import Iterable

from models.bank.entries import Entry, HashKind
from models.formats import ImportCount, ImportReport, Removal, read
from models.formats.records import Record

A = "0123456789abcdef" * 4
B = "f" * 64
MD5 = "900150983cd24fb0d6963f7d28e17f72"
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def count_import(records: Iterable[Record]) -> ImportReport:
    with ImportCount() as count:
        assert all(isinstance(record, Entry | Removal) for record in count.count(records))
        return count.report()


def test_everything_in_a_file_is_counted() -> None:
    """An operator would not see what was imported, what was not and why."""
    text = f"signal_type,value\npdq,{A}\npdq,{B}\nmd5,{MD5}\nmd5,{EMPTY_MD5}\nurl,x\nurl,y\npdq,{A.upper()}\n"
    assert count_import(read(io.BytesIO(text.encode()))).to_record() == {
        "accepted": 4,
        "kinds": {"pdq": 3, "md5": 1},
        "skipped": {"empty-file": 1, "unsupported-hash": 2},
        "first_skipped": {"empty-file": "line 5", "unsupported-hash": "line 6"},
        "removed": 0,
        "duplicates": 1,
        "contradictions": 0,
    }


def test_conflicting_ids_are_reported() -> None:
    """Two hashes under one ID are both kept, and nobody would ask the source which is right."""
    text = f"hash,id\n{A},one\n{B},one\n{A},two\n{A},two\n{B},three\n{A},three\n{'0' * 64},three\n"
    report = count_import(read(io.BytesIO(text.encode())))
    assert report.contradictions == 2
    assert report.duplicates == 4


def test_hashes_of_two_kinds_under_one_id_are_no_conflict() -> None:
    """Sources list a picture's MD5 and PDQ together, and one text may be PDQ and SHA-256: each would be reported."""
    text = f"hash,id,kind\n{A},one,pdq\n{A},one,sha256\n{MD5},one,md5\n"
    report = count_import(read(io.BytesIO(text.encode())))
    assert (report.contradictions, report.duplicates, report.total_accepted) == (0, 0, 3)


def test_records_are_passed_on_while_they_are_counted() -> None:
    """Counting would need a separate pass before the import."""
    entry = Entry(entry="a", kind=HashKind.PDQ, value=bytes(32))
    count = ImportCount()
    assert list(count.count([entry, Removal(entry="b")])) == [entry, Removal(entry="b")]
    assert (count.report().total_accepted, count.report().removed) == (1, 1)


def test_an_empty_list_has_a_report_too() -> None:
    """A list without entries would be imported without a word."""
    assert count_import([]).to_record()["accepted"] == 0
