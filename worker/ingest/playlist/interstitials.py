"""Interstitials of a playlist (HLS, 2nd edition, appendix D): AVPlayer and hls.js show what they name in place of the
stream, or between two of its pictures. It is in no segment, so that nobody would know of it."""

import hashlib
import re
from typing import Final

MAX_INTERSTITIALS: Final = 64
"""The last in a playlist; a break of advertisements has some ten."""

_MAX_TAGS: Final = 500
"""The last that are read, of a hostile playlist of 2 MB."""
_MAX_CHARACTERS: Final = 8_192
_MAX_INDENT: Final = 64
_NAME: Final = "#EXT-X-DATERANGE:"
_ASSET: Final = re.compile(r"(?:^|[,\s])X-ASSET-(?:URI|LIST)\s*=")
_QUOTED: Final = re.compile(r'"[^"]*"')
_IDENTITY: Final = re.compile(r'(?:^|[,\s])(?:ID|START-DATE)\s*=\s*("[^"]*")')


def interstitials(text: str) -> tuple[str, ...]:
    """Returns an identity of each interstitial that a playlist names, the last first: 12 hexadecimal digits, by ID and
    START-DATE."""
    found: dict[str, None] = {}
    at = len(text)
    for _ in range(_MAX_TAGS):
        at = text.rfind(_NAME, 0, at)
        if at < 0 or len(found) == MAX_INTERSTITIALS:
            break
        attributes = text[at + len(_NAME) : at + _MAX_CHARACTERS].partition("\n")[0]
        _, line_break, indent = text[max(0, at - _MAX_INDENT) : at].rpartition("\n")
        if line_break and not indent.strip() and _ASSET.search(_QUOTED.sub('""', attributes)):
            named = "\n".join(_IDENTITY.findall(attributes))
            found[hashlib.sha256(named.encode(errors="surrogatepass")).hexdigest()[:12]] = None
    return tuple(found)
