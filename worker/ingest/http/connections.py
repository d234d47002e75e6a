"""Connections to origins: only to allowed addresses, and reused only if clean."""

import socket
from ipaddress import IPv6Address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from worker.errors import FetchError
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resolver import Address, DnsCache
from worker.ingest.http.urls import UrlTarget


def _family_of(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET


class GuardedResolver(AbstractResolver):
    """Resolves a host once, and returns only allowed addresses."""

    def __init__(self, origins: AllowedOrigins, names: DnsCache) -> None:
        self._origins = origins
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._names.addresses(host, port)
        target = UrlTarget(host=host.lower().removesuffix("."), port=port)
        permitted = [address for address in addresses if self._origins.permits(target, address)]
        if not permitted:
            # No OSError, which aiohttp would report as a DNS failure.
            raise FetchError(self._origins.refusal(target, addresses), "refused_origin")
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
        """Does nothing: `OriginSession` closes the names."""


class CleanConnector(aiohttp.TCPConnector):
    """Reuses a connection only if no unrequested bytes have arrived on it.

    aiohttp checks this when a connection is released, which is too early if bytes follow the declared length in the
    same read: the end of the body releases the connection before the rest is parsed. The rest would be taken for the
    response to the next request, which may be another stream's.
    """

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None
