"""What a playlist says, as values (RFC 8216): media and master playlists, segments, renditions, and what they are told
apart by."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from worker.errors import PlaylistError
from worker.fetching.resource import ByteRange
from worker.fetching.urls import path_of, without_query

_VIDEO_CODECS = ("avc", "hvc", "hev", "dvh", "dva", "av01", "vp8", "vp08", "vp9", "vp09", "mp4v", "mp2v")
"""How the names of video codecs start in CODECS (RFC 6381)."""


@dataclass(frozen=True, kw_only=True)
class InitSection:
    """What a decoder needs before the segment (EXT-X-MAP)."""

    uri: str
    """As `Segment.uri`."""
    byte_range: ByteRange | None = None


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One entry of a media playlist."""

    sequence: int
    """Media sequence number, >= 0."""
    uri: str
    """Absolute http or https URL; or an absolute path, if the playlist is a file of this machine."""
    duration_ms: int
    """EXTINF in whole milliseconds, >= 0, so that sums of them are exact."""
    byte_range: ByteRange | None = None
    init: InitSection | None = None
    discontinuity: bool = False
    """An attribute, not part of the segment's identity: servers write it without its sequence number."""
    program_date_time: datetime | None = None
    """Wall clock of the first picture as the origin has it; it may be wrong or missing."""
    encryption: str | None = None
    """EXT-X-KEY's METHOD, such as AES-128 or SAMPLE-AES; None: in the clear."""
    gap: bool = False
    """The origin says that it does not have this segment (EXT-X-GAP)."""

    @property
    def duration_seconds(self) -> float:
        return self.duration_ms / 1000

    @property
    def name(self) -> str:
        """32 hexadecimal digits that name the bytes meant: path and byte range, without host and query.

        Content networks change hosts, and signed URLs change their query, from one poll to the next.
        """
        part = "" if self.byte_range is None else f"\n{self.byte_range.offset}+{self.byte_range.length}"
        return hashlib.sha256(f"{path_of(self.uri)}{part}".encode(errors="surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class MediaPlaylist:
    """A list of segments."""

    url: str
    """Where it was read from; for a file, its folder."""
    target_duration_seconds: float
    """Upper bound of the segments' durations, as promised; > 0."""
    segments: tuple[Segment, ...]
    ended: bool
    """EXT-X-ENDLIST: nothing will be added."""

    @property
    def window_ms(self) -> int:
        """Durations of all that is listed."""
        return sum(segment.duration_ms for segment in self.segments)


@dataclass(frozen=True, kw_only=True)
class Rendition:
    """A media playlist that a master playlist offers."""

    uri: str
    bandwidth: int
    """Peak bits per second; 0 where not told."""
    width_pixels: int | None = None
    height_pixels: int | None = None
    codecs: str = ""

    @property
    def name(self) -> str:
        """Names it in segment keys."""
        if self.height_pixels is None:
            return f"{self.bandwidth}bps"
        return f"{self.width_pixels}x{self.height_pixels}"

    @property
    def audio_only(self) -> bool:
        """Its CODECS are told, and none of them is video."""
        codecs = [codec.strip().lower() for codec in self.codecs.split(",") if codec.strip()]
        return self.height_pixels is None and bool(codecs) and not any(c.startswith(_VIDEO_CODECS) for c in codecs)


@dataclass(frozen=True, kw_only=True)
class MasterPlaylist:
    """A list of renditions, those of keyframes only (EXT-X-I-FRAME-STREAM-INF) left out."""

    url: str
    renditions: tuple[Rendition, ...]


def choose_rendition(master: MasterPlaylist, height_pixels: int) -> Rendition:
    """The smallest rendition at or above `height_pixels`; else the highest; else, without any RESOLUTION, the one of
    the lowest bandwidth. Of equal ones the cheapest.

    Raises:
        PlaylistError: all of them are audio only.
    """
    candidates = [rendition for rendition in master.renditions if not rendition.audio_only]
    if not candidates:
        raise PlaylistError(f"{without_query(master.url)}: expected a rendition with video, got audio only")
    sized = [(rendition.height_pixels, rendition) for rendition in candidates if rendition.height_pixels is not None]
    if not sized:
        return min(candidates, key=lambda rendition: rendition.bandwidth)
    heights = [height for height, _ in sized]
    wanted = min((height for height in heights if height >= height_pixels), default=max(heights))
    return min((rendition for height, rendition in sized if height == wanted), key=lambda found: found.bandwidth)


def segment_key(*, generation: int, epoch: int, rendition: str, segment: Segment) -> str:
    """Identity of a segment within its stream; the same key is never moderated twice.

    `generation` counts the times that the stream was watched anew, `epoch` the times that its origin started over.
    """
    return f"{generation}.{epoch}.{rendition}.{segment.sequence}.{segment.name}"
