"""Lists of the ThreatExchange family: pictures, frames of videos, and typed signals."""

import io
import json

import pytest

from models.bank.entries import Entry, HashKind
from models.errors import ListFormatError
from models.formats import Format, Record, Skip, SkipReason, read, sniff

A = "0123456789abcdef" * 4
B = "f" * 64
MD5 = "900150983cd24fb0d6963f7d28e17f72"
SHA1 = "a9993e364706816aba3e25717850c26c9cd0d89d"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def records(text: str, format: Format | None = None, video: str = "video") -> list[Record]:  # noqa: A002
    return list(read(io.BytesIO(text.encode()), format=format, video=video))


def pdq(entry: str, digits: str = A, video: str | None = None, seconds: float | None = None) -> Entry:
    return Entry(entry=entry, kind=HashKind.PDQ, value=bytes.fromhex(digits), video=video, seconds=seconds)


def test_pdq_text_lists_pictures() -> None:
    """The simplest list format could not be imported."""
    assert records(f"{A}\n{B.upper()}\r\n") == [pdq("1"), pdq("2", B)]


@pytest.mark.parametrize("header", ["", "hash,quality,timestamp\n"])
def test_pdq_text_with_times_lists_frames(header: str) -> None:
    """A frame would lose its video and time, and a run of weak matches could not count."""
    first = 2 if header else 1
    assert records(f"{header}{A},100,0.0\n{B},50,1.001\n", video="clip") == [
        pdq(f"clip#{first}", video="clip", seconds=0.0),
        pdq(f"clip#{first + 1}", B, video="clip", seconds=1.001),
    ]


@pytest.mark.parametrize("header", ["", "frame,quality,hash,timestamp_seconds\n", "frame,quality,hash,timestamp\n"])
def test_vpdq_text_lists_the_frames_of_one_video(header: str) -> None:
    """A frame's ID would not name video and frame; or dropped noise would go unreported."""
    number = 2 if header else 1
    assert records(f"{header}0,100,{A},0.000\n30,49,{A},1.0\n60,50,{B},2\n", video="clip") == [
        pdq("clip#0", video="clip", seconds=0.0),
        Skip(place=f"line {number + 1}", reason=SkipReason.LOW_QUALITY),
        pdq("clip#60", B, video="clip", seconds=2.0),
    ]


@pytest.mark.parametrize("header", ["signal_type,value\n", "signal_type,signal_str\n"])
def test_signals_of_every_supported_kind(header: str) -> None:
    """HMA's or ThreatExchange's names would not be understood, or unsupported signals be dropped without a count."""
    text = (
        f"{header}pdq,{A}\nHASH_PDQ,{B}\nvideo_md5,{MD5}\nHASH_SHA1,{SHA1}\n"
        f'sha256,{EMPTY_SHA256}\nurl,"https://example.org/a,b"\nphotodna,AAAA\n'
    )
    assert records(text) == [
        pdq("2"),
        pdq("3", B),
        Entry(entry="4", kind=HashKind.MD5, value=bytes.fromhex(MD5)),
        Entry(entry="5", kind=HashKind.SHA1, value=bytes.fromhex(SHA1)),
        Skip(place="line 6", reason=SkipReason.EMPTY_FILE),
        Skip(place="line 7", reason=SkipReason.UNSUPPORTED_HASH),
        Skip(place="line 8", reason=SkipReason.UNSUPPORTED_HASH),
    ]


def test_a_vpdq_signal_is_a_video() -> None:
    """HMA exchanges a whole video as one signal, which could not be imported."""
    signal = json.dumps([f"{A},100,0.0", f"{B},7,1.0", f"{B},90,2.0"]).replace('"', '""')
    assert records(f'vpdq,"{signal}"\n', video="hma") == [
        pdq("hma/1#1", video="hma/1", seconds=0.0),
        Skip(place="line 1, frame 2", reason=SkipReason.LOW_QUALITY),
        pdq("hma/1#3", B, video="hma/1", seconds=2.0),
    ]


@pytest.mark.parametrize(
    ("format", "text", "place", "expected"),
    [
        (Format.PDQ, f"{A}\n{A[:-1]}\n", "line 2", "63 characters"),
        (Format.PDQ, f"{A},100\n", "line 1", "found 2 fields"),
        (Format.PDQ, f"{A},101,0\n", "line 1", "0 to 100"),
        (Format.PDQ, f"{A},-1,0\n", "line 1", "0 to 100"),
        (Format.PDQ, f"{A},99.5,0\n", "line 1", "0 to 100"),
        (Format.PDQ, f"{A},100,yesterday\n", "line 1", "seconds"),
        (Format.PDQ, f"{A},100,1e999\n", "line 1", "seconds"),
        (Format.VPDQ, f"0,100,{A},0\n1,101,{A},0\n", "line 2", "0 to 100"),
        (Format.VPDQ, f"first,100,{A},0\n", "line 1", "frame's number"),
        (Format.VPDQ, f"0,100,{A}\n", "line 1", "found 3 fields"),
        (Format.VPDQ, f"0,10,{A[1:]},0\n", "line 1", "63 characters"),
        (Format.THREATEXCHANGE, f"pdq,{A}\npdq,{A},x\n", "line 2", "found 3 fields"),
        (Format.THREATEXCHANGE, f"pdq,{MD5}\n", "line 1", "32 characters"),
        (Format.THREATEXCHANGE, f"{A},pdq\n", "line 1", "name of a signal type"),
        (Format.THREATEXCHANGE, f",{A}\n", "line 1", "name of a signal type"),
        (Format.THREATEXCHANGE, 'vpdq,"{}"\n', "line 1", "JSON array"),
        (Format.THREATEXCHANGE, f"vpdq,{'[' * 900_000}\n", "line 1", "JSON array"),
        (Format.THREATEXCHANGE, f'vpdq,"[""{A},x,0""]"\n', "line 1, frame 1", "0 to 100"),
    ],
)
def test_a_malformed_list_is_refused(format: Format, text: str, place: str, expected: str) -> None:  # noqa: A002
    """Half a list would look like a whole one; or the refusal would not name the line, or quote a hash into a log."""
    with pytest.raises(ListFormatError) as refused:
        records(text, format)
    assert refused.value.place == place
    assert expected in str(refused.value)
    assert A[:16] not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "format"),
    [
        (A, Format.PDQ),
        (f"{A},100,0.5", Format.PDQ),
        ("hash,quality,timestamp", Format.PDQ),
        (f"0,100,{A},0.000", Format.VPDQ),
        ("frame,quality,hash,timestamp_seconds", Format.VPDQ),
        ("signal_type,value", Format.THREATEXCHANGE),
        (f"pdq,{A}", Format.THREATEXCHANGE),
        (f'vpdq,"[""{A},100,0.0"",', Format.THREATEXCHANGE),
    ],
)
def test_the_formats_are_recognised(line: str, format: Format) -> None:  # noqa: A002
    """The user would have to know the name of a list's format."""
    assert sniff(f"\ufeff{line}\r\n".encode()) is format
