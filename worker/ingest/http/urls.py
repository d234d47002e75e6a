"""URLs of streams, which are hostile. They are parsed here and nowhere else in `worker/`.

Libraries refuse a URL with many exceptions (ValueError, UnicodeError, IndexError, KeyError, …), which differ by
release. All of them become a FetchError `bad_url` here, so that a bad URL fails one stream only.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple, NoReturn, TypeVar
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from yarl import URL

from worker.errors import FetchError
from worker.logs.printable import printable

MAX_SHOWN_CHARACTERS = 300
"""Limit for a URL in a text for people; a hostile one has megabytes."""

_SCHEMES = frozenset({"http", "https"})
_HOST_NAME = re.compile(r"(?!.{254})[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
"""Labels of 1 to 63 characters, 253 in all (RFC 1035 section 2.3.4), and the underscore of internal names."""
_PORT = re.compile(r"[0-9]{0,5}")
"""An empty one is the scheme's own (RFC 3986 section 3.2.3)."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_LEGAL_IN_URL = "%/:=&?~+!$,;'@()*[]|"
"""Kept as written: a signature may cover the URL's bytes, so legal characters are not re-encoded."""

_T = TypeVar("_T")


class Parts(NamedTuple):
    """The parts of a URL or a relative reference."""

    scheme: str
    """Lower case; empty: a relative reference."""
    authority: str
    path: str
    query: str


@dataclass(frozen=True, kw_only=True)
class UrlTarget:
    """The host and port that a URL leads to."""

    host: str
    """Lower case, IDNA-encoded, without a trailing dot or brackets: a well-formed host name, or an IP address."""
    port: int
    """1 to 65535."""

    @property
    def is_address(self) -> bool:
        """The host is an IP address, which needs no name server."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class WebUrl:
    """A well-formed URL to fetch; whether its target is allowed is not checked."""

    target: UrlTarget
    request: URL
    """For aiohttp; path and query are unchanged, except that illegal characters are percent-encoded."""


def split(url: str) -> Parts:
    """Splits a URL or a relative reference.

    Raises:
        FetchError: `bad_url`.
    """
    scheme, authority, path, query, _ = _translated(lambda: urlsplit(url), url)
    return Parts(scheme=scheme, authority=authority, path=path, query=query)


def join(base: str, reference: str) -> str:
    """Resolves `reference`, from a playlist or a redirect, against the URL `base`; the result has no lone surrogates.

    Raises:
        FetchError: `bad_url`.
    """
    # aiohttp decodes non-UTF-8 bytes of a Location to surrogates, which neither JSON nor Redis accepts.
    clean = _SURROGATE.sub(_percent_encoded, reference)
    return _translated(lambda: urljoin(base, clean), reference)


def parse(url: str) -> WebUrl:
    """Parses a URL to fetch.

    Raises:
        FetchError: `bad_url`, if it is not absolute, not http or https, has no well-formed host or port, or has user
            information.
    """
    return _translated(lambda: _parsed(url), url)


def target_of(url: str) -> UrlTarget:
    """The target of a well-formed URL.

    Raises:
        FetchError: as `parse`.
    """
    return parse(url).target


def normal_host(host: str) -> str | None:
    """The canonical spelling of a host: lower case, without a trailing dot, with IPv6 addresses compressed.

    None: it is neither a well-formed name nor an address. An address with a zone (`fe80::1%eth0`) is valid on one
    machine only, and refused.
    """
    try:
        return _normal(URL.build(scheme="http", host=host).raw_host or "")
    except Exception:
        return None


def without_query(url: str, *, most: int = MAX_SHOWN_CHARACTERS) -> str:
    """`url` as it may be logged: without query, fragment and user, which hold signed tokens and passwords.

    The result is one line of printable characters, cut to `most` of them. Never fails.
    """
    try:
        parts = split(url)
        if not parts.authority and "@" in parts.path:
            # The scheme is missing: all of it may be "user:password@host".
            return _cut(parts.path.rpartition("@")[2], most)
        named = (parts.scheme, parts.authority.rpartition("@")[2], parts.path, "", "")
        shown = _translated(lambda: urlunsplit(named), url)
    except FetchError:
        shown = _without_query_unparsed(url)
    return _cut(shown, most)


def scheme_of(text: str) -> str:
    """The scheme in lower case; empty if there is none, or `text` cannot be parsed. Never fails."""
    try:
        return split(text).scheme
    except FetchError:
        return ""


def path_of(url: str) -> str:
    """The path; if `url` cannot be parsed, all before the query. Never fails."""
    try:
        return split(url).path
    except FetchError:
        return _before_query(url)


def _parsed(url: str) -> WebUrl:
    # One parser decides on host and port: two that see different hosts in one URL would open a way around the guard.
    parsed = URL(url)
    scheme, port = parsed.scheme, parsed.port
    if scheme not in _SCHEMES or not parsed.raw_host or not port:
        _refuse(url, "an absolute http or https URL")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        _refuse(url, "a URL without user and password")
    host = _normal(parsed.raw_host)
    if host is None:
        _refuse(url, "a well-formed host name or address")
    target = UrlTarget(host=host, port=port)
    _, authority, path, query, _ = urlsplit(url)
    # int() accepts digits of all scripts, signs and spaces; a port that parsers read differently is refused.
    _, colon, digits = authority.rpartition("@")[2].rpartition("]")[2].partition(":")
    if colon and not _PORT.fullmatch(digits):
        _refuse(url, "a port of digits")
    path = quote(path, safe=_LEGAL_IN_URL, errors="surrogateescape")
    query = quote(query, safe=_LEGAL_IN_URL, errors="surrogateescape")
    return WebUrl(
        target=target,
        request=URL(f"{scheme}://{target}{path or '/'}{'?' if query else ''}{query}", encoded=True),
    )


def _normal(raw_host: str) -> str | None:
    bare = raw_host.lower().removesuffix(".")
    try:
        return None if "%" in bare else str(ip_address(bare))
    except ValueError:
        return bare if _HOST_NAME.fullmatch(bare) else None


def _percent_encoded(surrogate: re.Match[str]) -> str:
    # The byte that the surrogate stands for, or else U+FFFD.
    return quote(surrogate[0].encode(errors="surrogateescape") if "\udc80" <= surrogate[0] <= "\udcff" else "\ufffd")


def _translated(work: Callable[[], _T], url: str) -> _T:
    """The result of `work`; any exception becomes FetchError `bad_url`."""
    try:
        return work()
    except FetchError:
        raise
    except Exception:
        # Without the cause, whose text may contain the URL's query, user or password.
        shown = _without_query_unparsed(url)
    raise FetchError(f"{_cut(shown)}: expected a well-formed URL", "bad_url")


def _before_query(url: str) -> str:
    return re.split("[?#]", url, maxsplit=1)[0]


def _without_query_unparsed(url: str) -> str:
    before, slashes, rest = _before_query(url).partition("//")
    return f"{before if slashes else before.rpartition('@')[2]}{slashes}{rest.rpartition('@')[2]}"


def _cut(shown: str, most: int = MAX_SHOWN_CHARACTERS) -> str:
    text = printable(shown[: most + 1])
    return text if len(text) <= most else f"{text[:most]}…"


def _refuse(url: str, expected: str) -> NoReturn:
    raise FetchError(f"{without_query(url)}: expected {expected}", "bad_url")
