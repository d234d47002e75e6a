"""Messages between the worker and the decoder process of one request: JSON, its length in front.

Either side reads the other's words as data only. The decoder may have been taken over by what it decoded: so there is
no pickle here, no descriptor is taken from it, every length is bounded, and a deadline holds for a whole message.
"""

import _socket
import json
import socket
import struct
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

MESSAGE_BYTES = 64 << 20
"""Bound for any message: a packet table of a million packets."""
PART_BYTES = 1 << 20
"""Read at once: Python makes a buffer of it."""
REQUEST_DESCRIPTORS = 4
"""Descriptors of a request: the input, two files for pictures, and the segment before, if it comes along."""
LENGTH = struct.Struct(">I")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder(parse_constant=_no_number).decode

Socket = socket.socket | _socket.socket
"""A stream."""


class WireError(Exception):
    """The other side spoke nonsense. Never leaves this package: the decoder makes a SamplerError of it."""


class ClosedError(WireError):
    """The other side ended."""


def send(sock: Socket, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
    """Sends one message and, with its first byte, the descriptors."""
    body = _encode(message).encode()
    framed = LENGTH.pack(len(body)) + body
    sent = 0
    if descriptors:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))
        sent = sock.sendmsg([framed], [rights])
    if sent < len(framed):
        sock.sendall(framed[sent:])


def receive_request(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next request and its descriptors: the decoder's side, which trusts the parent.

    Raises:
        WireError: the other side ended.
    """
    head, descriptors, _, _ = socket.recv_fds(sock, LENGTH.size, REQUEST_DESCRIPTORS)
    if len(head) < LENGTH.size:
        raise ClosedError("the other side ended")
    message: dict[str, Any] = _decode(_exactly(sock, LENGTH.unpack(head)[0], None).decode())
    return message, descriptors


def receive(sock: Socket, *, deadline: float | None = None, max_bytes: int = MESSAGE_BYTES) -> dict[str, Any]:
    """The next message.

    Args:
        sock: a stream.
        deadline: by `time.monotonic`, for the whole message; None: however long it takes.
        max_bytes: of the message.

    Raises:
        WireError: the other side ended, or what came is not a message.
        TimeoutError: the deadline passed.
    """
    (length,) = LENGTH.unpack(_exactly(sock, LENGTH.size, deadline))
    if length > max_bytes:
        raise WireError(f"a message of {length} bytes: expected at most {max_bytes}")
    try:
        message = _decode(_exactly(sock, length, deadline).decode())
    except (ValueError, RecursionError) as error:
        raise WireError("expected a JSON object") from error
    if not isinstance(message, dict):
        raise WireError(f"expected a JSON object, got {type(message).__name__}")
    return message


GO_ON = b"\x01"


def go_on(sock: Socket) -> None:
    """Lets the other side, which awaits it, go on."""
    sock.sendall(GO_ON)


def await_go_on(sock: Socket) -> None:
    """Waits for `go_on`; WireError if the other side ended."""
    _exactly(sock, len(GO_ON), None)


def _exactly(sock: Socket, count: int, deadline: float | None) -> bytes:
    """`count` bytes from the socket."""
    received = bytearray()
    while len(received) < count:
        if deadline is not None:
            # Each byte would else renew the time-out.
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
        part = sock.recv(min(count - len(received), PART_BYTES))
        if not part:
            raise ClosedError("the other side ended")
        received += part
    return bytes(received)
