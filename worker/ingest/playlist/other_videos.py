"""Other videos of a master playlist (EXT-X-MEDIA of TYPE=VIDEO with a URI: RFC 8216, section 4.3.4.1). AVPlayer shows
one in place of a rendition's pictures, as the viewer chooses. It is in no segment of a rendition, so that nobody would
know of it."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Final

from worker.errors import PlaylistError
from worker.ingest.playlist.hls import OtherVideo, resource_name

MAX_OTHER_VIDEOS: Final = 64
"""The first of a playlist, and the newest of a stream that are remembered; a broadcast of sports has some ten."""

_MAX_TAGS, _MAX_URIS = 2_000, 2_000
"""The first that may be of a video, and the first of their URIs, in 50 ms of CPU; a hostile playlist of 2 MB has
100,000 tags, or 300,000 URIs in a few."""

_TAG: Final = re.compile(
    r"(?:^|[\r\u2028\u2029])[^\S\n]*+#EXT-X-MEDIA[^\S\n]*+:(?=[^\n]*VIDEO)([^\n]{0,8192})([^\n]?)",
    re.IGNORECASE | re.MULTILINE,
)
"""Its attributes, and what is left of them."""
_ATTRIBUTES: Final = (
    re.compile(r'(?:^|,)((?:[^,="]++|"[^"]*+"?+)*+)=((?:[^,"]++|"[^"]*+"?+)*+)'),
    re.compile(r'(?:^|,)([^,=]*+)=(\s*+"[^"]*+"?+|[^,]*+)'),
)
"""Name and value, with quotes wherever they stand, and with those alone that open a value."""


def other_videos(text: str, variants: Collection[str], resolve: Callable[[str], str]) -> tuple[OtherVideo, ...]:
    """Returns the other videos of a master playlist, each once, in its order.

    Players read malformed tags in one way or another: of attributes that are there twice each counts, and so does a URI
    that cannot be fetched. Where there is too much to read, the rest counts as one more video, without a URI.

    Args:
        variants: absolute URIs of its renditions with pictures, which are no others.
        resolve: gives the absolute URI; raises PlaylistError where there is none.
    """
    found: dict[str, OtherVideo] = {}
    named: Counter[str] = Counter()
    is_unread = False
    for number, uri in enumerate(_uris(text)):
        is_unread |= uri is None or number == _MAX_URIS
        if number == _MAX_URIS:
            break
        absolute = None if uri is None else _absolute(uri, resolve)
        if absolute is None or absolute in found or absolute in variants:
            continue
        if len(found) == MAX_OTHER_VIDEOS:
            break
        name = resource_name(absolute, None)[:12]
        named[name] += 1
        found[absolute] = OtherVideo(uri=absolute, identity=name if named[name] == 1 else f"{name}~{named[name]}")
    unread = (OtherVideo(uri="", identity="unread"),) if is_unread else ()
    return (*found.values(), *unread)[:MAX_OTHER_VIDEOS]


def _uris(text: str) -> Iterator[str | None]:
    """The URIs of videos, as written; None: there is more than is read."""
    for number, tag in enumerate(_TAG.finditer(text)):
        if number == _MAX_TAGS:
            yield None
            return
        yield from _uris_of(tag[1])
        if tag[2]:
            yield None


def _uris_of(attributes: str) -> Iterator[str]:
    """The URIs of a tag, if its type is VIDEO."""
    pairs = dict.fromkeys(pair for reading in _ATTRIBUTES for pair in reading.findall(attributes))
    values = [(name.strip().upper(), value.strip().strip('"').strip()) for name, value in pairs]
    if any(name == "TYPE" and value.upper() == "VIDEO" for name, value in values):
        yield from (value for name, value in values if name == "URI" and value)


def _absolute(uri: str, resolve: Callable[[str], str]) -> str:
    try:
        return resolve(uri)
    except PlaylistError:
        return uri
