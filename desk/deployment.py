"""Deployment of this desk: its address, its database and the proxy in front of it, from the settings."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from config.errors import SettingsError
from config.settings import Settings
from worker.errors import EvidenceError
from worker.evidence.sealing import Identity

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
SHORTEST_SECRET: Final = 32
"""Characters of the desk's secret: 256 bits in hex are 64."""


@dataclass(frozen=True, kw_only=True)
class DeskDeployment:
    """Surroundings of the desk."""

    origin: str
    """As browsers send it: `https://desk.example`. Requests to another host are refused."""
    host: str
    """Part of `origin`, with its port if it is written there."""
    listen_host: str
    listen_port: int
    database_url: str
    proxy_from: tuple[IPv4Network | IPv6Network, ...] = ()
    """Peers whose X-Forwarded-For is believed, and `proxy_header` if there is one."""
    proxy_header: str = ""
    """In lower case; empty: people sign in with passwords."""
    proxy_secret: str = ""

    @property
    def secure(self) -> bool:
        """Browsers reach the desk by TLS: cookies are Secure. Else it is on their own machine."""
        return self.origin.startswith("https://")

    def is_proxy(self, address: str) -> bool:
        """Returns whether a peer is one of `proxy_from`."""
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self.proxy_from)


def deployment_of(settings: Settings) -> DeskDeployment:
    """Reads the settings of the desk.

    Raises:
        SettingsError: with every mistake.
    """
    mistakes: list[str] = []
    parts = urlsplit(settings.desk_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.username:
        mistakes.append("LIVEWARDEN_DESK_URL: expected https://HOST or https://HOST:PORT")
    elif (
        parts.scheme == "http"
        and parts.netloc.rpartition("@")[2].split(":")[0] not in LOOPBACK - {"[::1]"}
        and (parts.hostname != "::1")
    ):
        mistakes.append("LIVEWARDEN_DESK_URL: expected https://…: over http passwords could be read on the way")
    host, _, port = settings.desk_listen.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        mistakes.append("LIVEWARDEN_DESK_LISTEN: expected ADDRESS:PORT")
    networks = []
    for entry in settings.desk_proxy_from:
        try:
            networks.append(ip_network(entry))
        except ValueError:
            mistakes.append("LIVEWARDEN_DESK_PROXY_FROM: expected addresses and networks, such as 10.0.0.7 10.1.0.0/16")
    secret = "" if settings.desk_secret_file is None else _secret(settings.desk_secret_file, mistakes)
    if settings.desk_proxy_header and not (networks and secret):
        mistakes.append(
            "LIVEWARDEN_DESK_PROXY_HEADER: needs LIVEWARDEN_DESK_PROXY_FROM, or anybody could send it, and "
            "LIVEWARDEN_DESK_SECRET_FILE"
        )
    if mistakes:
        raise SettingsError(*mistakes)
    return DeskDeployment(
        origin=f"{parts.scheme}://{parts.netloc}".lower(),
        host=parts.netloc.lower(),
        listen_host=host.strip("[]"),
        listen_port=int(port),
        database_url=settings.desk_database_url.get_secret_value(),
        proxy_from=tuple(networks),
        proxy_header=settings.desk_proxy_header.lower(),
        proxy_secret=secret,
    )


def own_identity(settings: Settings) -> Identity | None:
    """The desk's private key, with which it opens pictures and sealed parts of the audit log; None: it has none, or its
    file cannot be used, which is said where something stays closed."""
    if settings.evidence_identity is None:
        return None
    try:
        return Identity.read(settings.evidence_identity)
    except EvidenceError:
        return None


def _secret(path: Path, mistakes: list[str]) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, ValueError):
        mistakes.append("LIVEWARDEN_DESK_SECRET_FILE: cannot be read")
        return ""
    if len(text) < SHORTEST_SECRET:
        mistakes.append(f"LIVEWARDEN_DESK_SECRET_FILE: expected at least {SHORTEST_SECRET} random characters")
    return text
