"""Signals of the ThreatExchange family as lines of text: PDQ, vPDQ, and typed signals of several kinds.

Sources: facebook/ThreatExchange, `vpdq/README.md` (a video's hashes), `python-threatexchange` (names of signal types;
a vPDQ signal is a JSON array of "hash,quality,seconds").
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Final

from config.counts import counted
from models.bank.entries import Entry, HashKind
from models.errors import ListFormatError
from models.formats import fields
from models.formats.records import Record, Skip, SkipReason
from models.formats.source import ListSource
from models.pdq.pdq import MIN_QUALITY

PDQ_HEADER: Final = ["hash", "quality", "timestamp"]
VPDQ_HEADERS: Final = (["frame", "quality", "hash", "timestamp_seconds"], ["frame", "quality", "hash", "timestamp"])
SIGNAL_HEADERS: Final = (["signal_type", "value"], ["signal_type", "signal_str"])

_KINDS: Final = {
    prefix + kind.value: kind
    for prefix, kinds in {
        "": HashKind,
        "hash_": HashKind,
        "video_": (HashKind.MD5, HashKind.SHA1, HashKind.SHA256),
        "hash_video_": (HashKind.MD5, HashKind.SHA1, HashKind.SHA256),
    }.items()
    for kind in kinds
}
"""Names of signal types, in lower case, and of ThreatExchange's indicator types."""

_VPDQ_NAMES: Final = ("vpdq", "hash_vpdq")

_SIGNAL_NAME: Final = re.compile(r"(?![0-9A-Fa-f]*\Z)[A-Za-z][A-Za-z0-9_-]{0,63}")
"""A type that is unknown here; not hex digits, which would be columns the wrong way round."""


def is_signal_name(text: str) -> bool:
    """True if a first field names a signal that the bank keeps."""
    return text.lower() in _KINDS or text.lower() in _VPDQ_NAMES


def read_pdq(source: ListSource, *, video: str) -> Iterator[Record]:
    """Reads lines `hash` (a picture) or `hash,quality,timestamp` (a frame of `video`), with or without a header.

    Raises:
        ListFormatError: naming the line and what was expected.
    """
    for number, place, found in _rows(source, (PDQ_HEADER[:1], PDQ_HEADER)):
        if len(found) == 1:
            yield Entry(entry=str(number), kind=HashKind.PDQ, value=fields.hash_value(found[0], HashKind.PDQ, place))
        elif len(found) == len(PDQ_HEADER):
            yield _frame(video, str(number), found[0], found[1], found[2], place)
        else:
            raise ListFormatError(
                place, f"expected hash or hash,quality,timestamp, found {counted(len(found), 'field')}"
            )


def read_vpdq(source: ListSource, *, video: str) -> Iterator[Record]:
    """Reads the frames of `video`: lines `frame,quality,hash,timestamp_seconds`, with or without a header.

    Raises:
        ListFormatError: naming the line and what was expected.
    """
    for _, place, found in _rows(source, VPDQ_HEADERS):
        if len(found) != len(VPDQ_HEADERS[0]):
            raise ListFormatError(
                place, f"expected frame,quality,hash,timestamp_seconds, found {counted(len(found), 'field')}"
            )
        frame, quality, value, seconds = found
        yield _frame(video, str(fields.frame_number(frame, place)), value, quality, seconds, place)


def read_signals(source: ListSource, *, video: str) -> Iterator[Record]:
    """Reads lines `signal_type,value`, with or without a header; ids are line numbers.

    The frames of a vPDQ signal belong to the video `VIDEO/LINE`.

    Raises:
        ListFormatError: naming the line and what was expected.
    """
    for number, place, found in _rows(source, SIGNAL_HEADERS):
        if len(found) != len(SIGNAL_HEADERS[0]):
            raise ListFormatError(place, f"expected signal_type,value, found {counted(len(found), 'field')}")
        name, text = found
        kind = _KINDS.get(name.lower())
        if kind is not None:
            value = fields.hash_value(text, kind, place)
            if value in fields.EMPTY_FILE:
                yield Skip(place=place, reason=SkipReason.EMPTY_FILE)
            else:
                yield Entry(entry=str(number), kind=kind, value=value)
        elif name.lower() in _VPDQ_NAMES:
            yield from _vpdq_signal(f"{video}/{number}" if video else "", text, place)
        elif _SIGNAL_NAME.fullmatch(name):
            yield Skip(place=place, reason=SkipReason.UNSUPPORTED_HASH)
        else:
            raise ListFormatError(place, "expected the name of a signal type")


def _rows(source: ListSource, headers: Collection[list[str]]) -> Iterator[tuple[int, str, list[str]]]:
    """Number, place and fields of each line but the header, if there is one."""
    for number, line in source.lines():
        place = f"line {number}"
        found = fields.split(line, place)
        if number > 1 or found not in headers:
            yield number, place, found


def _vpdq_signal(video: str, text: str, place: str) -> Iterator[Record]:
    try:
        frames = json.loads(text)
    except (ValueError, RecursionError):
        frames = None
    if not isinstance(frames, list) or not all(isinstance(frame, str) for frame in frames):
        raise ListFormatError(place, "expected a vPDQ signal, a JSON array of texts")
    for number, frame in enumerate(frames, start=1):
        found = frame.split(",")
        if len(found) != len(PDQ_HEADER):
            raise ListFormatError(
                f"{place}, frame {number}", f"expected hash,quality,seconds, found {counted(len(found), 'field')}"
            )
        yield _frame(video, str(number), found[0], found[1], found[2], f"{place}, frame {number}")


def _frame(video: str, name: str, value: str, quality: str, seconds: str, place: str) -> Record:
    if not video:  # two files whose frames had the same ids would be taken for one video
        raise ListFormatError(place, "expected to be given the name of the video that these frames are of")
    entry = Entry(
        entry=fields.entry_id(f"{video}#{name}", place),
        kind=HashKind.PDQ,
        value=fields.hash_value(value, HashKind.PDQ, place),
        video=video,
        seconds=fields.seconds(seconds, place),
    )
    if fields.quality(quality, place) < MIN_QUALITY:
        return Skip(place=place, reason=SkipReason.LOW_QUALITY)
    return entry
