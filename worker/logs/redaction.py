"""What is taken out of each text that is logged: users, passwords and tokens in URLs, and what is endless.

Our own texts quote URLs without them already (`worker.ingest.http.urls.without_query`). Those of libraries, and of
messages that a library quotes, do not.
"""

import re
from typing import Final

from worker.logs.printable import printable

MAX_CHARACTERS: Final = 4_000
"""Of one text; hostile names and messages have megabytes."""

MAX_READ_CHARACTERS: Final = 16_000
"""Of one text, before secrets are taken out and it is cut: more than the longest URL that anybody serves."""

_SHORT_QUERY_CHARACTERS: Final = 8
"""What follows the `?` of a word that is no URL, and has no `=`, is shown up to this length (<=): text, not a token."""

_PASSWORD_HIDDEN: Final = re.compile(r"[^:@/]*:\*\*")
"""User and password of a URL as kombu shows them."""

HIDDEN_USER: Final = "**@"
HIDDEN_QUERY: Final = "?…"


def loggable(text: str, most_characters: int = MAX_CHARACTERS) -> str:
    """`text` on one line of visible characters, its URLs without user and query, cut to `most_characters`.

    The cut comes last: a URL that is cut before its `@` looks like one without a password.
    """
    read = text[:MAX_READ_CHARACTERS]
    shown = without_secrets(printable(read if len(read) == len(text) else f"{_without_unfinished_url(read)}…"))
    return shown if len(shown) <= most_characters + 1 else f"{shown[:most_characters]}…"


def _without_unfinished_url(read: str) -> str:
    """`read`, which was cut, without what its last word has behind a scheme: the `@` may have stood beyond the cut."""
    before, space, word = read.rpartition(" ")
    scheme, slashes, _ = word.partition("://")
    return f"{before}{space}{scheme}{slashes}"


def without_secrets(line: str) -> str:
    """One line of visible characters, its URLs and relative references without user and query.

    What follows a query up to the next space goes too: where a URL ends that others quoted, nobody knows.
    """
    if "://" not in line and "?" not in line:
        return line
    return " ".join(_cleaned(word) for word in line.split(" "))


def _cleaned(word: str) -> str:
    scheme, slashes, rest = word.partition("://")
    if slashes:
        user, at, host = rest.rpartition("@")
        # kombu has hidden the password, and the user's name is no secret.
        if at and not _PASSWORD_HIDDEN.fullmatch(user):
            word = f"{scheme}://{HIDDEN_USER}{host}"
    path, mark, query = word.partition("?")
    is_query = slashes or "=" in query or len(query) > _SHORT_QUERY_CHARACTERS
    return f"{path}{HIDDEN_QUERY}" if mark and is_query else word
