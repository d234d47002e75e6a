"""Other videos of a master playlist (EXT-X-MEDIA of TYPE=VIDEO with a URI: RFC 8216, section 4.3.4.1). AVPlayer shows
one in place of a rendition's pictures, as the viewer chooses. It is in no segment of a rendition, so that nobody would
know of it."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Final

from worker.errors import PlaylistError
from worker.ingest.playlist.hls import OtherVideo, resource_name

MAX_OTHER_VIDEOS: Final = 64
"""The first of a playlist, and the newest of a stream that are remembered; a broadcast of sports has some ten."""

_MAX_TAGS: Final = 2_000
"""The first that may be of a video, in 50 ms of CPU; a hostile playlist of 2 MB has 100,000."""

_TAG: Final = re.compile(
    r"^[^\S\n]*+#EXT-X-MEDIA[^\S\n]*+:(?=[^\n]*VIDEO)([^\n]{0,8192})", re.IGNORECASE | re.MULTILINE
)
_ATTRIBUTE: Final = re.compile(r'(?:[^,"]++|"[^"]*+"?+)++')


def other_videos(text: str, variants: Collection[str], resolve: Callable[[str], str]) -> tuple[OtherVideo, ...]:
    """Returns the other videos of a master playlist, each once, in its order.

    Players read malformed tags in one way or another: of attributes that are there twice each counts, and so does a URI
    that cannot be fetched. Where there are too many tags to read, the rest counts as one more video, without a URI.

    Args:
        variants: absolute URIs of its renditions, which are no others.
        resolve: gives the absolute URI; raises PlaylistError where there is none.
    """
    found: dict[str, OtherVideo] = {}
    named: Counter[str] = Counter()
    tags = _TAG.finditer(text)
    for tag in islice(tags, _MAX_TAGS):
        for uri in _uris(tag[1]):
            absolute = _absolute(uri, resolve)
            if absolute in found or absolute in variants:
                continue
            if len(found) == MAX_OTHER_VIDEOS:
                return tuple(found.values())
            name = resource_name(absolute, None)[:12]
            named[name] += 1
            found[absolute] = OtherVideo(uri=absolute, identity=name if named[name] == 1 else f"{name}~{named[name]}")
    unread = () if next(tags, None) is None else (OtherVideo(uri="", identity="unread"),)
    return (*found.values(), *unread)[:MAX_OTHER_VIDEOS]


def _uris(attributes: str) -> Iterator[str]:
    """The URIs of a tag, if its type is VIDEO."""
    pairs = [part.partition("=") for part in _ATTRIBUTE.findall(attributes)]
    values = [(name.strip().upper(), value.strip().strip('"').strip()) for name, _, value in pairs]
    if any(name == "TYPE" and value.upper() == "VIDEO" for name, value in values):
        yield from (value for name, value in values if name == "URI" and value)


def _absolute(uri: str, resolve: Callable[[str], str]) -> str:
    try:
        return resolve(uri)
    except PlaylistError:
        return uri
