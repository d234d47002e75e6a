"""Parses the text of a playlist, which is hostile, into values; m3u8 splits the tags, and gets only those in use."""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import m3u8

from worker.errors import FetchError, PlaylistError
from worker.ingest.http.resource import ByteRange
from worker.ingest.http.urls import join, split, without_query
from worker.ingest.playlist.hls import LEAST_MS, InitSection, MasterPlaylist, MediaPlaylist, Rendition, Segment
from worker.ingest.playlist.interstitials import interstitials
from worker.ingest.playlist.other_videos import other_videos
from worker.ingest.playlist.parse_window import ParseWindow, parse_window

MAX_PLAYLIST_BYTES = 2 * 2**20
"""20,000 segments of 100 bytes each; a live playlist has some 2 KB."""

_MAX_SEGMENT_SECONDS = 3600.0
"""Far above any target duration in use (2 to 10 s); keeps sums and dates in range."""

_MAX_SEQUENCE = 2**53 - 1
"""The largest integer that JSON and Lua keep exactly."""

_MAX_URI_CHARACTERS = 4096
"""A signed URL has up to 2,000."""

_MAX_STORED_CHARACTERS = 2 * _MAX_URI_CHARACTERS
"""Limit for an absolute URI in JSON, where a non-ASCII character takes up to twelve: a stream with 64 pending segments,
their initialization sections, and the same of the segment before each takes up to 2 MB in Redis instead of 20."""

_MAX_BANDWIDTH = 10**12
"""Bits per second; a higher value is a mistake. It is part of segment keys."""

_NOT_FOR_M3U8 = frozenset({"#EXTM3U", "#EXT-X-TARGETDURATION", "#EXT-X-KEY", "#EXT-X-SKIP", "#EXT-X-I-FRAMES-ONLY"})
"""Tags that are parsed here. m3u8 compares each key with all before it, which takes seconds for some thousands."""

_QUOTED = re.compile(r'"[^"]*"')

_ATTRIBUTE = r'[A-Z0-9-]+=(?:"[^"]*"|[^",\s]+)'
_ATTRIBUTES = re.compile(rf"\s*{_ATTRIBUTE}(?:\s*,\s*{_ATTRIBUTE})*\s*")
"""An attribute list as RFC 8216 (4.2) has it. m3u8 reads others as well, and players read them otherwise."""

_REWRITTEN = re.compile(r"\\|(?:^|/)(?:\.|%2e)*%2e(?:\.|%2e)*(?:[/?#]|$)", re.IGNORECASE)
"""Parts of a URI that browsers rewrite before they request it: another resource would be requested here."""

_M3U8_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Raised by m3u8 6.0, untranslated, on unexpected text."""

Base = str | Path


def parse_playlist(
    content: bytes | str,
    base: Base,
    *,
    most: int | None = None,
    from_sequence: int | None = None,
    name: str | None = None,
) -> MediaPlaylist | MasterPlaylist:
    """Parses a playlist whose URIs are relative to `base`: the URL it was read from, or the folder of a local file.

    Args:
        most: maximum number of entries, which `parse_window` selects; None: all.
        from_sequence: media sequence number to begin at in a recording.
        name: of the playlist in errors; None: `base`, without a URL's query.

    Raises:
        PlaylistError: names what was expected, and the line where that is known.
    """
    named = without_query(base) if isinstance(base, str) else str(base)
    shown = named if name is None else name
    text = _checked_text(content, shown)
    part = parse_window(text, shown=shown, most=most, from_sequence=from_sequence)
    tags = _TagReader(shown, part)
    try:
        parsed: dict[str, Any] = m3u8.parse("\n".join(part.lines), custom_tags_parser=tags)
    except _M3U8_ERRORS as error:
        raise PlaylistError(f"{shown}: line {tags.line_number}: expected a well-formed tag ({error})") from error
    _check_names(part, shown)
    if parsed["is_variant"]:
        return _master(parsed, text, base, shown)
    if not tags.target_duration_seconds:
        raise PlaylistError(f"{shown}: expected #EXT-X-TARGETDURATION, which every media playlist has")
    return MediaPlaylist(
        url=str(base),
        target_duration_seconds=tags.target_duration_seconds,
        segments=_segments(parsed, part, most, base, shown),
        ended=parsed["is_endlist"],
        earlier=part.earlier,
        later=part.later,
        interstitials=interstitials(text),
    )


class _TagReader:
    """Called by m3u8 with each tag before m3u8 parses it: checks numbers, and parses the tags that m3u8 must skip."""

    def __init__(self, shown: str, part: ParseWindow) -> None:
        self.line_number = 0
        self.target_duration_seconds = 0.0
        self._shown = shown
        self._numbers = part.numbers

    def __call__(self, line: str, line_number: int, _data: dict[str, Any], state: dict[str, Any]) -> bool:
        """Returns True if m3u8 must skip the line."""
        self.line_number = self._numbers[line_number - 1]
        name, _, value = line.partition(":")
        match name:
            case "#EXTINF":
                self._seconds(name, value.partition(",")[0])
            case "#EXT-X-TARGETDURATION":
                self.target_duration_seconds = self._seconds(name, value)
            case "#EXT-X-MEDIA-SEQUENCE":
                if not (value.strip().isascii() and value.strip().isdigit() and int(value) <= _MAX_SEQUENCE):
                    raise self._error(f"{name} from 0 to {_MAX_SEQUENCE}", value)
            case "#EXT-X-PROGRAM-DATE-TIME":
                return not _is_date(value)  # optional: a stream with a wrong clock is watched all the same
            case "#EXT-X-KEY":
                state["current_key"] = {"method": self._method(value)}
            case "#EXT-X-MAP":
                names = [attribute.partition("=")[0].strip() for attribute in _QUOTED.sub('""', value).split(",")]
                if not _ATTRIBUTES.fullmatch(value) or len(set(names)) < len(names):
                    raise self._error("a well-formed tag with each attribute once", line)
            case "#EXT-X-DEFINE":
                raise self._error("a playlist without variables", line)
            case "#EXT-X-SKIP":
                raise self._error("a complete playlist, not a delta update", line)
            case "#EXT-X-I-FRAMES-ONLY":
                raise self._error("a playlist of segments, not of I-frames only", line)
        return name in _NOT_FOR_M3U8

    def _method(self, attributes: str) -> str:
        for attribute in _QUOTED.sub('""', attributes).split(","):
            name, equals, value = attribute.partition("=")
            if name.strip().upper() == "METHOD" and equals:
                return value.strip().strip("\"'") or "unknown"
        raise self._error("a well-formed tag with METHOD", attributes)

    def _seconds(self, name: str, value: str) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= _MAX_SEGMENT_SECONDS:
            raise self._error(f"{name} from 0 to {_MAX_SEGMENT_SECONDS:g} seconds", value)
        return seconds

    def _error(self, expected: str, got: str) -> PlaylistError:
        return PlaylistError(f"{self._shown}: line {self.line_number}: expected {expected}, got {got.strip()[:80]!r}")


def _is_date(value: str) -> bool:
    try:
        # Far from both ends of datetime's range, since m3u8 adds the durations that follow.
        return 1970 <= datetime.fromisoformat(value.strip()).year < 3000
    except ValueError:
        return False


def _checked_text(content: bytes | str, shown: str) -> str:
    if len(content) > MAX_PLAYLIST_BYTES:
        raise PlaylistError(f"{shown}: expected a playlist of at most {MAX_PLAYLIST_BYTES} bytes, got {len(content)}")
    try:
        text = content if isinstance(content, str) else content.decode()
    except UnicodeDecodeError as error:
        raise PlaylistError(f"{shown}: expected a playlist in UTF-8, got binary data at byte {error.start}") from error
    text = text.removeprefix("\ufeff").strip()
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if not text:
        raise PlaylistError(f"{shown}: expected a playlist, got nothing")
    if text.startswith("<"):
        raise PlaylistError(f"{shown}: expected a playlist, got a web page or XML")
    if not text.startswith("#EXTM3U"):
        raise PlaylistError(f"{shown}: line 1: expected #EXTM3U, got {text.splitlines()[0][:80]!r}")
    return text


def _check_names(part: ParseWindow, shown: str) -> None:
    """Refuses URIs without EXTINF or EXT-X-STREAM-INF, which m3u8 drops silently, and such tags without a URI."""
    announced_on = 0
    for line_number, line in zip(part.numbers, part.lines, strict=True):
        if line.startswith(("#EXTINF:", "#EXT-X-STREAM-INF:")):
            if announced_on:
                raise PlaylistError(f"{shown}: line {line_number}: expected the URI that line {announced_on} announced")
            announced_on = line_number
        elif not line.startswith("#"):
            if not announced_on:
                raise PlaylistError(
                    f"{shown}: line {line_number}: expected #EXTINF before a URI, got {without_query(line)[:80]!r}"
                )
            announced_on = 0
    if announced_on:
        raise PlaylistError(f"{shown}: expected the URI that line {announced_on} announced, the playlist stops short")


def _segments(
    parsed: dict[str, Any], part: ParseWindow, most: int | None, base: Base, shown: str
) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    first = parsed["media_sequence"] + part.earlier
    ended: tuple[str, int] | None = None
    """Absolute URI and end of the previous entry's byte range."""
    if part.ended_range is not None:
        ended = (_resolved(part.ended_range.uri, base, f"{shown}: media sequence {first - 1}"), part.ended_range.end)
    for sequence, entry in enumerate(parsed["segments"], first):
        where = f"{shown}: media sequence {sequence}"
        if "uri" not in entry:  # m3u8 makes a segment of trailing tags
            raise PlaylistError(f"{where}: expected a URI after its tags, the playlist stops short")
        uri = _resolved(entry["uri"], base, where)
        method = entry.get("key", {}).get("method", "NONE").upper()[:40]
        byte_range = _byte_range(entry.get("byterange"), ended, uri, where)
        ended = None if byte_range is None else (uri, byte_range.end)
        segments.append(
            Segment(
                sequence=sequence,
                uri=uri,
                duration_ms=max(LEAST_MS, round(entry["duration"] * 1000)),
                byte_range=byte_range,
                init=_init(entry.get("init_section"), base, where),
                discontinuity=bool(entry["discontinuity"]),
                program_date_time=entry.get("current_program_date_time"),
                encryption=None if method == "NONE" else method,
                gap=bool(entry["gap_tag"]),
            )
        )
    if (part.earlier or part.later) and len(segments) != most:
        raise PlaylistError(f"{shown}: expected a URI after each #EXTINF")
    return tuple(segments)


def _init(section: dict[str, str] | None, base: Base, where: str) -> InitSection | None:
    if section is None:
        return None
    if not section.get("uri"):
        raise PlaylistError(f"{where}: expected EXT-X-MAP with a URI")
    uri = _resolved(section["uri"], base, where)
    return InitSection(uri=uri, byte_range=_byte_range(section.get("byterange"), None, uri, where, default_offset=0))


def _byte_range(
    text: str | None, ended: tuple[str, int] | None, uri: str, where: str, *, default_offset: int | None = None
) -> ByteRange | None:
    """Parses `length[@offset]`; without an offset it continues the previous range of the same resource."""
    if text is None:
        return None
    length, at, offset = text.strip().partition("@")
    start = default_offset
    if at:
        start = int(offset) if offset.isascii() and offset.isdigit() and len(offset) < 16 else None
    elif ended is not None and ended[0] == uri:
        start = ended[1]
    if start is None or not (length.isascii() and length.isdigit() and len(length) < 16 and int(length)):
        raise PlaylistError(f"{where}: expected a byte range length@offset, got {text[:40]!r}")
    return ByteRange(offset=start, length=int(length))


def _master(parsed: dict[str, Any], text: str, base: Base, shown: str) -> MasterPlaylist:
    if parsed["segments"]:
        raise PlaylistError(f"{shown}: expected segments or renditions, got both")
    renditions: list[Rendition] = []
    names: Counter[str] = Counter()
    for entry in parsed["playlists"]:
        info = entry["stream_info"]
        width, _, height = info.get("resolution", "").strip('"').lower().partition("x")
        sized = (
            width.isascii() and width.isdigit() and height.isascii() and height.isdigit() and len(width + height) < 12
        )
        rendition = Rendition(
            uri=_resolved(entry["uri"], base, shown),
            bandwidth=min(max(info.get("bandwidth", 0), 0), _MAX_BANDWIDTH),
            width_pixels=int(width) if sized else None,
            height_pixels=int(height) if sized else None,
            codecs=info.get("codecs", ""),
        )
        names[rendition.name] += 1
        renditions.append(replace(rendition, namesake=names[rendition.name]))
    variants = {rendition.uri for rendition in renditions if not rendition.audio_only}
    others = other_videos(text, variants, lambda uri: _resolved(uri, base, shown))
    return MasterPlaylist(url=str(base), renditions=tuple(renditions), other_videos=others)


def _resolved(uri: str, base: Base, where: str) -> str:
    """`uri` as absolute http or https URL, or as a path below the folder `base`."""
    if len(uri) > _MAX_URI_CHARACTERS:
        raise PlaylistError(f"{where}: expected a URI of at most {_MAX_URI_CHARACTERS} characters, got {len(uri)}")
    shown_uri = without_query(uri)[:200]
    if isinstance(base, str) and _REWRITTEN.search(uri):
        raise PlaylistError(f"{where}: expected a URI without a backslash or an encoded dot, got {shown_uri!r}")
    try:
        if isinstance(base, Path) and not split(uri).scheme:
            path = (base / unquote(split(uri).path)).resolve()
            if not path.is_relative_to(base.resolve()):
                raise PlaylistError(f"{where}: expected a file below the playlist's folder, got {shown_uri!r}")
            return str(path)
        absolute = join(base, uri) if isinstance(base, str) else uri
        parts = split(absolute)
    except (FetchError, ValueError, OSError, RuntimeError) as error:  # a bad IPv6 host, a NUL, a symlink loop
        raise PlaylistError(f"{where}: expected a URI, got {shown_uri!r}") from error
    if parts.scheme not in {"http", "https"} or not parts.authority:
        raise PlaylistError(f"{where}: expected an http or https URI, got {shown_uri!r}")
    if len(json.dumps(absolute)) > _MAX_STORED_CHARACTERS:  # a long base after a redirect, or non-ASCII
        raise PlaylistError(f"{where}: expected a URI of at most {_MAX_URI_CHARACTERS} characters")
    return absolute
