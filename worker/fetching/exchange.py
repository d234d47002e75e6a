"""The one way to an origin: every byte that livewarden reads from a network comes through `OriginSession.fetch`.

The address that was judged is the address that is connected to: aiohttp asks `_GuardedResolver` once a connection and
connects to nothing else, while the Host header and TLS's server name stay those of the URL. Addresses written as hosts
never reach a resolver and are judged before.
"""

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from worker.errors import FetchError
from worker.fetching.body import BoundedBody
from worker.fetching.origins import Address, AllowedOrigins, Target, target_of
from worker.fetching.resource import ByteRange, Validators, without_query

MAX_REDIRECTS = 5
"""Hops followed by hand; content networks use one or two."""

_DNS_CACHE_SECONDS = 10
"""A batch that opens many connections to one host asks once; short enough to follow an origin that moves."""

_MAX_CONNECTIONS = 64
"""Open to all origins together; above what one poll batch asks for at once."""

_KEEP_ALIVE_SECONDS = 15.0
"""Above the longest poll delay, so that a stream's playlist keeps its connection."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_LEGAL_IN_URL = "%/:=&?~+!$,;'@()*[]|"
"""Kept as written. A signature covers the URL's bytes, so that what is legal is not spelled anew."""

Method = Literal["GET", "HEAD"]
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Gives the addresses of (host, port); raises OSError where there are none."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What an origin answered."""

    url: str
    """Where the bytes came from in the end, after redirects; with its query, so not for logs."""
    status: int
    """200 or 206."""
    body: bytes = field(repr=False)
    """Decoded of gzip or deflate; of a byte range, just its bytes. Empty for HEAD."""
    validators: Validators
    content_type: str
    """In lower case, without parameters; empty where none was given."""
    seconds: float = 0.0
    """How long it took, redirects included."""


async def resolve_by_system(host: str, port: int) -> Sequence[Address]:
    """Asks the machine's resolver, in a thread."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(sockaddr[0])) for *_, sockaddr in found]


def _family_of(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET


class _GuardedResolver(AbstractResolver):
    """Resolves once, and gives only addresses that may be connected to."""

    def __init__(self, origins: AllowedOrigins, resolve: Resolve) -> None:
        self._origins = origins
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._resolve(host, port)
        target = Target(host=host.lower().removesuffix("."), port=port)
        permitted = [address for address in addresses if self._origins.permits(target, address)]
        if not permitted:
            # Not an OSError, which aiohttp would take for a name server's failure. The address is not told: to whoever
            # named the URL it would answer questions about our own network.
            raise FetchError(f"{host}:{port} is refused: expected {self._origins.expected}", "refused_origin")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=_family_of(address),
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in permitted
            if family in {socket.AF_UNSPEC, _family_of(address)}
        ]

    async def close(self) -> None:
        """There is nothing to close."""


class _CleanConnector(aiohttp.TCPConnector):
    """Reuses a connection only if nothing has come on it that was not asked for.

    aiohttp looks at that when it gives a connection back, which is too early where bytes follow the declared length in
    the same read: the body's end gives the connection back before the rest is parsed. The rest would be taken for the
    answer to the next request, which may be another stream's.
    """

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None


class OriginSession:
    """A pool of guarded connections that belongs to the event loop it was opened in. Use as a context manager."""

    def __init__(self, origins: AllowedOrigins, *, resolve: Resolve = resolve_by_system) -> None:
        self._origins = origins
        self._http = aiohttp.ClientSession(
            connector=_CleanConnector(
                resolver=_GuardedResolver(origins, resolve),
                limit=_MAX_CONNECTIONS,
                ttl_dns_cache=_DNS_CACHE_SECONDS,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "livewarden"},
            # Proxies and netrc of the environment would lead around the guard.
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # The time of a whole fetch, redirects included, is bounded in `fetch`.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections; may be called twice."""
        await self._http.close()

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

        `max_bytes` bounds the body as sent and as decoded; `timeout_seconds` bounds all of it: resolution, redirects,
        and a body that comes a byte at a time.

        Raises:
            FetchError: whatever went wrong; see its `reason`.
        """
        if byte_range is not None and byte_range.length > max_bytes:
            raise FetchError(f"{without_query(url)}: expected a byte range of at most {max_bytes} bytes", "too_large")
        begin_seconds = time.monotonic()
        try:
            async with asyncio.timeout(timeout_seconds):
                fetched = await self._follow(url, max_bytes=max_bytes, byte_range=byte_range, method=method)
                return replace(fetched, seconds=time.monotonic() - begin_seconds)
        except TimeoutError as error:
            raise FetchError(
                f"{without_query(url)}: expected the whole answer within {timeout_seconds:g} s", "timeout"
            ) from error

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
        """One exchange: the answer, or the URL that it redirects to."""
        shown = without_query(url)
        target = target_of(url)
        self._refuse_literal(target)
        headers = {} if byte_range is None else {"Range": f"bytes={byte_range.offset}-{byte_range.end - 1}"}
        try:
            async with self._http.request(method, _as_written(url), headers=headers, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    return _redirect_target(response, url)
                return await _read(response, url=url, max_bytes=max_bytes, byte_range=byte_range, method=method)
        except aiohttp.ClientConnectorDNSError as error:
            raise FetchError(f"{shown}: expected a host name that resolves", "unreachable") from error
        except aiohttp.ClientSSLError as error:
            raise FetchError(f"{shown}: expected a TLS certificate that verifies", "unreachable") from error
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, aiohttp.InvalidURL):
            # Without the cause, whose text is the URL with its query.
            raise FetchError(f"{shown}: expected a whole and well-formed HTTP answer", "bad_response") from None
        except (aiohttp.ClientError, OSError) as error:
            raise FetchError(
                f"{shown}: expected a connection that stays ({type(error).__name__})", "unreachable"
            ) from (error)

    def _refuse_literal(self, target: Target) -> None:
        """Judges a host that is an address, for which no resolver is asked."""
        try:
            address = ip_address(target.host)
        except ValueError:
            if not target.host.replace(".", "").isdigit():
                return  # a name
            address = None  # 2130706433 and 127.1 are 127.0.0.1 to a resolver; nobody honest writes them
        if address is None or not self._origins.permits(target, address):
            raise FetchError(
                f"{target.host}:{target.port} is refused: expected {self._origins.expected}", "refused_origin"
            )


def _as_written(url: str) -> URL:
    """`url` for aiohttp, with path and query byte for byte as they were, but for what may not stand in a URL."""
    parts = urlsplit(url)
    path = quote(parts.path, safe=_LEGAL_IN_URL, errors="surrogateescape")
    query = quote(parts.query, safe=_LEGAL_IN_URL, errors="surrogateescape")
    return URL(f"{URL(url).origin()}{path or '/'}{'?' if query else ''}{query}", encoded=True)


def _redirect_target(response: aiohttp.ClientResponse, url: str) -> str:
    location = response.headers.get("Location", "")
    try:
        if location:
            return urljoin(url, location)
    except ValueError:
        pass  # said below
    raise FetchError(f"{without_query(url)}: expected a usable Location with status {response.status}", "bad_response")


async def _read(
    response: aiohttp.ClientResponse, *, url: str, max_bytes: int, byte_range: ByteRange | None, method: Method
) -> Fetched:
    """Checks status and headers, and reads the body within its bounds."""
    shown = without_query(url)
    status = response.status
    if status != 200 and (status != 206 or byte_range is None):
        raise FetchError(f"{shown}: expected status 200, the origin answered {status}", f"http_{status}")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    length_bytes = response.content_length if encoding == "identity" else None
    if method == "HEAD":
        body = b""
    elif byte_range is None:
        if response.content_length is not None and response.content_length > max_bytes:
            raise FetchError(f"{shown}: expected at most {max_bytes} bytes", "too_large")
        body = await _read_whole(response, BoundedBody(shown=shown, max_bytes=max_bytes, encoding=encoding))
        if encoding == "identity":
            length_bytes = len(body)  # known now even if the body came in chunks
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
    """The bytes of the range: all of a 206, and out of a 200 of a server that knows no ranges."""
    if response.status == 206:
        return await _read_whole(response, body)
    async for chunk in response.content.iter_any():
        body.feed(chunk)
        if len(body) >= byte_range.end:
            response.close()  # the rest of the resource is not waited for
            break
    return body.prefix[byte_range.offset : byte_range.end]


def _checked_total(response: aiohttp.ClientResponse, byte_range: ByteRange, shown: str) -> int | None:
    """The length of the whole resource by Content-Range, None if it is not told; refuses another part than asked."""
    told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if told is None or int(told[1]) != byte_range.offset:
        raise FetchError(f"{shown}: expected a Content-Range that starts at {byte_range.offset}", "bad_response")
    return None if told[3] == "*" else int(told[3])
