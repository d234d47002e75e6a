"""Redacts logged text: removes users, passwords and tokens from URLs, and cuts it.

Livewarden's own texts quote URLs without them already (`worker.ingest.http.urls.without_query`). Texts of libraries,
and of messages that a library quotes, do not.
"""

import re
from typing import Final

from worker.logs.printable import printable

MAX_CHARACTERS: Final = 4_000
"""Limit for one text; hostile names and messages have megabytes."""

MAX_READ_CHARACTERS: Final = 16_000
"""Limit for one text, read before it is redacted and cut: more than the longest URL in use."""

_SHORT_QUERY_CHARACTERS: Final = 8
"""Up to this length (<=), text after the `?` of a word that is no URL and has no `=` is shown: it is no token."""

_PASSWORD_HIDDEN: Final = re.compile(r"[^:@/]*:\*\*")
"""User and password of a URL as masked by kombu."""

HIDDEN_USER: Final = "**@"
HIDDEN_QUERY: Final = "?…"


def loggable(text: str, most_characters: int = MAX_CHARACTERS) -> str:
    """`text` on one line of printable characters, its URLs without user and query, cut to `most_characters`.

    The cut comes last: a URL that is cut before its `@` looks like one without a password.
    """
    read = text[:MAX_READ_CHARACTERS]
    shown = without_secrets(printable(read if len(read) == len(text) else f"{_without_unfinished_url(read)}…"))
    return shown if len(shown) <= most_characters + 1 else f"{shown[:most_characters]}…"


def _without_unfinished_url(read: str) -> str:
    """`read`, which was cut, without the part of its last word after a scheme: the `@` may have been cut off."""
    before, space, word = read.rpartition(" ")
    scheme, slashes, _ = word.partition("://")
    return f"{before}{space}{scheme}{slashes}"


def without_secrets(line: str) -> str:
    """One line of printable characters, with its URLs and relative references without user and query.

    Everything up to the next space is removed with the query, since the end of a quoted URL is not known.
    """
    if "://" not in line and "?" not in line:
        return line
    return " ".join(_cleaned(word) for word in line.split(" "))


def _cleaned(word: str) -> str:
    scheme, slashes, rest = word.partition("://")
    if slashes:
        user, at, host = rest.rpartition("@")
        # kombu has masked the password, and the user's name is no secret.
        if at and not _PASSWORD_HIDDEN.fullmatch(user):
            word = f"{scheme}://{HIDDEN_USER}{host}"
    path, mark, query = word.partition("?")
    is_query = slashes or "=" in query or len(query) > _SHORT_QUERY_CHARACTERS
    return f"{path}{HIDDEN_QUERY}" if mark and is_query else word
