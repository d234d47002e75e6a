"""Exports contain the bank's entries, and other programs can read them."""

import io

from hypothesis import given
from hypothesis import strategies as st

from models.bank.entries import Entry, HashKind
from models.formats import Format, read, sniff, write_csv, write_signals
from models.formats.fields import EMPTY_FILE

PRINTABLE = st.characters(codec="utf-8").filter(str.isprintable)
NAMES = st.text(PRINTABLE, min_size=1, max_size=200)
TAGS = NAMES.map(lambda text: text.strip().replace(";", ",")).filter(bool)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(st.sampled_from(HashKind))
    size = kind.size_bytes
    return Entry(
        entry=draw(NAMES),
        kind=kind,
        value=draw(st.binary(min_size=size, max_size=size).filter(lambda value: value not in EMPTY_FILE)),
        tags=tuple(draw(st.lists(TAGS, max_size=5, unique=True))),
        video=draw(st.none() | NAMES),
        seconds=draw(st.none() | st.floats(min_value=0, max_value=999_999_999)),
    )


@given(st.lists(entries(), max_size=10))
def test_an_exported_list_is_imported_unchanged(listed: list[Entry]) -> None:
    """A list moved to another deployment would match other pictures, or under other IDs."""
    file = io.StringIO()
    assert write_csv(listed, file) == len(listed)
    data = file.getvalue().encode()
    assert sniff(data) is Format.CSV
    assert list(read(io.BytesIO(data))) == listed


@given(st.lists(entries(), max_size=10))
def test_signals_contain_every_hash(listed: list[Entry]) -> None:
    """ThreatExchange text has no room for IDs and tags; hashes would be lost with them."""
    file = io.StringIO()
    assert write_signals(listed, file) == len(listed)
    data = file.getvalue().encode()
    assert sniff(data) is Format.THREATEXCHANGE
    found = [(record.kind, record.value) for record in read(io.BytesIO(data)) if isinstance(record, Entry)]
    assert found == [(entry.kind, entry.value) for entry in listed]


def test_signals_are_written_in_threatexchange_format() -> None:
    """Other tools could not read the export."""
    file = io.StringIO()
    write_signals([Entry(entry="a", kind=HashKind.PDQ, value=bytes(range(32)))], file)
    assert file.getvalue() == f"signal_type,value\npdq,{bytes(range(32)).hex()}\n"
