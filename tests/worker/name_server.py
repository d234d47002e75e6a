"""A DNS server on loopback that does not answer for some names."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address

A, AAAA = 1, 28
NXDOMAIN = 3
SO_RCVBUFFORCE = 33
"""A Linux constant that the socket module lacks."""


class NameServer:
    """Answers 127.0.0.1 for every name, with exceptions by the name's first label."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.asked: list[tuple[str, int]] = []
        """Name and type of each query."""

    def answer(self, query: bytes) -> bytes | None:
        """`silent…`: never. `half…`: not for AAAA. `unknown…`: no such name."""
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        question = query[12 : at + 5]
        kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
        self.asked.append((".".join(labels), kind))
        if labels[0].startswith("silent") or (labels[0].startswith("half") and kind == AAAA):
            return None
        code = NXDOMAIN if labels[0].startswith("unknown") else 0
        told = kind == A and not code
        record = struct.pack(">HHHIH", 0xC00C, A, 1, 0, 4) + IPv4Address("127.0.0.1").packed if told else b""
        return query[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, int(told), 0, 0) + question + record


@contextmanager
def name_server() -> Iterator[NameServer]:
    """Runs a server until the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind(("127.0.0.1", 0))
        server = NameServer(served.getsockname()[1])
        # Bursts of a thousand queries; without privilege the kernel allows some 270, and lost ones are repeated.
        with suppress(PermissionError):
            served.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)

        def serve() -> None:
            while True:
                query, client = served.recvfrom(4096)
                if not query:
                    return
                answer = server.answer(query)
                if answer is not None:
                    served.sendto(answer, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", served.getsockname())
            thread.join()
