"""URLs as they may be logged, published and kept: without what lets somebody in."""

import re
from typing import Final

MAX_SHOWN: Final = 200
"""Characters of a URL that are shown: enough to recognise it."""

_AUTHORITY = re.compile(r"(?<=//)[^/\\]*@")
"""What a user and a password may stand in, up to the last @ before the path: browsers and libraries disagree on \\."""


def shown_url(url: str) -> str:
    """`url` without user, password, query and fragment, where signed tokens are; other than printable characters are
    escaped. It need not be a URL that anybody can use: nothing is raised."""
    whole = re.split(r"[?#;]", url, maxsplit=1)[0]
    # Without a slash all of it may be "user:password@host".
    kept = _AUTHORITY.sub("", whole) if "//" in whole else whole.rpartition("@")[2]
    return escaped(kept, limit=MAX_SHOWN)


def escaped(text: str, *, limit: int) -> str:
    """At most `limit` characters of `text`; what steers a terminal or a log (C0, C1, bidi, lone surrogates) is
    escaped as Python would."""
    shown = text[:limit]
    # An escape is up to ten characters long.
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown)[:limit]
