"""HLS playlists as values (RFC 8216): media and master playlists, segments, renditions, and the keys that identify
segments."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from worker.errors import PlaylistError
from worker.ingest.http.resource import ByteRange
from worker.ingest.http.urls import path_of, without_query

_VIDEO_CODECS = ("avc", "hvc", "hev", "dvh", "dva", "av01", "vp8", "vp08", "vp9", "vp09", "mp4v", "mp2v")
"""Beginnings of the names of video codecs in CODECS (RFC 6381)."""


@dataclass(frozen=True, kw_only=True)
class InitSection:
    """The initialization section that a decoder needs before the segment (EXT-X-MAP)."""

    uri: str
    """As `Segment.uri`."""
    byte_range: ByteRange | None = None


LEAST_MS: Final = 1
"""Duration of a segment that states none. What is lost of it would otherwise be no time in the ledger, and no gap."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One entry of a media playlist."""

    sequence: int
    """Media sequence number, >= 0."""
    uri: str
    """Absolute http or https URL; or an absolute path, if the playlist is a local file."""
    duration_ms: int
    """EXTINF in whole milliseconds, >= `LEAST_MS`, so that sums of them are exact."""
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
    long_extinf: bool = False
    """EXTINF exceeded the target duration, which counts instead (`worker.ingest.playlist.capture_time`)."""

    @property
    def name(self) -> str:
        """As `resource_name`."""
        return resource_name(self.uri, self.byte_range)


@dataclass(frozen=True, kw_only=True)
class MediaPlaylist:
    """A list of segments."""

    url: str
    """URL that it was read from; for a file, its folder."""
    target_duration_seconds: float
    """EXT-X-TARGETDURATION, the promised upper bound of segment durations; > 0."""
    segments: tuple[Segment, ...]
    """The segments that were parsed, with consecutive media sequence numbers."""
    ended: bool
    """EXT-X-ENDLIST: no segment will be added."""
    earlier: int = 0
    """Segments listed before `segments`, which were counted and not parsed."""
    later: int = 0
    """Segments listed after `segments`, counted and not parsed; only in a recording."""
    interstitials: tuple[str, ...] = ()
    """Identities of what players show in place of the stream (EXT-X-DATERANGE with X-ASSET-URI or X-ASSET-LIST)."""
    other_videos: tuple[str, ...] = ()
    """Identities of the master playlist's other videos, where it was read through one."""

    @property
    def listed(self) -> int:
        """Number of listed segments."""
        return self.earlier + len(self.segments) + self.later

    @property
    def first_sequence(self) -> int:
        """Media sequence number of the first listed segment; there must be one."""
        return self.segments[0].sequence - self.earlier

    @property
    def last_sequence(self) -> int:
        """Media sequence number of the last listed segment; there must be one."""
        return self.segments[-1].sequence + self.later

    @property
    def parsed_ms(self) -> int:
        """Total duration of `segments`."""
        return sum(segment.duration_ms for segment in self.segments)

    def mean_times(self, count: int) -> int:
        """The mean duration of `segments` times `count`, in milliseconds rounded down."""
        return self.parsed_ms * count // len(self.segments) if self.segments else 0

    @property
    def window_ms(self) -> int:
        """Total duration of all listed segments; those not parsed count as the mean."""
        return self.parsed_ms + self.mean_times(self.earlier + self.later)


@dataclass(frozen=True, kw_only=True)
class Rendition:
    """A media playlist that a master playlist offers."""

    uri: str
    bandwidth: int
    """Peak bits per second; 0 if not given."""
    width_pixels: int | None = None
    height_pixels: int | None = None
    codecs: str = ""
    namesake: int = 1
    """Number among renditions that would have the same name, from 1."""

    @property
    def name(self) -> str:
        """Identifies the rendition in segment keys and within its master playlist."""
        size = f"{self.bandwidth}bps" if self.height_pixels is None else f"{self.width_pixels}x{self.height_pixels}"
        return size if self.namesake == 1 else f"{size}~{self.namesake}"

    @property
    def audio_only(self) -> bool:
        """CODECS is given, and none of them is video."""
        codecs = [codec.strip().lower() for codec in self.codecs.split(",") if codec.strip()]
        return self.height_pixels is None and bool(codecs) and not any(c.startswith(_VIDEO_CODECS) for c in codecs)


@dataclass(frozen=True, kw_only=True)
class OtherVideo:
    """A media playlist that players may show in place of a rendition's pictures."""

    uri: str
    """Absolute URL; or as written, if that cannot be fetched."""
    identity: str
    """12 hexadecimal digits, by path, and a number among those of one path."""

    @property
    def name(self) -> str:
        """As `Rendition.name`."""
        return f"video-{self.identity}"


@dataclass(frozen=True, kw_only=True)
class MasterPlaylist:
    """A list of renditions, without I-frame playlists (EXT-X-I-FRAME-STREAM-INF)."""

    url: str
    renditions: tuple[Rendition, ...]
    other_videos: tuple[OtherVideo, ...] = ()

    def others(self, watched: str) -> list[Rendition]:
        """The playlists with pictures that are not those of the rendition of that name, each by its first rendition."""
        first: dict[str, Rendition] = {}
        for rendition in self.renditions:
            if not rendition.audio_only:
                first.setdefault(rendition.uri, rendition)
        seen = {rendition.uri for rendition in self.renditions if rendition.name == watched}
        return [rendition for uri, rendition in first.items() if uri not in seen]


def choose_rendition(
    master: MasterPlaylist, height_pixels: int, *, tried: Mapping[str, int] = MappingProxyType({})
) -> Rendition:
    """The smallest rendition at or above `height_pixels`; else the highest; else, without any RESOLUTION, the one of
    the lowest bandwidth. Among equal heights the lowest bandwidth wins.

    Args:
        tried: rendition name to the time at which it failed. Untried renditions come first; if all were tried, the one
            tried first is chosen again.

    Raises:
        PlaylistError: all of them are audio only.
    """
    candidates = [rendition for rendition in master.renditions if not rendition.audio_only]
    if not candidates:
        raise PlaylistError(f"{without_query(master.url)}: expected a rendition with video, got audio only")
    return min(candidates, key=lambda one: (tried.get(one.name, -1), *_cost(one, height_pixels)))


def _cost(rendition: Rendition, height_pixels: int) -> tuple[int, int, int]:
    """Sort key of renditions, the preferred first."""
    height = rendition.height_pixels
    if height is None:
        return 2, 0, rendition.bandwidth
    return (0, height, rendition.bandwidth) if height >= height_pixels else (1, -height, rendition.bandwidth)


def resource_name(uri: str, byte_range: ByteRange | None) -> str:
    """32 hexadecimal digits that identify the resource: path and byte range, without host and query.

    CDNs change hosts, and signed URLs change their query, from one poll to the next.
    """
    part = "" if byte_range is None else f"\n{byte_range.offset}+{byte_range.length}"
    return hashlib.sha256(f"{path_of(uri)}{part}".encode(errors="surrogatepass")).hexdigest()[:32]


def segment_key(*, generation: int, epoch: int, rendition: str, sequence: int, name: str) -> str:
    """Identity of a segment within its stream; the same key is never moderated twice.

    `generation` counts the registrations of the stream, `epoch` the restarts of its origin.
    """
    return f"{generation}.{epoch}.{rendition}.{sequence}.{name}"


def rendition_of(key: str) -> str:
    """The rendition name in a key made by `segment_key`."""
    return key.split(".", 2)[2].rsplit(".", 2)[0]
