"""Allowed origins (SSRF protection): those the operator listed, or else public addresses only.

The address of each connection is checked, after resolution, so that no spelling of a host and no name server can bypass
the check.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import Self

from worker.errors import OriginEntryError
from worker.ingest.http.resolver import Address
from worker.ingest.http.urls import UrlTarget, normal_host, target_of

Network = IPv4Network | IPv6Network

DEFAULT_PORTS = frozenset({80, 443})
"""Ports of an entry without one: those of http and https."""

_EXPECTED_ENTRY = "expected host, host:port, 203.0.113.0/24, 203.0.113.0/24:port, [v6]:port or [v6/48]:port"

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
"""Addresses that are not globally reachable by the IANA IPv4 Special-Purpose Address Registry (RFC 6890), and clouds'
own addresses."""

_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""Globally reachable addresses assigned by IANA; loopback, local, mapped and multicast lie outside."""

_NOT_PUBLIC_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo and ORCHID among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)

_OWN_ENTRY_ONLY = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "100.100.100.200/32",  # metadata of one cloud, in carrier-grade NAT's range
        "168.63.129.16/32",  # a cloud's host agent
        "192.0.0.192/32",  # metadata of one cloud
        "fe80::/10",  # link-local
        "fd00:ec2::254/128",  # metadata over IPv6, of three clouds
        "fd20:ce::254/128",
        "fd00:c1::a9fe:a9fe/128",
    )
)
"""Addresses that hand out credentials to any client: only an entry of their own allows them, no wider network."""

_SIX_TO_FOUR = IPv6Network("2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")


def embedded_v4(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped, 6to4 or NAT64 address leads to; for others `address` itself."""
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
    """Returns whether `address` is globally reachable, so that a request to it reveals nothing about the local
    network."""
    target = embedded_v4(address)
    if isinstance(target, IPv4Address):
        return not any(target in network for network in _NOT_PUBLIC_V4)
    if target.scope_id is not None or target not in _GLOBAL_UNICAST_V6:
        return False
    return not any(target in network for network in _NOT_PUBLIC_V6)


@dataclass(frozen=True, kw_only=True)
class AllowedNetwork:
    """Addresses that may be connected to, whatever name resolved to them."""

    network: Network
    ports: frozenset[int]

    def permits(self, address: Address, port: int) -> bool:
        """Returns whether `address` is in the network and `port` is allowed."""
        if port not in self.ports:
            return False
        candidates = {address, embedded_v4(address)}
        if any(candidate in network for candidate in candidates for network in _OWN_ENTRY_ONLY):
            return self.is_one_address and any(candidate in self.network for candidate in candidates)
        return any(candidate in self.network for candidate in candidates)

    @property
    def is_one_address(self) -> bool:
        """A /32, or a /128 of IPv6."""
        return self.network.prefixlen == self.network.max_prefixlen


@dataclass(frozen=True, kw_only=True)
class AllowedOrigins:
    """Decides which targets may be connected to."""

    names: frozenset[UrlTarget] = frozenset()
    """Allowed at public addresses. A private one must be in `networks` as well: the operator of the name's servers
    decides where it leads."""
    networks: tuple[AllowedNetwork, ...] = ()
    named: frozenset[UrlTarget] = frozenset()
    """Targets given on the command line; unlike entries they do not restrict the rest."""

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Parses entries: names, addresses and networks, with or without a port. No entry: public addresses only.

        `host`, `host:port`, `203.0.113.7`, `203.0.113.7:port`, `203.0.113.0/24`, `203.0.113.0/24:port`,
        `2001:db8::/32`, `[2001:db8::7]:port`, `[2001:db8::/32]:port`. An address is a network of one; the default ports
        are 80 and 443.

        Raises:
            OriginEntryError: quoting the entry.
        """
        names: set[UrlTarget] = set()
        networks: list[AllowedNetwork] = []
        for entry in entries:
            parsed, ports = _parse_entry(entry)
            if isinstance(parsed, str):
                names |= {UrlTarget(host=parsed, port=port) for port in ports}
            else:
                networks.append(AllowedNetwork(network=parsed, ports=ports))
        return cls(names=frozenset(names), networks=tuple(networks))

    def with_named(self, url: str) -> Self:
        """Allows the host and port of `url` too, whatever it resolves to, and nothing else.

        Raises:
            FetchError: as `target_of`.
        """
        return replace(self, named=self.named | {target_of(url)})

    @property
    def public_only(self) -> bool:
        """There is no entry, so every public address is allowed."""
        return not self.names and not self.networks

    def permits(self, target: UrlTarget, address: Address) -> bool:
        """Returns whether a connection for `target` may go to `address`, to which its host resolved."""
        if target in self.named:
            return True
        if (self.public_only or target in self.names) and is_public(address):
            return True
        return any(allowed.permits(address, target.port) for allowed in self.networks)

    def refusal(self, target: UrlTarget, addresses: Sequence[Address]) -> str:
        """One line for operators: why `target` is refused, and which entry would allow it.

        Only for a listed name is the address quoted: for others, the author of the URL could use the message to probe
        the local network.

        Args:
            addresses: those that the host resolved to; empty: it is an address itself.
        """
        refused = f"{target} is refused: expected "
        if self.public_only:
            return f"{refused}a public address"
        if target in self.names and addresses:
            entry = entry_for(addresses[0], target.port)
            return (
                f"{refused}a public address, or a network that is allowed too; the entry {entry}, or one of a network "
                "around it, would allow it"
            )
        ports = sorted(name.port for name in self.names if name.host == target.host)
        if ports:
            return f"{refused}port {' or '.join(map(str, ports))} of this host; the entry {target} would allow it"
        where = "" if target.is_address else ", at public addresses"
        return f"{refused}one of the allowed origins; the entry {target} would allow it{where}"


def entry_for(address: Address, port: int) -> str:
    """The entry that allows only this address and port."""
    return str(UrlTarget(host=str(address).partition("%")[0], port=port))


def _parse_entry(entry: str) -> tuple[str | Network, frozenset[int]]:
    """A name or a network, and its ports."""
    host_text, colon, port_text = entry, "", ""
    if entry.startswith("["):
        host_text, bracket, rest = entry[1:].partition("]")
        colon, port_text = rest[:1], rest[1:]
        if not bracket or ":" not in host_text or colon not in {"", ":"}:
            raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY}")
    elif entry.count(":") == 1:
        host_text, colon, port_text = entry.partition(":")
    if colon and not (
        port_text.isascii() and port_text.isdigit() and len(port_text) < 6 and 0 < int(port_text) < 65536
    ):
        raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY}; a port is 1 to 65535")
    ports = frozenset({int(port_text)}) if colon else DEFAULT_PORTS
    if "%" not in host_text and ("/" in host_text or ":" in host_text):  # a zone names a local interface
        try:
            return ip_network(host_text), ports
        except ValueError as error:
            raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY} ({error})") from error
    host = normal_host(host_text)
    if host is None:
        raise OriginEntryError(f"allowed origin {entry!r}: {_EXPECTED_ENTRY}")
    try:
        return ip_network(ip_address(host)), ports
    except ValueError:
        return host, ports
