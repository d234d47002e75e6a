"""Host names to addresses, so that names whose servers do not answer cost only those who ask for them.

c-ares (aiodns) asks the servers of the system from one thread, however many names are open; getaddrinfo would hold a
thread a name for 5 to 30 s, and six of them would stop every fetch of the process.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import aiodns

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Gives the addresses of (host, port); raises OSError where there are none, TimeoutError where nobody answers."""

DEADLINE_SECONDS = 2.0
"""For one name. Name servers answer within 0.2 s, or have lost the question; the fetch after it has 5 s in all."""

_TRY_SECONDS, _TRIES = 0.75, 2
"""Of one server. c-ares gives up after 1.0 to 1.5 s in all, within the deadline, so that a server that is dead, or
silent about AAAA only, is got around."""

_KEPT_SECONDS = 10.0
"""A batch that opens many connections to one host asks once; short enough to follow an origin that moves."""

_FAILED_SECONDS = 1.0
"""How long a failure is remembered: from `settle` to the fetch that follows."""

_SILENT_SECONDS = 5.0
"""How long a name that was not answered fails at once: a playlist of six segments on it costs one deadline, not six.
Above all short, for the silence may have been the network's."""

_MAX_OPEN = 1024
"""Names asked for at once, some 4 KB each; a poll asks for 100. Those beyond fail at once."""

_MAX_KEPT = 4096
"""Names remembered, some 300 bytes each; the oldest go first."""


class NameServers:
    """Asks the name servers of the system (resolv.conf, the hosts file), or others. Belongs to one event loop."""

    def __init__(self, servers: Sequence[str] | None = None) -> None:
        """`servers`: `address:port` to ask instead of the system's."""
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
        """Drops what is open; may be called twice."""
        await self._resolver.close()


@dataclass(frozen=True, kw_only=True)
class _Answer:
    addresses: Sequence[Address]
    error: Exception | None
    """What the resolver raised."""
    until: float
    """The loop's time up to which this is the answer."""


class Names:
    """Names of one event loop: each asked for once at a time, within a deadline, and remembered for a while."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._open: dict[str, asyncio.Task[_Answer]] = {}
        self._kept: dict[str, _Answer] = {}

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host.

        Raises:
            OSError: there are none, or nobody answered in time.
            Whatever else the resolver raised.
        """
        kept = self._kept.get(host)
        answer = kept if kept is not None and kept.until > _now() else await self._ask_once(host, port)
        if isinstance(answer.error, OSError):
            raise OSError(*answer.error.args)
        if answer.error is not None:
            raise answer.error
        return answer.addresses

    async def settle(self, host: str, port: int) -> None:
        """Waits, at most for the deadline, until it is known whether `host` is a name that is answered.

        Of a name that was answered before it returns at once: connections to it may be open already. What the answer
        is, `addresses` gives.
        """
        kept = self._kept.get(host)
        if kept is None or (kept.error is not None and kept.until <= _now()):
            await self._ask_once(host, port)

    async def close(self) -> None:
        """Stops asking; may be called twice."""
        for task in self._open.values():
            task.cancel()
        await asyncio.gather(*self._open.values(), return_exceptions=True)

    async def _ask_once(self, host: str, port: int) -> _Answer:
        task = self._open.get(host)
        if task is None:
            if len(self._open) >= _MAX_OPEN:
                error = OSError(f"more than {_MAX_OPEN} names are being asked for")
                return _Answer(addresses=(), error=error, until=_now())
            task = asyncio.create_task(self._ask(host, port))
            self._open[host] = task
            task.add_done_callback(lambda _: self._open.pop(host, None))
        # One who gives up must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, host: str, port: int) -> _Answer:
        addresses: Sequence[Address] = ()
        problem: Exception | None = None
        kept_seconds = _KEPT_SECONDS
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            # No TimeoutError: aiohttp would hand it on as one of the whole fetch.
            problem = OSError(f"no name server answers about {host}")
            kept_seconds = _SILENT_SECONDS
        except Exception as error:  # raised in those who asked
            problem, kept_seconds = error, _FAILED_SECONDS
        answer = _Answer(addresses=addresses, error=problem, until=_now() + kept_seconds)
        self._kept.pop(host, None)
        while len(self._kept) >= _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[host] = answer
        return answer


def _now() -> float:
    return asyncio.get_running_loop().time()
