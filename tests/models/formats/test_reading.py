"""Every format is recognised or clearly refused, in bounded memory, and never read from a changing file."""

import io
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.bank.entries import Entry
from models.errors import ListFormatError
from models.formats import Format, read, sniff

A = "0123456789abcdef" * 4
VICS = {"@odata.context": "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Media"}


def csv_list(entries: int) -> Iterator[str]:
    yield "hash,id\n"
    yield from (f"{n:064x},entry-{n}\n" for n in range(entries))


def pdq_list(entries: int) -> Iterator[str]:
    yield from (f"{n:064x},{50 + n % 50},{n / 8}\n" for n in range(entries))


def vpdq_list(entries: int) -> Iterator[str]:
    yield from (f"{n},{50 + n % 50},{n:064x},{n / 8}\n" for n in range(entries))


def signal_list(entries: int) -> Iterator[str]:
    yield "signal_type,value\n"
    yield from (f"pdq,{n:064x}\n" for n in range(entries))


def vics_list(entries: int) -> Iterator[str]:
    yield json.dumps(VICS)[:-1] + ',"value":['
    yield from (("," if n else "") + json.dumps({"MediaID": n, "MD5": f"{n:032X}"}) for n in range(entries))
    yield "]}"


def ncmec_list(entries: int) -> Iterator[str]:
    yield '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images>'
    for n in range(entries):
        yield (
            f'<image><member id="4"/><timestamp>2020-01-01T00:00:00Z</timestamp><id>{n}</id>'
            f"<fingerprints><md5>{n:032x}</md5></fingerprints></image>\n"
        )
    yield "</images></queryResult>"


LISTS = {
    Format.CSV: csv_list,
    Format.PDQ: pdq_list,
    Format.VPDQ: vpdq_list,
    Format.THREATEXCHANGE: signal_list,
    Format.VICS: vics_list,
    Format.NCMEC: ncmec_list,
}


@pytest.fixture(params=LISTS, ids=[str(name) for name in LISTS])
def layout(request: pytest.FixtureRequest) -> Format:
    return Format(request.param)


def written(path: Path, chunks: Iterator[str]) -> Path:
    with path.open("w") as file:
        file.writelines(chunks)
    return path


def test_each_format_is_recognised_and_read_completely(layout: Format, tmp_path: Path) -> None:
    """`bank import LIST FILE` would need further options."""
    path = written(tmp_path / "list", LISTS[layout](1000))
    with path.open("rb") as file:
        assert sniff(file.read(4096)) is layout
        found = [record for record in read(file) if isinstance(record, Entry)]
    assert [int.from_bytes(entry.value) for entry in found] == list(range(1000))
    assert len({entry.entry for entry in found}) == 1000


def test_memory_does_not_grow_with_the_file(layout: Format, tmp_path: Path) -> None:
    """A list of a gigabyte could not be imported on a machine with a gigabyte of memory."""

    def peak_bytes(entries: int) -> int:
        path = written(tmp_path / f"{entries}", LISTS[layout](entries))
        with path.open("rb") as file:
            tracemalloc.start()
            for _ in read(file):
                pass
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return peak

    per_entry = 48 if layout is Format.NCMEC else 1  # NCMEC's order of time takes 16 bytes an entry, and sorting them
    assert peak_bytes(24_000) < peak_bytes(12_000) * 1.1 + 12_000 * per_entry


def test_progress_ends_at_the_size_of_the_file(layout: Format, tmp_path: Path) -> None:
    """A bar that stops at 99 % would look like an import that hangs."""
    path = written(tmp_path / "list", LISTS[layout](5000))
    told: list[int] = []
    with path.open("rb") as file:
        for _ in read(file, progress=told.append):
            pass
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size


def appended(path: Path, _: Format) -> None:
    with path.open("a") as file:
        file.write("\n")


def cut(path: Path, _: Format) -> None:
    with path.open("r+") as file:
        file.truncate(path.stat().st_size // 2)


def rewritten(path: Path, layout: Format) -> None:
    written(path, LISTS[layout](19_999))


@pytest.mark.parametrize("change", [appended, cut, rewritten])
def test_a_file_that_changes_while_it_is_read_is_refused(
    layout: Format, change: Callable[[Path, Format], None], tmp_path: Path
) -> None:
    """Half of a list that is still being copied would be imported, and look complete."""
    path = written(tmp_path / "list", LISTS[layout](20_000))
    with path.open("rb") as file:
        records = read(file)
        next(records)
        change(path, layout)
        with pytest.raises(ListFormatError):
            for _ in records:
                pass


def test_a_change_is_reported_where_the_file_stays_well_formed(tmp_path: Path) -> None:
    """The user would look for a mistake in the list."""
    path = written(tmp_path / "list", csv_list(20_000))
    with path.open("rb") as file:
        records = read(file)
        next(records)
        appended(path, Format.CSV)
        with pytest.raises(ListFormatError, match=r"^end of file: expected a file at rest: it changed"):
            list(records)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_named(layout: Format, encoding: str) -> None:
    """Spreadsheets write it, and "malformed" would make the operator look for a bad line."""
    data = "".join(LISTS[layout](3)).encode(encoding)
    for named in (None, layout):
        with pytest.raises(ListFormatError, match="found UTF-16: save the file as UTF-8"):
            list(read(io.BytesIO(data), format=named))


def test_an_empty_file_is_refused(layout: Format) -> None:
    """A failed copy would empty a list."""
    for named in (None, layout):
        with pytest.raises(ListFormatError, match="found an empty file"):
            list(read(io.BytesIO(b""), format=named))


@pytest.mark.parametrize(
    "head",
    [
        b"\n",
        b"PK\x03\x04",
        b"\x1f\x8b\x08\x00",
        b"[" * 4096,
        b"hash;id\n",
        b"hello\n",
        A[:-1].encode(),
        b"\xff\xd8\xff",
    ],
)
def test_an_unknown_format_is_refused_with_the_supported_ones(head: bytes) -> None:
    """The message would not say what can be named with --format."""
    with pytest.raises(ListFormatError, match="csv, pdq, vpdq, vics, ncmec, threatexchange"):
        list(read(io.BytesIO(head)))


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """A disk that fails half-way would end in a traceback."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 4096:
                raise OSError(5, "Input/output error")
            return super().read(4096 if size is None or size > 4096 else size)

    with pytest.raises(ListFormatError, match=r"^file: cannot be read: Input/output error$"):
        list(read(Failing("".join(csv_list(1000)).encode())))


def test_a_pipe_is_refused() -> None:
    """It cannot be read twice, and the bytes read to recognise it would be missing."""
    receiving, sending = os.pipe()
    os.close(sending)
    with os.fdopen(receiving, "rb") as file, pytest.raises(ListFormatError, match="not a pipe"):
        list(read(file))
