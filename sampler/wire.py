"""Messages between the worker and its decoder child: JSON, its length in front, and memory handed over as descriptors.

Either side reads the other's words as data only. The child may have been taken over by what it decoded: so there is
no pickle here, and every length is bounded.
"""

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

MESSAGE_BYTES = 64 << 20
"""Bound for one message: a packet table of 400,000 packets as JSON."""
PART_BYTES = 1 << 20
"""Read at once: Python makes a buffer of it."""
DESCRIPTORS = 1
"""At most so many descriptors come with a message."""
LENGTH = struct.Struct(">I")
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


class WireError(Exception):
    """The other side ended, or spoke nonsense. Never leaves this package: the decoder makes a SamplerError of it."""


def send(sock: socket.socket, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
    """Sends one message and, with its first byte, the descriptors."""
    body = _encode(message).encode()
    framed = LENGTH.pack(len(body)) + body
    sent = socket.send_fds(sock, [framed], descriptors) if descriptors else 0
    if sent < len(framed):
        sock.sendall(framed[sent:])


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message, and descriptors that the caller must close.

    Raises:
        WireError: the other side ended, or what came is not a message.
        TimeoutError: the socket's time-out passed.
    """
    head, descriptors, _, _ = socket.recv_fds(sock, LENGTH.size, DESCRIPTORS)
    try:
        head += _exactly(sock, LENGTH.size - len(head)) if head else b""
        if not head:
            raise WireError("the other side closed the connection")
        (length,) = LENGTH.unpack(head)
        if length > MESSAGE_BYTES:
            raise WireError(f"a message of {length} bytes: expected at most {MESSAGE_BYTES}")
        message = _decode(_exactly(sock, length).decode())
        if not isinstance(message, dict):
            raise WireError(f"expected a JSON object, got {type(message).__name__}")
    except BaseException as error:
        # Whatever fails, a descriptor received is ours to close; a leak would let a hostile child exhaust the worker.
        close_all(descriptors)
        if isinstance(error, ValueError | RecursionError):
            raise WireError("expected a JSON object") from error
        raise
    return message, descriptors


GO_ON = b"\x01"


def go_on(sock: socket.socket) -> None:
    """Lets the other side, which awaits it, go on."""
    sock.sendall(GO_ON)


def await_go_on(sock: socket.socket) -> None:
    """Waits for `go_on`; WireError if the other side ended."""
    _exactly(sock, len(GO_ON))


def close_all(descriptors: Sequence[int]) -> None:
    """Closes descriptors that came with a message."""
    for descriptor in descriptors:
        socket.close(descriptor)


def _exactly(sock: socket.socket, count: int) -> bytes:
    """`count` bytes from the socket."""
    parts = b"" if not count else sock.recv(min(count, PART_BYTES))
    if len(parts) == count:
        return parts
    joined = bytearray(parts)
    while parts and len(joined) < count:
        parts = sock.recv(min(count - len(joined), PART_BYTES))
        joined += parts
    if len(joined) < count:
        raise WireError("the other side ended within a message")
    return bytes(joined)
