"""Requests that change something come from the desk's own pages."""

from collections.abc import Mapping
from typing import Final

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def is_same_origin(method: str, headers: Mapping[str, str], origin: str) -> bool:
    """Returns whether a request may go on: a safe method, or one that a page of `origin` sent.

    Browsers send Origin or Sec-Fetch-Site with each of those; what has neither is no browser, and nothing else has a
    reason to send forms here. This holds for forms before sign-in, too, which no session's token guards.
    """
    if method in SAFE:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    sent = headers.get("origin")
    return sent == origin if sent is not None else site is not None


def local_path(path: str) -> str:
    """The path to go to after sign-in, if it is one of this desk; else `/`. Browsers read `//host` and `/\\host` as
    another site, and drop tabs and line breaks."""
    printable = path.isascii() and path.isprintable() and " " not in path
    return path if printable and path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
