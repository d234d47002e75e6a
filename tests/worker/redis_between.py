"""A proxy between a client and Redis that sends commands twice or loses answers on purpose."""

import hashlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from redis import Redis

Command = list[bytes]
Send = Callable[[], bytes]
"""Sends the current command to Redis and gives its raw answer, each time it is called."""

_RAW_FROM_HERE = {b"SUBSCRIBE", b"PSUBSCRIBE", b"MONITOR"}


class Between(Protocol):
    """The treatment of a command."""

    def __call__(self, command: Command, send: Send) -> bytes | None:
        """The raw answer for the client; None breaks its connection instead."""


@contextmanager
def redis_between(url: str, between: Between, *, silent: threading.Event | None = None) -> Iterator[str]:
    """A port in front of the Redis at `url`, as a URL; each incoming command is passed to `between`.

    Once `silent` is set, connections on which Redis pushes data stay open, and bring nothing more.
    """
    parts = urlsplit(url)
    upstream = (str(parts.hostname), int(parts.port or 6379))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), socket.create_connection(upstream) as connection:
                _serve(self.request, connection, between, silent or threading.Event())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}{parts.path}"
        finally:
            server.shutdown()
            thread.join()


def _serve(client: socket.socket, redis: socket.socket, between: Between, silent: threading.Event) -> None:
    commands, answers = client.makefile("rb"), redis.makefile("rb")
    in_transaction = False
    while command := _read_command(commands):
        name = command[0].upper()
        raw = _encode(command)

        def send(raw: bytes = raw) -> bytes:
            redis.sendall(raw)
            return _read_answer(answers)

        if name in _RAW_FROM_HERE:
            redis.sendall(raw)
            _copy(client, redis, commands, silent)
            return
        if name == b"MULTI":
            in_transaction = True
        # What is queued in a transaction is run with it: it comes through whole or not at all.
        answer = send() if in_transaction and name != b"EXEC" else between(command, send)
        if name in (b"EXEC", b"DISCARD"):
            in_transaction = False
        if answer is None:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            return
        client.sendall(answer)


def _copy(client: socket.socket, redis: socket.socket, commands: BinaryIO, silent: threading.Event) -> None:
    """Copies both directions unchanged until `silent` is set, for connections on which Redis pushes data."""

    def back() -> None:
        with suppress(OSError):
            while data := redis.recv(65536):
                if not silent.is_set():
                    client.sendall(data)

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    while command := _read_command(commands):
        redis.sendall(_encode(command))
    with suppress(OSError):
        redis.shutdown(socket.SHUT_RDWR)
    thread.join()


def _encode(command: Command) -> bytes:
    return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in command)


def _read_command(stream: BinaryIO) -> Command:
    """The parts of a command; empty at the end of the connection."""
    line = stream.readline()
    if not line.startswith(b"*"):
        return []
    return [stream.read(int(stream.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]


def _read_answer(stream: BinaryIO) -> bytes:
    """One complete answer in RESP2 or RESP3, as received."""
    line = stream.readline()
    if not line:
        raise ConnectionError("Redis has closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind in b"$=!" and rest != b"-1":
        return line + stream.read(int(rest) + 2)
    if kind in b"*~>%|" and rest != b"-1":
        parts = int(rest) * (2 if kind in b"%|" else 1) + (1 if kind == b"|" else 0)
        return line + b"".join(_read_answer(stream) for _ in range(parts))
    return line


@dataclass(frozen=True, kw_only=True)
class SentTwice:
    """The effect of sending a script twice."""

    source: bytes
    first: bytes
    second: bytes
    """The raw answers."""
    before: dict[bytes, Any]
    after: dict[bytes, Any]
    twice: dict[bytes, Any]
    """Everything in Redis before the script, after the first time, and after the second."""


class ScriptsTwice:
    """Sends each script twice in a row, and gives the client the second answer."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self._redis.script_flush()  # so that each comes once with its source
        self._sources: dict[bytes, bytes] = {}
        self.sent: list[SentTwice] = []

    def __call__(self, command: Command, send: Send) -> bytes | None:
        if command[0].upper() not in (b"EVAL", b"EVALSHA"):
            return send()
        before = contents(self._redis)
        first = send()
        if first.startswith(b"-NOSCRIPT"):
            return first
        after = contents(self._redis)
        second = send()
        source = command[1]
        if command[0].upper() == b"EVALSHA":
            source = next(text for text in self._sources.values() if _sha1(text) == command[1])
        self._sources[source] = source
        self.sent.append(
            SentTwice(
                source=source, first=first, second=second, before=before, after=after, twice=contents(self._redis)
            )
        )
        return second


def _sha1(source: bytes) -> bytes:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


def contents(redis: Any) -> dict[bytes, Any]:
    """All keys with their values, and the read positions of streams' groups; without expiry times."""
    found: dict[bytes, Any] = {}
    for key in redis.scan_iter(count=1000):
        kind = redis.type(key)
        if kind == b"string":
            found[key] = redis.get(key)
        elif kind == b"hash":
            found[key] = redis.hgetall(key)
        elif kind == b"set":
            found[key] = redis.smembers(key)
        elif kind == b"list":
            found[key] = redis.lrange(key, 0, -1)
        elif kind == b"zset":
            found[key] = redis.zrange(key, 0, -1, withscores=True)
        else:
            groups = redis.xinfo_groups(key)
            pending = [redis.xpending_range(key, group["name"], "-", "+", 1000) for group in groups]
            holders = [[(entry["message_id"], entry["consumer"]) for entry in of_group] for of_group in pending]
            found[key] = (redis.xrange(key), [group["last-delivered-id"] for group in groups], holders)
    return found


class LostAnswers:
    """Loses the answer of every n-th of our own commands after Redis has run it.

    Celery's commands to its broker pass unchanged: how it handles lost answers is its own matter.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._count = 0
        self._lock = threading.Lock()
        self.lost: list[str] = []

    def __call__(self, command: Command, send: Send) -> bytes | None:
        ours = any(part.startswith(b"lw:") for part in command[1:])
        with self._lock:
            self._count += ours
            lose = ours and self._count % self._every == 0
        answer = send()
        if not lose:
            return answer
        self.lost.append(command[0].decode().upper())
        return None


@contextmanager
def before_the_script(url: str, act: Callable[[], object]) -> Iterator[Redis]:
    """A client of Redis that runs `act` between its reads and the first script that it sends."""
    acts = [act]

    def between(command: Command, send: Send) -> bytes:
        if command[0].upper() in (b"EVAL", b"EVALSHA") and acts:
            acts.pop()()
        return send()

    with redis_between(url, between) as port, Redis.from_url(port, decode_responses=True) as redis:
        yield redis
    assert not acts
