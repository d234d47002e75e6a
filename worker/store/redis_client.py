"""The Redis client: connects, runs Lua scripts, and confirms that their writes are on disk."""

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from redis import Redis, exceptions
from redis.backoff import ExponentialWithJitterBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from worker.errors import StoreError
from worker.store import redis_keys
from worker.store.redis_keys import KEYS

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
"""Timeout of an answer. Longer than any BLOCK in use, and than a disk that stalls for a moment."""
HEALTH_CHECK_SECONDS = 30
"""A connection idle for longer is checked with PING before it is used: proxies and NAT drop idle ones silently."""
RETRIES = 4
"""Retries after a lost connection, over about 2 s, which covers a restart of Redis with a small data set."""
DISK_MILLISECONDS = 5_000
"""Time for which WAITAOF waits. It answers in about 1 ms with `appendfsync always`, in up to 1 s with `everysec`."""
once_key = redis_keys.ONCE.of
"""Key of the stored answer to the call with a token."""
ONCE_SECONDS = redis_keys.ONCE.seconds
"""Time for which a call is known by its token: longer than its caller can take to repeat it. A client repeats a script
`RETRIES` times, each time after `ANSWER_SECONDS` at most."""

_NOBODY = ("HELLO must be called", "Authentication required")
"""Beginnings of what Redis answers to a connection without a user."""

FEW_REPLICAS = "NOREPLICAS"
UNSAVED = "MISCONF"
"""Beginnings of refusals for which redis-py has no class."""
WITHOUT_FILE = "appendonly is disabled"
"""End of the refusal of WAITAOF where there is no file to wait for."""

_AWAY = re.compile(r"Error -?\d+ connecting to (?P<place>\S+)\. (?P<reason>.+)\.")
"""Text of redis-py where there is no connection."""

NOT_A_URL = "expected redis://, rediss:// or unix://, HOST:PORT/DATABASE"

_log = logging.getLogger(__name__)

_ONCE = "--@once\n"
"""First line, after that with flags, of a script that is not idempotent (`once` in lua/shared/time.lua)."""

SHARED = ("time", "people", "acts", "totals", "queue", "incidents", "streams", "evidence")
"""Files of worker/store/lua/shared, in the order in which they use each other's functions."""


def connect(url: str, *, retries: int = RETRIES) -> Redis:
    """A client that decodes text, survives a restart of the server, and has timeouts. Connects at first use.

    `retries` after a lost connection; 0: the caller can do without Redis, and does not wait for it.

    Raises:
        StoreError: `url` is no Redis URL.
    """
    try:
        return Redis.from_url(
            url,
            decode_responses=True,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            health_check_interval=HEALTH_CHECK_SECONDS,
            retry=Retry(ExponentialWithJitterBackoff(base=0.1, cap=1.0), retries),
        )
    except ValueError:
        # The URL may carry a password, and the error's text may quote it: text after a colon is parsed as a port.
        raise StoreError(f"LIVEWARDEN_REDIS_URL: {NOT_A_URL}") from None


@contextmanager
def store_errors() -> Iterator[None]:
    """Translates Redis errors into `StoreError`."""
    try:
        yield
    except RedisError as error:
        raise StoreError(_in_words(error)) from error


def _in_words(error: RedisError) -> str:
    """The error, and what helps where that is known."""
    text = str(error)
    if isinstance(error, NoPermissionError):
        return (
            f"Redis: {text}: this needs another role (LIVEWARDEN_REDIS_USERNAME) or, after an upgrade, this version's "
            "rules: see docs/redis-users.md"
        )
    if isinstance(error, AuthenticationError) and text.startswith(_NOBODY):
        return (
            "Redis asks for a password: set LIVEWARDEN_REDIS_USERNAME and LIVEWARDEN_REDIS_PASSWORD_FILE "
            "(docs/redis-users.md)"
        )
    if isinstance(error, OutOfMemoryError):
        return "Redis is full, and refuses writes: give it more memory (docs/operations.md), and try again"
    if isinstance(error, ReadOnlyError):
        return "Redis refuses writes: it is a replica: set LIVEWARDEN_REDIS_URL to its primary"
    if text.startswith(UNSAVED):
        return f"Redis refuses writes, since it cannot save them: see to its disk, and try again ({text})"
    if text.startswith(FEW_REPLICAS):
        return "Redis refuses writes: it has fewer replicas than `min-replicas-to-write` asks for"
    if away := _AWAY.fullmatch(text):
        return (
            f"Redis: {away['place']} cannot be reached ({away['reason']}): see that it runs, and LIVEWARDEN_REDIS_URL"
        )
    return f"Redis: {text}"


@contextmanager
def unless_full() -> Iterator[None]:
    """Skips a useful but unnecessary write if Redis's memory is full (OutOfMemoryError)."""
    try:
        yield
    except OutOfMemoryError as error:
        _log.debug("skipped: %s", error)


def is_of_data(error: StoreError) -> bool:
    """Returns whether Redis refused a command over foreign or damaged data under one key: others may work."""
    cause = error.__cause__
    return isinstance(cause, ResponseError) and not isinstance(cause, OutOfMemoryError | NoPermissionError)


def now_ms(redis: Redis) -> int:
    """Redis's time in milliseconds: the only clock with which times in Redis are compared."""
    return time_ms(redis.time())


def now_us(redis: Redis) -> int:
    """The same in microseconds: for what happens in the same millisecond, and must be in order."""
    seconds, microseconds = redis.time()
    return int(seconds) * 1_000_000 + int(microseconds)


def time_ms(answer: Sequence[Any]) -> int:
    """The answer to TIME, as a pipeline returns it, in milliseconds."""
    seconds, microseconds = answer
    return int(seconds) * 1000 + int(microseconds) // 1000


def is_recent(noted_ms: object, now: int, within_ms: int) -> bool:
    """Returns whether a stored time is in (`now` - `within_ms`, `now`], in ms. A time in the future, from before
    Redis's clock went back, is not recent, or work would wait until the clock is there again. Neither is an invalid
    one."""
    noted = str(noted_ms)
    return noted.isascii() and noted.isdecimal() and 0 <= now - int(noted) < within_ms


def drop_idle_connections(redis: Redis) -> None:
    """Closes idle connections after an exception at an arbitrary point: one with an outstanding answer would return it
    to the next caller. Connections in use by other threads stay."""
    redis.connection_pool.disconnect(inuse_connections=False)


class _Script(NamedTuple):
    source: str
    sha1: str
    once: bool

    def keys(self, keys: Sequence[str]) -> Sequence[str]:
        """The keys, with one that identifies this call if the script needs it; it stays the same in retries."""
        return [*keys, once_key(secrets.token_hex(16))] if self.once else keys


@cache
def _script(name: str) -> _Script:
    own = files("worker.store").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    # Redis reads a script's flags from its very first line.
    flags, own = own.split("\n", 1) if own.startswith("#!") else ("", own)
    once = own.startswith(_ONCE)
    if once:
        own = f"local function act()\n{own}end\nreturn once(act, {ONCE_SECONDS})\n"
    # Scripts cannot call one another: shared functions are prepended to each.
    shared = shared_functions()
    source = with_names(f"{flags}\n{shared}{own}" if flags else shared + own)
    return _Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), once)


@cache
def shared_functions() -> str:
    """The functions that are prepended to every script."""
    folder = files("worker.store").joinpath("lua", "shared")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in SHARED)


def with_names(source: str) -> str:
    """Replaces `KEY.X` and `LIFE.X` by the prefix and the life in seconds of the key X in `worker.store.redis_keys`."""
    return re.sub(
        r"\b(KEY|LIFE)\.([A-Z_]+)\b",
        lambda found: f"'{KEYS[found[2]].prefix}'" if found[1] == "KEY" else str(KEYS[found[2]].seconds),
        source,
    )


def run_script(
    redis: Redis, name: str, *, keys: Sequence[str], args: Sequence[str | int | float], as_bytes: bool = False
) -> Any:
    """Runs `worker/store/lua/<name>.lua` by its digest; a server that does not know it (restarted, flushed) gets its
    source.

    `as_bytes`: strings in the answer are bytes, since foreign data need not be UTF-8.
    """
    script = _script(name)
    keys = script.keys(keys)
    options = {NEVER_DECODE: True} if as_bytes else {}
    execute: Callable[..., Any] = redis.execute_command
    try:
        return execute("EVALSHA", script.sha1, len(keys), *keys, *args, **options)
    except NoScriptError:
        return execute("EVAL", script.source, len(keys), *keys, *args, **options)


@dataclass(frozen=True, kw_only=True)
class ScriptCall:
    """A script with its keys and arguments."""

    name: str
    keys: Sequence[str]
    args: Sequence[str | int | float]


def run_script_to_disk(
    redis: Redis, name: str, *, keys: Sequence[str], args: Sequence[str | int | float], again_seconds: float = 0.0
) -> Any:
    """Runs a script and returns when its writes are on the server's disk.

    WAITAOF follows the script in one pipeline, so on one connection, since it waits for that connection's writes;
    inside the script it would not wait. `again_seconds`: as of `run_beside_to_disk`.

    Raises:
        StoreError: the script failed, or was not confirmed to be on disk in time. It may have been applied.
    """
    call = ScriptCall(name=name, keys=keys, args=args)
    return run_beside_to_disk(redis, call, None, again_seconds=again_seconds)[0]


def run_beside_to_disk(
    redis: Redis, main: ScriptCall, beside: ScriptCall | None, *, again_seconds: float = 0.0
) -> tuple[Any, Any]:
    """As `run_script_to_disk`, with another script after it in the same round trip and the same write to the disk.

    Args:
        again_seconds: for so long they are sent again where no answer comes, besides what the client does by itself.

    Returns:
        The answers of both. That of `beside` is the error where it failed, which is nothing to `main`; None: there is
        no such script, or this server had not loaded it.
    """
    calls = [main] if beside is None else [main, beside]
    with store_errors():
        *answers, confirmed = _answers(redis, calls, until=time.monotonic() + again_seconds)
        if isinstance(answers[0], Exception):
            raise answers[0]
    if isinstance(confirmed, ResponseError):
        raise StoreError(f"Redis has no append-only file ({confirmed}): set appendonly yes, appendfsync always")
    if isinstance(confirmed, Exception) or int(confirmed[0]) < 1:
        raise StoreError(f"Redis did not confirm within {DISK_MILLISECONDS} ms that {main.name} is on disk")
    told = answers[1] if len(answers) > 1 and not isinstance(answers[1], NoScriptError) else None
    return answers[0], told


def _answers(redis: Redis, calls: Sequence[ScriptCall], *, until: float) -> list[Any]:
    """The answers of scripts and of WAITAOF; what identifies a call stays the same, however often it is sent."""
    scripts = [_script(call.name) for call in calls]
    keys = [script.keys(call.keys) for script, call in zip(scripts, calls, strict=True)]
    digests = [("EVALSHA", script.sha1) for script in scripts]
    sources = [("EVAL", script.source) for script in scripts]
    arguments = [(len(own), *own, *call.args) for own, call in zip(keys, calls, strict=True)]
    while True:
        try:
            answers = _in_one_pipeline(redis, digests, arguments)
            return _in_one_pipeline(redis, sources, arguments) if isinstance(answers[0], NoScriptError) else answers
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            if time.monotonic() >= until:
                raise


def _in_one_pipeline(
    redis: Redis, commands: Sequence[tuple[str, str]], arguments: Sequence[tuple[str | int | float, ...]]
) -> list[Any]:
    with redis.pipeline(transaction=False) as pipe:
        execute: Callable[..., Any] = pipe.execute_command
        for command, own in zip(commands, arguments, strict=True):
            execute(*command, *own)
        pipe.waitaof(1, 0, DISK_MILLISECONDS)
        return list(pipe.execute(raise_on_error=False))
