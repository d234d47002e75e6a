"""Checks of Redis: reachable, recent, closed to strangers, durable, never evicting, on time; no state lost lately."""

import re
import time
from collections.abc import Iterator
from ipaddress import ip_address
from secrets import token_hex
from typing import Any, Final

from redis import ConnectionPool, Redis
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from worker.doctor.diagnosis import Diagnosis, State, fail, ok, warn
from worker.errors import StoreError
from worker.events.cloudevent import rfc3339
from worker.health.redis_epoch import BEHIND, Epoch, read_epoch
from worker.health.redis_memory import RedisMemory
from worker.store import redis_keys
from worker.store.redis_client import DISK_MILLISECONDS, FEW_REPLICAS, UNSAVED, WITHOUT_FILE, connect, now_ms

OLDEST_VERSION = (7, 2)
"""WAITAOF came with Redis 7.2."""

MAX_SKEW_SECONDS = 2.0
"""Largest (<=) difference of this machine's clock and Redis's, which times in Redis are of; signed URLs and logs use
this one."""

SLOW_DISK_SECONDS = 0.25
"""A WAITAOF that takes longer (>) holds up every segment: 1 ms with `appendfsync always`, 0.8 s with `everysec`
(measured on Redis 8)."""

FULL = 0.75
"""Share of Redis's memory above which (>) an operator is warned: a rewrite of the append-only file takes some too."""

MEGABYTE = 1_000_000

_PROBE_MILLISECONDS = 10_000
"""Life of the key that the disk check writes."""

LATELY_MS = 24 * 3600 * 1000
"""The time for which a loss of Redis's data is reported."""

_REGISTER = (
    "register streams anew, and see that Redis keeps its data on a volume that outlives it; decisions, quarantines and "
    "proposals of before are gone"
)
_RESTORING = (
    "events are marked `state-lost` until the hash bank is whole: a worker that ran before the loss writes it, and "
    "its log says what fails; where none did, import every list again (`livewarden bank import`)"
)


def reach(url: str) -> tuple[Redis | None, Diagnosis | None]:
    """A client for all checks, and a row where there is none."""
    try:
        redis = connect(url, retries=0)
        _ping(redis)
    except (AuthenticationError, NoPermissionError) as error:
        return None, _refused(error)
    except (RedisError, StoreError) as error:
        return None, _away(error)
    return redis, None


def _ping(redis: Redis) -> None:
    """Asks whether Redis is there. One that cannot save refuses this too, and is."""
    try:
        redis.ping()
    except ResponseError as error:
        if not str(error).startswith(UNSAVED):
            raise


def _away(error: Exception) -> Diagnosis:
    return fail("redis", f"cannot be reached: {error}", "start Redis 7.2 or later, and set LIVEWARDEN_REDIS_URL to it")


def _refused(error: RedisError) -> Diagnosis:
    return fail(
        "redis",
        f"refuses this user: {error}",
        advice="set LIVEWARDEN_REDIS_USERNAME and LIVEWARDEN_REDIS_PASSWORD_FILE to a role that may run `doctor`, "
        "operator or worker (docs/redis-users.md); Redis reads changed users when it restarts",
    )


def examine_redis(redis: Redis) -> Iterator[Diagnosis]:
    """Checks the server; one row where it refuses this user, or has gone away since it was reached."""
    try:
        server = redis.info("server")
    except NoPermissionError as error:
        yield _refused(error)
        return
    except RedisError as error:
        yield _away(error)
        return
    yield _version(server)
    yield _strangers(redis)
    for name, check, advice in _CHECKS:
        try:
            yield check(redis, name, advice)
        except RedisError as error:
            # Managed servers forbid some commands; then the operator has to check there.
            yield warn(name, f"Redis refuses the query: {error}", f"check by hand: {advice}")


def _version(server: dict[str, Any]) -> Diagnosis:
    number = str(server.get("redis_version", "?"))
    name = f"Valkey {server['valkey_version']} as Redis {number}" if "valkey_version" in server else f"Redis {number}"
    parts = tuple(int(part) for part in re.findall(r"\d+", number)[:2])
    if parts >= OLDEST_VERSION:
        return ok("redis", name)
    return fail("redis", name, "WAITAOF needs Redis 7.2 or later: upgrade")


def _strangers(redis: Redis) -> Diagnosis:
    """Connects without a user, as anybody who reaches the server may."""
    name = "redis users"
    pool = redis.connection_pool
    anonymous = {**pool.connection_kwargs, "username": None, "password": None, "retry": None}
    try:
        with Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **anonymous)) as stranger:
            _ping(stranger)
    except AuthenticationError:
        return ok(name, "refuses connections without a password")
    except RedisError as error:
        return ok(name, f"refuses connections without a password: {error}")
    host = str(anonymous.get("host", "localhost"))  # a socket has none
    if _is_this_machine(host):
        return ok(name, f"no password is required on {host}")
    return warn(
        name,
        f"anybody who reaches {host} connects without a password, and may do anything",
        "give Redis a user for each role: `livewarden redis-users FOLDER`, and `aclfile` (docs/redis-users.md)",
    )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _append_only(redis: Redis, name: str, advice: str) -> Diagnosis:
    if redis.info("persistence").get("aof_enabled"):
        return ok(name, "yes")
    return fail(name, "no: escalations are lost when Redis restarts", advice)


def _fsync(redis: Redis, name: str, advice: str) -> Diagnosis:
    found = redis.config_get("appendfsync").get("appendfsync")
    if found == "always":
        return ok(name, found)
    state = State.WARN if found == "everysec" else State.FAIL
    return Diagnosis(name=name, state=state, found=str(found), advice=advice)


def _eviction(redis: Redis, name: str, advice: str) -> Diagnosis:
    found = redis.info("memory").get("maxmemory_policy")
    if found == "noeviction":
        return ok(name, found)
    return fail(name, f"{found}: pending segments may be evicted", advice)


def _memory(redis: Redis, name: str, advice: str) -> Diagnosis:
    """A full Redis refuses writes that need memory: no stream is polled."""
    memory, room = redis.info("memory"), RedisMemory.read(redis)
    if room.full:
        found = (
            f"full, so that it refuses writes that need memory: {room.used_bytes / MEGABYTE:,.0f} MB of "
            f"{room.limit_bytes / MEGABYTE:,.0f} MB that `maxmemory` allows; no stream is polled"
        )
        return fail(name, found, advice)
    used, limit = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
    machine = int(memory.get("total_system_memory", 0))
    most = limit or machine
    of = f"of {most / MEGABYTE:,.0f} MB that " + ("`maxmemory` allows" if limit else "its machine has (no `maxmemory`)")
    found = f"{used / MEGABYTE:,.0f} MB {of}" if most else f"{used / MEGABYTE:,.0f} MB"
    if most and used > FULL * most:
        return warn(name, found, advice)
    return ok(name, found)


def _disk(redis: Redis, name: str, advice: str) -> Diagnosis:
    """Writes a key that expires, and waits until it is on disk."""
    started = time.monotonic()
    try:
        with redis.pipeline(transaction=False) as pipe:
            pipe.set(redis_keys.DOCTOR_PROBE.of(token_hex(8)), 1, px=_PROBE_MILLISECONDS)
            pipe.waitaof(1, 0, DISK_MILLISECONDS)
            _, confirmed = pipe.execute()
    except OutOfMemoryError:
        return warn(name, "not tried: Redis is full", "give Redis room first")
    except ReadOnlyError:
        return fail(name, "refuses writes: it is a replica", "set LIVEWARDEN_REDIS_URL to its primary")
    except ResponseError as error:
        if FEW_REPLICAS in str(error):
            found = "refuses writes: it has fewer replicas than `min-replicas-to-write` asks for"
            return fail(name, found, "see to its replicas, or lower `min-replicas-to-write`")
        if UNSAVED in str(error):
            return fail(name, "refuses writes: it cannot save", "see to the disk under Redis: its log says what fails")
        if WITHOUT_FILE in str(error):
            return fail(name, "not tried: Redis has no append-only file", advice)
        return fail(name, f"a write that waits for the disk was refused: {error}", advice)
    seconds = time.monotonic() - started
    if int(confirmed[0]) < 1:
        return fail(name, f"a write was not on disk within {DISK_MILLISECONDS} ms", advice)
    found = f"a write was on disk after {seconds * 1000:.0f} ms"
    if seconds > SLOW_DISK_SECONDS:
        return warn(name, found, advice)
    return ok(name, found)


def _clock(redis: Redis, name: str, advice: str) -> Diagnosis:
    before = time.time()
    seconds, microseconds = redis.time()
    after = time.time()
    skew_seconds = int(seconds) + int(microseconds) / 1e6 - (before + after) / 2
    # Half of the round trip is uncertain.
    doubt_seconds = (after - before) / 2
    found = f"{abs(skew_seconds):.2f} s apart from Redis's (give or take {doubt_seconds:.2f} s)"
    if abs(skew_seconds) - doubt_seconds <= MAX_SKEW_SECONDS:
        return ok(name, found)
    return warn(name, found, advice)


_CHECKS: Final = (
    ("redis appendonly", _append_only, "set `appendonly yes`, with the data on a volume that outlives the container"),
    ("redis appendfsync", _fsync, "set `appendfsync always`: 1 ms a segment where `everysec` takes 0.8 s"),
    ("redis maxmemory-policy", _eviction, "set `maxmemory-policy noeviction`: a full Redis must refuse, not forget"),
    ("redis memory", _memory, "see what fills it (`redis-cli --bigkeys`, `livewarden streams list`), or give it more"),
    ("redis disk", _disk, "set `appendonly yes` and `appendfsync always`, and check the disk under Redis"),
    ("clock", _clock, "run a time service (NTP) on both machines"),
)
"""Name, check, and what to do where it finds something or cannot be made."""


def examine_epoch(redis: Redis) -> Iterator[Diagnosis]:
    """Reports whether Redis lost its data lately."""
    yield diagnose(read_epoch(redis), now_ms(redis))


def diagnose(epoch: Epoch | None, now_ms: int) -> Diagnosis:
    """The row of an epoch; None: no worker has begun one."""
    name = "redis state"
    if epoch is None:
        return ok(name, "no worker has used this Redis yet")
    since = f"there since {rfc3339(epoch.begun_ms)}"
    behind = epoch.bank == BEHIND
    if not epoch.lost or not (behind or now_ms - epoch.begun_ms < LATELY_MS):
        return ok(name, since)
    left = "an older copy" if epoch.found == "older_copy" else "nothing"
    seen = "no process ran then" if epoch.since_ms is None else f"last seen {rfc3339(epoch.since_ms)}"
    return warn(
        name,
        found=f"{since}: the data before is lost ({left} was left, {seen}); the hash bank is "
        f"{'not whole yet' if behind else 'whole again'}",
        advice=f"{_REGISTER}; {_RESTORING}" if behind else _REGISTER,
    )
