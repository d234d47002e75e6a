"""The media of a scan: a file, a segment or a playlist, local or on an origin, as a sequence of parts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from config.regular_file import open_regular
from worker.errors import LocalFileError, PlaylistError
from worker.ingest.http.fetch import Fetched, Fetcher
from worker.ingest.http.resource import ByteRange
from worker.ingest.http.urls import path_of, scheme_of, without_query
from worker.ingest.playlist.hls import MasterPlaylist, MediaPlaylist, Segment, choose_rendition
from worker.ingest.playlist.parsing import MAX_PLAYLIST_BYTES, parse_playlist
from worker.ingest.playlist.preceding import preceding
from worker.store.local_file import open_media, read_file, read_range

MAX_FETCHED_BYTES = 2 << 30
"""Largest media file of an origin, which is held in memory."""

MAX_SEGMENT_BYTES = 64 << 20
"""A segment of 10 s at 50 Mbit/s, the most that platforms accept, is 60 MiB."""

FILE_SECONDS = 3600.0
"""Timeout of a media file; a person watches the progress bar and may stop it."""

SEGMENT_SECONDS = 60.0
"""Timeout of a segment or playlist; there is no live window to keep up with, so slow origins get time."""

MAX_PICTURE_BYTES = 256 << 20
"""Uncompressed, 85 megapixels; the decoder bounds the size of compressed ones."""

_PICTURE_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_HEAD_BYTES = 16

_PLAYLIST_ENDINGS = (".m3u8", ".m3u")
_PLAYLIST_HEAD = b"#EXTM3U"


@dataclass(frozen=True, kw_only=True)
class Payload:
    """The bytes of a part."""

    data: bytes | BinaryIO
    """A local file is passed on unread, so that it may be of any length."""
    init: bytes = b""
    """Init section, of the part's EXT-X-MAP."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """An input of the decoder: a segment of a playlist, or a complete file."""

    name: str
    """Name in messages: the path, or the URL without its query."""
    extinf_ms: int | None
    """Duration in the playlist; None: a file has none."""
    load: Callable[[], AbstractContextManager[Payload]]
    """Reads the bytes; raises FetchError or LocalFileError."""
    refused: str | None = None
    """Reason in the ledger why it is not loaded."""
    goes_on: bool = False
    """It is a segment that goes on from the part before."""


@dataclass(frozen=True, kw_only=True)
class Media:
    """Opened media."""

    name: str
    parts: tuple[Part, ...]
    rendition: str | None = None
    """Name of the rendition that they are of; None: there is no master playlist."""
    not_scanned: tuple[str, ...] = ()
    """Names of its other renditions, and of other videos that players may show."""

    @property
    def extinf_ms(self) -> int | None:
        """Duration of the playlist; None for a file."""
        durations = [part.extinf_ms for part in self.parts if part.extinf_ms is not None]
        return sum(durations) if durations else None


def is_url(media: str) -> bool:
    """Returns whether `media` is a URL; else it is a path."""
    return scheme_of(media) in {"http", "https"}


class MediaOpener:
    """Opens files, and URLs through the guarded `fetcher`."""

    def __init__(self, *, fetcher: Fetcher, rendition_height_pixels: int) -> None:
        self._fetcher = fetcher
        self._height_pixels = rendition_height_pixels

    def open(self, media: str) -> Media:
        """Opens a URL or a path: of a master playlist the smallest rendition at or above the set height, of a live
        playlist the segments that it lists now.

        Raises:
            FetchError, PlaylistError, LocalFileError: it cannot be read, or is not what its name says.
        """
        if is_url(media):
            return self._open_url(media)
        path = Path(media)
        if _looks_like_playlist(path.name, _head(path)):
            content = read_file(path, max_bytes=MAX_PLAYLIST_BYTES)
            return self._of_playlist(str(path), parse_playlist(content, path.absolute().parent, name=str(path)))
        return Media(name=str(path), parts=(Part(name=str(path), extinf_ms=None, load=lambda: _opened(path)),))

    def _open_url(self, url: str) -> Media:
        shown = without_query(url)
        fetched = self._get(url, max_bytes=MAX_FETCHED_BYTES, timeout_seconds=FILE_SECONDS)
        if _looks_like_playlist(path_of(url), fetched.body[:_HEAD_BYTES]):
            return self._of_playlist(shown, parse_playlist(fetched.body, fetched.url))
        payload = Payload(data=fetched.body)
        return Media(name=shown, parts=(Part(name=shown, extinf_ms=None, load=lambda: nullcontext(payload)),))

    def _of_playlist(self, name: str, playlist: MediaPlaylist | MasterPlaylist) -> Media:
        if isinstance(playlist, MasterPlaylist):
            chosen = choose_rendition(playlist, self._height_pixels)
            others = [other.name for other in playlist.others(chosen.name)]
            others += [video.name for video in playlist.other_videos]
            opened = self._of_playlist(name, self._rendition(chosen.uri))
            return replace(opened, rendition=chosen.name, not_scanned=tuple(others))
        if not playlist.segments:
            raise PlaylistError(f"{name}: expected at least one segment, the playlist lists none")
        inits = _LastInit(self._bytes_of)
        going_on = preceding(playlist.segments, playlist.segments, None)
        parts = (self._part(segment, inits, segment.sequence in going_on) for segment in playlist.segments)
        return Media(name=name, parts=tuple(parts))

    def _rendition(self, uri: str) -> MediaPlaylist:
        if is_url(uri):
            fetched = self._get(uri, max_bytes=MAX_PLAYLIST_BYTES, timeout_seconds=SEGMENT_SECONDS)
            playlist = parse_playlist(fetched.body, fetched.url)
        else:
            playlist = parse_playlist(read_file(Path(uri), max_bytes=MAX_PLAYLIST_BYTES), Path(uri).parent, name=uri)
        if isinstance(playlist, MasterPlaylist):
            raise PlaylistError(f"{without_query(uri)}: expected a media playlist, a master playlist names another one")
        return playlist

    def _part(self, segment: Segment, inits: "_LastInit", goes_on: bool) -> Part:
        @contextmanager
        def load() -> Iterator[Payload]:
            init = b"" if segment.init is None else inits.get(segment.init.uri, segment.init.byte_range)
            yield Payload(data=self._bytes_of(segment.uri, segment.byte_range), init=init)

        refused = "encrypted" if segment.encryption is not None else "origin_gap" if segment.gap else None
        return Part(
            name=without_query(segment.uri),
            extinf_ms=segment.duration_ms,
            load=load,
            refused=refused,
            goes_on=goes_on,
        )

    def _bytes_of(self, uri: str, byte_range: ByteRange | None) -> bytes:
        if is_url(uri):
            return self._get(
                uri, max_bytes=MAX_SEGMENT_BYTES, timeout_seconds=SEGMENT_SECONDS, byte_range=byte_range
            ).body
        if byte_range is None:
            return read_file(Path(uri), max_bytes=MAX_SEGMENT_BYTES)
        return read_range(Path(uri), offset=byte_range.offset, length=byte_range.length)

    def _get(self, url: str, *, max_bytes: int, timeout_seconds: float, byte_range: ByteRange | None = None) -> Fetched:
        return self._fetcher.fetch_sync(
            url, max_bytes=max_bytes, timeout_seconds=timeout_seconds, byte_range=byte_range
        )


class _LastInit:
    """Caches the last init section: neighbouring segments share it."""

    def __init__(self, read: Callable[[str, ByteRange | None], bytes]) -> None:
        self._read = read
        self._kept: tuple[tuple[str, ByteRange | None], bytes] | None = None

    def get(self, uri: str, byte_range: ByteRange | None) -> bytes:
        if self._kept is None or self._kept[0] != (uri, byte_range):
            self._kept = ((uri, byte_range), self._read(uri, byte_range))
        return self._kept[1]


@contextmanager
def _opened(path: Path) -> Iterator[Payload]:
    with open_media(path) as file:
        yield Payload(data=file)


def _head(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""  # reported when it is read


def _looks_like_playlist(name: str, head: bytes) -> bool:
    return name.lower().endswith(_PLAYLIST_ENDINGS) or head.removeprefix(b"\xef\xbb\xbf").startswith(_PLAYLIST_HEAD)


def is_picture(data: bytes | BinaryIO) -> bool:
    """Returns whether it begins as a PNG, JPEG, GIF, BMP, TIFF or WebP does, whatever its name; a pipe counts as a
    video."""
    head = _head_of(data)
    return head.startswith(_PICTURE_HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def picture_bytes(data: bytes | BinaryIO) -> bytes:
    """All of a picture's bytes.

    Raises:
        LocalFileError: there are more than MAX_PICTURE_BYTES.
    """
    content = data if isinstance(data, bytes) else data.read(MAX_PICTURE_BYTES + 1)
    if len(content) > MAX_PICTURE_BYTES:
        raise LocalFileError(f"expected a picture of at most {MAX_PICTURE_BYTES} bytes")
    return content


def _head_of(data: bytes | BinaryIO) -> bytes:
    if isinstance(data, bytes):
        return data[:_HEAD_BYTES]
    if not data.seekable():
        return b""
    start = data.tell()
    head = data.read(_HEAD_BYTES)
    data.seek(start)
    return head
