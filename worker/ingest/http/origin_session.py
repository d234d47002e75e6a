"""The guarded HTTP session: every byte that Livewarden reads from origins comes through `OriginSession.fetch`.

The address that is checked is the address that is connected to: aiohttp calls `GuardedResolver` once a connection and
connects to nothing else, while the Host header and TLS's server name stay those of the URL. Literal addresses never
reach a resolver and are checked before.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from ipaddress import ip_address
from typing import Literal, Self

import aiohttp

from worker.errors import FetchError
from worker.ingest.http.body import BoundedBody
from worker.ingest.http.connections import CleanConnector, GuardedResolver
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resolver import DnsCache, NameServers, Resolve
from worker.ingest.http.resource import ByteRange, Validators
from worker.ingest.http.urls import UrlTarget, join, parse, without_query
from worker.logs.exception_place import place_of
from worker.logs.failure_log import FailureLog

_unexpected = FailureLog(logging.getLogger(__name__))
"""Unexpected errors by type and place."""

MAX_REDIRECTS = 5
"""Hops that `fetch` follows; CDNs use one or two."""

_KEEP_ALIVE_SECONDS = 15.0
"""Above the longest poll delay, so that a stream's playlist keeps its connection."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STATUSES = frozenset(HTTPStatus)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_NUMBER = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
"""A host that a resolver may parse as an IPv4 address (WHATWG URL, "ends in a number"): 2130706433, 127.1 and 0x7f.1
are 127.0.0.1. Only attackers write them."""

Method = Literal["GET", "HEAD"]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The response of an origin."""

    url: str
    """The final URL after redirects; with its query, so not for logs."""
    status: int
    """200 or 206."""
    body: bytes = field(repr=False)
    """Decoded from gzip or deflate; for a byte range, just its bytes. Empty for HEAD."""
    validators: Validators
    content_type: str
    """In lower case, without parameters; empty if not given."""
    seconds: float = 0.0
    """Duration of the fetch, redirects included."""


class OriginSession:
    """A guarded connection pool that belongs to the event loop it was opened in. Use as a context manager."""

    def __init__(
        self, origins: AllowedOrigins, *, resolve: Resolve | None = None, name_servers: Sequence[str] | None = None
    ) -> None:
        """Opens no connection yet.

        Args:
            resolve: replaces name servers.
            name_servers: `address:port` of servers to use instead of the system's.
        """
        self._origins = origins
        self._servers = NameServers(name_servers)
        self._names = DnsCache(self._servers.addresses if resolve is None else resolve)
        self._http = aiohttp.ClientSession(
            connector=CleanConnector(
                resolver=GuardedResolver(origins, self._names),
                use_dns_cache=False,  # `DnsCache` does it, for failures too
                # Callers bound concurrency: a connection that waits for a name would count here, and block others.
                limit=0,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "livewarden"},
            # Proxies and netrc from the environment would bypass the guard.
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # `fetch` bounds the total time, redirects included.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections; may be called twice."""
        await self._http.close()
        await self._names.close()
        await self._servers.close()

    async def settle_name(self, url: str) -> None:
        """Waits, for 2 s at most, until it is known whether name servers answer for the name in `url`.

        Called before a fetch takes one of a bounded number of slots, so that unanswered names hold none.
        """
        # `fetch` raises the errors of a bad URL or name.
        with suppress(FetchError):
            target = parse(url).target
            if not target.is_address:
                await self._names.settle(target.host, target.port)

    async def fetch(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_seconds: float,
        byte_range: ByteRange | None = None,
        method: Method = "GET",
    ) -> Fetched:
        """Fetches `url`, or a byte range of it.

        `max_bytes` bounds the body as sent and as decoded; `timeout_seconds` bounds all of the fetch: resolution,
        redirects, and a body that comes a byte at a time.

        Raises:
            FetchError: for any failure; see its `reason`.
        """
        if byte_range is not None and byte_range.length > max_bytes:
            raise FetchError(f"{without_query(url)}: expected a byte range of at most {max_bytes} bytes", "too_large")
        begin_seconds = time.monotonic()
        try:
            async with asyncio.timeout(timeout_seconds):
                fetched = await self._follow(url, max_bytes=max_bytes, byte_range=byte_range, method=method)
                return replace(fetched, seconds=time.monotonic() - begin_seconds)
        except FetchError:
            raise
        except TimeoutError as error:
            raise FetchError(
                f"{without_query(url)}: expected the complete response within {timeout_seconds:g} s", "timeout"
            ) from error
        except Exception as error:
            # A bug here or in a library, triggered by the origin's data: it fails this fetch alone. No traceback,
            # with which an origin could fill the log.
            kind, place = type(error).__name__, place_of(error)
            text = "%s: a fetch failed with an unexpected error: %s in %s"
            _unexpected.met(f"{kind} {place}", text, without_query(url), kind, place, level=logging.ERROR)
            raise FetchError(f"{without_query(url)}: unexpected error (see the log)", "internal") from None

    async def _follow(self, url: str, *, max_bytes: int, byte_range: ByteRange | None, method: Method) -> Fetched:
        seen = {url}
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._ask(url, max_bytes=max_bytes, byte_range=byte_range, method=method)
            if isinstance(answer, Fetched):
                return answer
            if answer in seen:
                raise FetchError(f"{without_query(answer)}: expected an end of redirects, it loops", "redirect_loop")
            seen.add(answer)
            url = answer
        raise FetchError(f"{without_query(url)}: expected at most {MAX_REDIRECTS} redirects", "redirect_loop")

    async def _ask(self, url: str, *, max_bytes: int, byte_range: ByteRange | None, method: Method) -> Fetched | str:
        """One exchange: the response, or the URL that it redirects to."""
        shown = without_query(url)
        parsed = parse(url)
        self._refuse_literal(parsed.target)
        headers = {} if byte_range is None else {"Range": f"bytes={byte_range.offset}-{byte_range.end - 1}"}
        try:
            async with self._http.request(method, parsed.request, headers=headers, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    return _redirect_target(response, url)
                return await _read(response, url=url, max_bytes=max_bytes, byte_range=byte_range, method=method)
        except aiohttp.ClientConnectorDNSError as error:
            raise FetchError(
                f"{shown}: expected a host name that resolves ({error.os_error})", "unreachable"
            ) from error
        except aiohttp.ClientSSLError as error:
            raise FetchError(f"{shown}: expected a TLS certificate that verifies", "unreachable") from error
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, aiohttp.InvalidURL):
            # Without the cause, whose text is the URL with its query.
            raise FetchError(f"{shown}: expected a complete and well-formed HTTP response", "bad_response") from None
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            reason = type(error).__name__ if number is None else os.strerror(number)
            raise FetchError(f"{shown}: expected a server that can be reached: {reason}", "unreachable") from error
        except (aiohttp.ClientError, OSError) as error:
            raise FetchError(
                f"{shown}: expected a connection that stays ({type(error).__name__})", "unreachable"
            ) from (error)

    def _refuse_literal(self, target: UrlTarget) -> None:
        """Checks a host that is a literal address, for which no resolver is called."""
        if target.is_address:
            if self._origins.permits(target, ip_address(target.host)):
                return
        elif not _NUMBER.fullmatch(target.host):
            return
        raise FetchError(self._origins.refusal(target, ()), "refused_origin")


def _redirect_target(response: aiohttp.ClientResponse, url: str) -> str:
    location = response.headers.get("Location", "")
    if location:
        return join(url, location)
    raise FetchError(f"{without_query(url)}: expected a Location with status {response.status}", "bad_response")


async def _read(
    response: aiohttp.ClientResponse, *, url: str, max_bytes: int, byte_range: ByteRange | None, method: Method
) -> Fetched:
    """Checks status and headers, and reads the body within its bounds."""
    shown = without_query(url)
    status = response.status
    if status != 200 and (status != 206 or byte_range is None):
        # Reasons become fields of ledgers and daily totals: a thousand invented statuses would bury the others.
        known = f"{status}" if status in _STATUSES else f"{status // 100}xx"
        raise FetchError(f"{shown}: expected status 200, the origin answered {status}", f"http_{known}")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    length_bytes = response.content_length if encoding == "identity" else None
    if method == "HEAD":
        body = b""
    elif byte_range is None:
        if response.content_length is not None and response.content_length > max_bytes:
            raise FetchError(f"{shown}: expected at most {max_bytes} bytes", "too_large")
        body = await _read_whole(response, BoundedBody(shown=shown, max_bytes=max_bytes, encoding=encoding))
        if encoding == "identity":
            length_bytes = len(body)  # known even for a chunked body
    else:
        if status == 206:
            length_bytes = _checked_total(response, byte_range, shown)
        body = await _read_range(response, byte_range, BoundedBody(shown=shown, max_bytes=max_bytes, encoding=encoding))
        if len(body) != byte_range.length:
            raise FetchError(
                f"{shown}: expected {byte_range.length} bytes from {byte_range.offset} on, got {len(body)}",
                "bad_response",
            )
    etag = response.headers.get("ETag")
    return Fetched(
        url=url,
        status=status,
        body=body,
        validators=Validators(
            etag=None if etag is None else etag.removeprefix("W/"),
            last_modified=response.headers.get("Last-Modified"),
            length_bytes=length_bytes,
        ),
        content_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
    )


async def _read_whole(response: aiohttp.ClientResponse, body: BoundedBody) -> bytes:
    async for chunk in response.content.iter_any():
        body.feed(chunk)
    return body.finish()


async def _read_range(response: aiohttp.ClientResponse, byte_range: ByteRange, body: BoundedBody) -> bytes:
    """The bytes of the range: all of a 206, or cut from a 200 if the server does not support ranges."""
    if response.status == 206:
        return await _read_whole(response, body)
    async for chunk in response.content.iter_any():
        body.feed(chunk)
        if len(body) >= byte_range.end:
            response.close()  # do not wait for the rest of the resource
            break
    return body.prefix[byte_range.offset : byte_range.end]


def _checked_total(response: aiohttp.ClientResponse, byte_range: ByteRange, shown: str) -> int | None:
    """The length of the complete resource by Content-Range, None if not given; refuses an unrequested part."""
    given = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if given is None or int(given[1]) != byte_range.offset:
        raise FetchError(f"{shown}: expected a Content-Range that starts at {byte_range.offset}", "bad_response")
    return None if given[3] == "*" else int(given[3])
