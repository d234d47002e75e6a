"""What is taken out of each text that is logged: users, passwords and tokens in URLs, and what is endless.

Our own texts quote URLs without them already (`worker.fetching.urls.without_query`). Those of libraries, and of
messages that a library quotes, do not.
"""

from typing import Final

from worker.printable import printable

MAX_CHARACTERS: Final = 4_000
"""Of one text; hostile names and messages have megabytes."""

HIDDEN_USER: Final = "**@"
HIDDEN_QUERY: Final = "?…"


def loggable(text: str) -> str:
    """`text` on one line of visible characters, cut to `MAX_CHARACTERS`, its URLs without user and query."""
    cut = text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
    return without_secrets(printable(cut))


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
        if at and not user.endswith(":**"):
            word = f"{scheme}://{HIDDEN_USER}{host}"
    path, mark, query = word.partition("?")
    return f"{path}{HIDDEN_QUERY}" if mark and (slashes or "=" in query) else word
