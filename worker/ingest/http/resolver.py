"""Resolves host names with a cache, so that names whose servers do not answer delay only their own fetches.

c-ares (aiodns) queries the system's servers from one thread, however many names are open; getaddrinfo would hold a
thread for each name for 5 to 30 s, and six of them would stop every fetch of the process.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import aiodns

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Returns the addresses of (host, port); raises OSError if there are none, TimeoutError if no server answers."""

DEADLINE_SECONDS = 2.0
"""For one name. Name servers answer within 0.2 s, or have lost the query; the fetch after it has 5 s in all."""

_TRY_SECONDS, _TRIES = 0.75, 2
"""For one server. c-ares gives up after 1.0 to 1.5 s in all, within the deadline, so that a server that is dead, or
silent about AAAA only, is skipped in time."""

_KEPT_SECONDS = 10.0
"""A batch that opens many connections to one host queries once; short enough to follow an origin that moves."""

_FAILED_SECONDS = 1.0
"""Cache time of a failure: from `settle` to the fetch that follows."""

_SILENT_SECONDS = 5.0
"""Time for which an unanswered name fails immediately: a playlist of six segments on it costs one deadline, not six.
Short, since the network may have been the cause."""

_MAX_OPEN = 1024
"""Concurrent queries, some 4 KB each; a poll makes 100. Further ones fail immediately."""

_MAX_KEPT = 4096
"""Cached names, some 300 bytes each; the oldest are dropped first."""


class NameServers:
    """Queries the system's name servers (resolv.conf, the hosts file), or others. Belongs to one event loop."""

    def __init__(self, servers: Sequence[str] | None = None) -> None:
        """`servers`: `address:port` of servers to use instead of the system's."""
        self._resolver = aiodns.DNSResolver(
            nameservers=servers, loop=asyncio.get_running_loop(), timeout=_TRY_SECONDS, tries=_TRIES
        )

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """As `Resolve`."""
        try:
            found = await self._resolver.getaddrinfo(host, port=port, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            if error.args[0] == aiodns.error.ARES_ETIMEOUT:
                raise TimeoutError from error
            raise OSError(f"no address of {host}: {error.args[-1]}") from error
        if not found.nodes:
            raise OSError(f"no address of {host}")
        return [ip_address(node.addr[0].decode()) for node in found.nodes]

    async def close(self) -> None:
        """Cancels open queries; may be called twice."""
        await self._resolver.close()


@dataclass(frozen=True, kw_only=True)
class _Answer:
    addresses: Sequence[Address]
    error: Exception | None
    """The exception that the resolver raised."""
    until: float
    """Expiry by the loop's clock."""


class DnsCache:
    """The DNS cache of one event loop: one query for a name at a time, within a deadline."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._open: dict[str, asyncio.Task[_Answer]] = {}
        self._kept: dict[str, _Answer] = {}

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host.

        Raises:
            OSError: there are none, or no server answered in time.
            Exception: any other that the resolver raised.
        """
        kept = self._kept.get(host)
        answer = kept if kept is not None and kept.until > _now() else await self._ask_once(host, port)
        if isinstance(answer.error, OSError):
            raise OSError(*answer.error.args)
        if answer.error is not None:
            raise answer.error
        return answer.addresses

    async def settle(self, host: str, port: int) -> None:
        """Waits, at most for the deadline, until it is known whether name servers answer for `host`.

        Returns immediately for a name that was answered before: connections to it may be open already. `addresses`
        returns the answer.
        """
        kept = self._kept.get(host)
        if kept is None or (kept.error is not None and kept.until <= _now()):
            await self._ask_once(host, port)

    async def close(self) -> None:
        """Cancels open queries; may be called twice."""
        for task in self._open.values():
            task.cancel()
        await asyncio.gather(*self._open.values(), return_exceptions=True)

    async def _ask_once(self, host: str, port: int) -> _Answer:
        task = self._open.get(host)
        if task is None:
            if len(self._open) >= _MAX_OPEN:
                error = OSError(f"more than {_MAX_OPEN} names are being resolved")
                return _Answer(addresses=(), error=error, until=_now())
            task = asyncio.create_task(self._ask(host, port))
            self._open[host] = task
            task.add_done_callback(lambda _: self._open.pop(host, None))
        # A caller that gives up must not cancel the query for the others.
        return await asyncio.shield(task)

    async def _ask(self, host: str, port: int) -> _Answer:
        addresses: Sequence[Address] = ()
        problem: Exception | None = None
        kept_seconds = _KEPT_SECONDS
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            # No TimeoutError: aiohttp would report it as one of the complete fetch.
            problem = OSError(f"no name server answers about {host}")
            kept_seconds = _SILENT_SECONDS
        except Exception as error:  # raised in the callers
            problem, kept_seconds = error, _FAILED_SECONDS
        answer = _Answer(addresses=addresses, error=problem, until=_now() + kept_seconds)
        self._kept.pop(host, None)
        while len(self._kept) >= _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[host] = answer
        return answer


def _now() -> float:
    return asyncio.get_running_loop().time()
