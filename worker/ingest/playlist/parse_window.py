"""The part of a playlist's text that is parsed. The rest is only searched and counted, at the speed of `str.find`: a
hostile playlist of 2 MB takes 0.4 s to parse completely.

Of a live playlist the newest entries are parsed; of a recording (EXT-X-ENDLIST) those that come next. Tags that apply
to later entries (EXT-X-KEY, EXT-X-MAP, the end of the previous byte range) or to the playlist are carried over; dates
are not.
"""

import re
from dataclasses import dataclass

from worker.errors import PlaylistError

MAX_SEGMENTS = 20_000
"""A day of 4 s segments."""

PARSED_ENTRIES = 200
"""Limit for one playlist in one poll: three times the segments that a stream may have pending, in 4 ms of CPU."""

MAX_RENDITIONS = 100
"""Limit for a master playlist; later ones are ignored. Packagers offer up to 30."""

_MAX_PART_LINES = 100 * PARSED_ENTRIES
"""In the parsed part. Low-latency HLS has some 20 tags an entry, and only near the end."""

_MAX_TAGS = 10 * PARSED_ENTRIES
"""Tags and URIs passed on to m3u8. An entry has up to seven."""

_MAX_LINE_CHARACTERS = 8_192
"""Twice the longest accepted URI."""

_MAX_CHARACTERS = 512 * 2**10
"""Limit for all lines passed on to m3u8: 200 entries of 2,500; a signed URL has up to 2,000."""

_MAX_ATTRIBUTE_CHARACTERS = 128 * 2**10
"""Limit for lines whose attributes m3u8 parses, at 0.5 µs a character."""

_EXTINF = "\n#EXTINF:"
_STREAM_INF = "\n#EXT-X-STREAM-INF:"
_WHOLE_PLAYLIST = (
    "\n#EXT-X-TARGETDURATION:",
    "\n#EXT-X-MEDIA-SEQUENCE:",
    "\n#EXT-X-ENDLIST",
    "\n#EXT-X-DEFINE",
    "\n#EXT-X-SKIP",
    "\n#EXT-X-I-FRAMES-ONLY",
)
"""Tags that apply to the playlist, wherever they stand; of several the last counts."""

_CARRIED_OVER = ("\n#EXT-X-KEY:", "\n#EXT-X-MAP:")
"""Tags that apply until the next one of the same name."""

_USED = frozenset(
    {
        "#EXTM3U",
        "#EXTINF",
        "#EXT-X-BYTERANGE",
        "#EXT-X-DEFINE",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-ENDLIST",
        "#EXT-X-GAP",
        "#EXT-X-I-FRAMES-ONLY",
        "#EXT-X-KEY",
        "#EXT-X-MAP",
        "#EXT-X-MEDIA-SEQUENCE",
        "#EXT-X-PROGRAM-DATE-TIME",
        "#EXT-X-SKIP",
        "#EXT-X-STREAM-INF",
        "#EXT-X-TARGETDURATION",
    }
)
"""All others, low-latency HLS parts among them, are dropped, so they can neither break m3u8 nor slow it down."""

_URI_LINE = re.compile(r"\n[ \t\r]*[^#\s][^\n]*")
_OTHER_BREAK = re.compile("\r(?!\n)|[\u2028\u2029]")
"""Line breaks of JavaScript's patterns, but for LF and CRLF."""
_RANGE = re.compile(r"\n#EXT-X-BYTERANGE:[ \t]*(\d{1,15})(?:@(\d{1,15}))?[ \t\r]*(?=\n)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class EndedRange:
    """The end of the byte range of the entry before the window."""

    uri: str
    """As written."""
    end: int
    """The first byte after its range."""


@dataclass(frozen=True, kw_only=True)
class ParseWindow:
    """The lines to parse, stripped, without blank lines and unused tags."""

    lines: tuple[str, ...]
    numbers: tuple[int, ...]
    """The line number of each in the playlist, from 1."""
    earlier: int = 0
    """Entries of the playlist before those in `lines`."""
    later: int = 0
    """Entries after them; only in a recording."""
    ended_range: EndedRange | None = None
    """None: the first entry has an offset of its own, or no range."""


def parse_window(text: str, *, shown: str, most: int | None, from_sequence: int | None) -> ParseWindow:
    """Selects the part of a playlist's text to parse.

    Args:
        text: begins with `#EXTM3U`; lines end with LF or CRLF.
        shown: the URL as quoted in errors.
        most: maximum number of entries; None takes all of them, of any length.
        from_sequence: media sequence number to begin at, if the playlist is a recording; None: at its start.

    Raises:
        PlaylistError: the playlist exceeds a limit above, or has segments and renditions.
    """
    count = text.count(_EXTINF)
    if count > MAX_SEGMENTS:
        raise PlaylistError(f"{shown}: expected at most {MAX_SEGMENTS} segments, got {count}")
    if most is None:
        return _lines(text, 0, len(text), shown, bounded=False)
    if not count:
        return _lines(text, 0, _end_of_renditions(text), shown, bounded=True)
    if count <= most:
        return _lines(text, 0, len(text), shown, bounded=True)
    if _STREAM_INF in text:
        raise PlaylistError(f"{shown}: expected segments or renditions, got both")
    first = count - most
    if "\n#EXT-X-ENDLIST" in text:
        begin_at = 0 if from_sequence is None else from_sequence - _media_sequence(text)
        first = min(max(begin_at, 0), first)
    begin = _after_entry(text, first - 1, count) if first else 0
    end = _after_entry(text, first + most - 1, count) if first + most < count else len(text)
    part = _lines(text, begin, end, shown, bounded=True)
    found = {tag: line for tag in _WHOLE_PLAYLIST if (line := _last(text, tag, len(text)))}
    header = ("#EXTM3U", *(tag.strip() for tag in found))
    kept = [*found.values()]
    kept += [line for tag in _CARRIED_OVER if (line := _last(text, tag, begin))]
    kept += [
        (number, line)
        for number, line in zip(part.numbers, part.lines, strict=True)
        if first or not line.startswith(header)
    ]
    return ParseWindow(
        lines=("#EXTM3U", *(line for _, line in kept)),
        numbers=(1, *(number for number, _ in kept)),
        earlier=first,
        later=count - first - most,
        ended_range=_ended_range(text, begin, part.lines),
    )


def _end_of_renditions(text: str) -> int:
    at = -1
    for _ in range(MAX_RENDITIONS + 1):
        at = text.find(_STREAM_INF, at + 1)
        if at < 0:
            return len(text)
    return at


def _media_sequence(text: str) -> int:
    """EXT-X-MEDIA-SEQUENCE, 0 if malformed; it is checked again where the tag is parsed."""
    found = _last(text, "\n#EXT-X-MEDIA-SEQUENCE:", len(text))
    value = "" if found is None else found[1].partition(":")[2].strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 17 else 0


def _line_break(text: str, index: int, count: int) -> int:
    """Position of the line break before the EXTINF of that index, searched from the nearer end."""
    if index <= count // 2:
        at = -1
        for _ in range(index + 1):
            at = text.find(_EXTINF, at + 1)
        return at
    at = len(text)
    for _ in range(count - index):
        at = text.rfind(_EXTINF, 0, at)
    return at


def _after_entry(text: str, index: int, count: int) -> int:
    """Position of the line break after the URI of the entry of that index; the next entry begins there."""
    found = _URI_LINE.search(text, _line_break(text, index, count) + 1)
    return len(text) if found is None else found.end()


def _last(text: str, tag: str, end: int) -> tuple[int, str] | None:
    """The last line with a tag before `end`, and its line number."""
    at = text.rfind(tag, 0, end)
    if at < 0:
        return None
    line = text[at + 1 : at + 2 + _MAX_LINE_CHARACTERS].partition("\n")[0].strip()
    return text.count("\n", 0, at) + 2, line


def _lines(text: str, begin: int, end: int, shown: str, *, bounded: bool) -> ParseWindow:
    if bounded and text.count("\n", begin, end) > _MAX_PART_LINES:
        raise PlaylistError(f"{shown}: expected at most {_MAX_PART_LINES} lines beside its segments")
    offset = text.count("\n", 0, begin)
    lines: list[str] = []
    numbers: list[int] = []
    for number, raw in enumerate(text[begin:end].split("\n"), offset + 1):
        line = raw.strip()
        if line and (line[0] != "#" or (line.startswith("#EXT") and line.partition(":")[0].rstrip() in _USED)):
            lines.append(line)
            numbers.append(number)
    if bounded and len(lines) > _MAX_TAGS:
        raise PlaylistError(f"{shown}: expected at most {_MAX_TAGS} tags and URIs for {PARSED_ENTRIES} segments")
    attributes = sum(len(line) for line in lines if line.startswith(("#EXT-X-MAP", "#EXT-X-STREAM-INF")))
    if bounded and (attributes > _MAX_ATTRIBUTE_CHARACTERS or sum(map(len, lines)) > _MAX_CHARACTERS):
        raise PlaylistError(f"{shown}: expected at most {_MAX_CHARACTERS} characters for {PARSED_ENTRIES} segments")
    long = next((number for number, line in zip(numbers, lines, strict=True) if len(line) > _MAX_LINE_CHARACTERS), None)
    if long is not None:
        raise PlaylistError(f"{shown}: line {long}: expected a URI of at most {_MAX_LINE_CHARACTERS // 2} characters")
    if "\n".join(lines).splitlines() != lines or _OTHER_BREAK.search(text, begin, end + 1):
        # m3u8 splits at all Unicode line breaks, after which no line number would be right. hls.js takes what is behind
        # some of them for a URI, in comments too.
        raise PlaylistError(f"{shown}: expected lines that end with LF or CRLF, got another line break")
    return ParseWindow(lines=tuple(lines), numbers=tuple(numbers))


def _ended_range(text: str, begin: int, lines: tuple[str, ...]) -> EndedRange | None:
    """Needed where the window's first entry has a byte range that continues the previous one."""
    uri_at = next((index for index, line in enumerate(lines) if not line.startswith("#")), 0)
    first = next((line for line in lines[:uri_at] if line.startswith("#EXT-X-BYTERANGE")), "@")
    if "@" in first:
        return None
    lengths, offset = 0, None
    for found in _RANGE.finditer(text, 0, begin + 1):
        if found[2] is not None:
            lengths, offset = 0, int(found[2])
        lengths += int(found[1])
    before = text[:begin].rpartition("\n")[2].strip()
    return None if offset is None else EndedRange(uri=before, end=offset + lengths)
