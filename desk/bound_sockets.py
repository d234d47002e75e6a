"""The addresses of the desk, taken before anything else of its start is done."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from config.errors import SettingsError

_REASONS: Final = {
    errno.EADDRINUSE: "in use: another desk, or another program, listens there: end it, or choose another port",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "this user may not listen there: choose a port from 1024 to 65535",
}


@contextmanager
def bound_sockets(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Sockets with all addresses of a host (`localhost` has two), closed at the end. None listens yet: connections are
    refused until the desk serves.

    Raises:
        SettingsError: another process listens there, the address is not this machine's, or it is refused.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with ExitStack() as opened:
        try:
            sockets = _open(host, port, opened)
        except OSError as error:
            reason = (
                "no address" if isinstance(error, socket.gaierror) else _REASONS.get(error.errno or 0, error.strerror)
            )
            raise SettingsError(f"LIVEWARDEN_DESK_LISTEN: {place}: {reason}") from error
        yield sockets


def _open(host: str, port: int, opened: ExitStack) -> list[socket.socket]:
    sockets, missing = [], OSError(errno.EADDRNOTAVAIL, "")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in dict.fromkeys(found):
        one = opened.enter_context(socket.socket(family, kind, protocol))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            one.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            missing = error  # localhost has an IPv6 address also where the machine has none
            continue
        sockets.append(one)
    if not sockets:
        raise missing
    return sockets
