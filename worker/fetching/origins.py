"""Where bytes may be fetched from: what the operator named, or else public addresses only.

The decision is made about the address that a connection will go to, after resolution, so that no spelling of a host
and no name server gets around it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

from yarl import URL

from worker.errors import FetchError, OriginEntryError
from worker.fetching.resource import without_query

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SCHEMES = frozenset({"http", "https"})
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?", re.ASCII)
_EXPECTED_ENTRY = "expected host, host:port, [v6]:port or a network such as 203.0.113.0/24"

_NOT_PUBLIC_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; one cloud's metadata is at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's host agent, reachable from inside its machines only
        "169.254.0.0/16",  # link-local; most clouds' metadata is at 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; one cloud's metadata is at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
"""IANA IPv4 Special-Purpose Address Registry (RFC 6890), what is not globally reachable, and clouds' own addresses."""

_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""All that IANA has given out to be reached from everywhere; loopback, local, mapped and multicast lie outside."""

_NOT_PUBLIC_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo and ORCHID among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)

_SIX_TO_FOUR = IPv6Network("2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")


def embedded_v4(address: Address) -> Address:
    """The IPv4 address that packets for `address` end at, for IPv4-mapped, 6to4 and NAT64 addresses; else itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether `address` is reachable from everywhere, so that asking it tells nothing of our own network."""
    target = embedded_v4(address)
    if isinstance(target, IPv4Address):
        return not any(target in network for network in _NOT_PUBLIC_V4)
    if target.scope_id is not None or target not in _GLOBAL_UNICAST_V6:
        return False
    return not any(target in network for network in _NOT_PUBLIC_V6)


@dataclass(frozen=True, kw_only=True)
class Target:
    """The host and port that a URL leads to."""

    host: str
    """Lower case, IDNA-encoded, without a trailing dot or brackets."""
    port: int


def target_of(url: str) -> Target:
    """The target of a URL that may be fetched as far as its form tells.

    Raises:
        FetchError: `bad_url`, for what is no absolute URL, is not http or https, or names a user.
    """
    shown = without_query(url)
    try:
        # The same parser as the connection's: two parsers that see two hosts in one URL are a way around the guard.
        parsed = URL(url)
        host, port = parsed.raw_host, parsed.port
    except ValueError as error:
        raise FetchError(f"{shown}: expected an absolute http or https URL ({error})", "bad_url") from error
    if parsed.scheme not in _SCHEMES or not host or not port:
        raise FetchError(f"{shown}: expected an absolute http or https URL", "bad_url")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise FetchError(f"{shown}: expected a URL without user and password", "bad_url")
    return Target(host=_normal_host(host), port=port)


@dataclass(frozen=True, kw_only=True)
class AllowedOrigins:
    """Decides which targets may be connected to."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    """Hosts by name or literal, each with its port; None: any port."""
    networks: tuple[Network, ...] = ()
    named: frozenset[Target] = frozenset()
    """What a person named on the command line; unlike an entry it leaves the rest as it was."""

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Reads entries `host`, `host:port`, `[v6]:port` or CIDR. None at all: public addresses only.

        Raises:
            OriginEntryError: quoting the entry.
        """
        hosts: set[tuple[str, int | None]] = set()
        networks: list[Network] = []
        for entry in entries:
            if "/" in entry:
                networks.append(_parse_network(entry))
            else:
                hosts.add(_parse_host(entry))
        return cls(hosts=frozenset(hosts), networks=tuple(networks))

    def with_named(self, url: str) -> Self:
        """Allows the host and port of `url` too, whatever it resolves to, and nothing else besides.

        Raises:
            FetchError: as `target_of`.
        """
        return replace(self, named=self.named | {target_of(url)})

    @property
    def public_only(self) -> bool:
        """No entry was given, so every public address is allowed."""
        return not self.hosts and not self.networks

    def permits(self, target: Target, address: Address) -> bool:
        """Whether a connection for `target` may go to `address`, which is what its host resolved to."""
        if target in self.named:
            return True
        if self.public_only:
            return is_public(address)
        if (target.host, target.port) in self.hosts or (target.host, None) in self.hosts:
            return True
        candidates = {address, embedded_v4(address)}
        return any(candidate in network for candidate in candidates for network in self.networks)

    @property
    def expected(self) -> str:
        """What a refusal says was expected."""
        return "a public address" if self.public_only else "one of the allowed origins"


def _normal_host(host: str) -> str:
    """One spelling for one host: case, a trailing dot and the ways to write an IPv6 address do not matter."""
    bare = host.lower().removesuffix(".")
    try:
        return str(ip_address(bare))
    except ValueError:
        return bare


def _parse_network(entry: str) -> Network:
    try:
        return ip_network(entry)
    except ValueError as error:
        raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY} ({error})") from error


def _parse_host(entry: str) -> tuple[str, int | None]:
    try:
        return str(ip_address(entry[1:-1] if entry.startswith("[") and entry.endswith("]") else entry)), None
    except ValueError:
        pass
    host, colon, port_text = entry.rpartition(":")
    if not colon:
        host, port_text = entry, ""
    if colon and not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
        raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY}; a port is 1 to 65535")
    port = int(port_text) if colon else None
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(IPv6Address(host[1:-1])), port
        except ValueError as error:
            raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY} ({error})") from error
    try:
        name = _normal_host(URL.build(scheme="http", host=host).raw_host or "")
    except ValueError as error:
        raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY}") from error
    if not _HOST_NAME.fullmatch(name):
        raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY}")
    return name, port
