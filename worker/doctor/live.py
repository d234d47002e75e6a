"""Checks of a deployment at work: workers, beat, backlog and streams."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import ResponseError

from config.counts import counted
from worker.doctor.diagnosis import Diagnosis, State, fail, ok, warn
from worker.doctor.streams import for_each_stream
from worker.health.presence import LIFE_MS, Presence, ProcessRole, present
from worker.ingest.messages.batches import waiting
from worker.ingest.pending.queues import QUEUES
from worker.ingest.pending.segments import OVERDUE, pending_key
from worker.ingest.poll.schedule import TICK
from worker.ingest.registry.registry import stream_key
from worker.ingest.registry.watch_state import FIELDS, WatchState
from worker.store.redis_client import now_ms

SHOWN = 3
"""Streams or processes named in a line."""

MOST_PENDING = 4_000
"""Segments among which the oldest is searched: some 20 ms."""

OLD_PENDING_SECONDS = 30.0
"""A segment is moderated within seconds, and one whose worker was killed within 30 s."""

IDLE_SHOWN_SECONDS = 30.0
"""For which (>=) a worker asks for no work before it is named: it takes so long to connect again after a failure of
Redis."""

_START = (
    "start workers (`docker compose up -d`, or `celery -A worker.app worker`), and see in their logs why they ended"
)


@dataclass(frozen=True, kw_only=True)
class _Observed:
    """The records of a deployment at work."""

    now_ms: int
    workers: Sequence[Presence]
    beats: Sequence[Presence]
    tick_ms: int
    """0: there was never a tick."""
    live: int
    unwatched: Sequence[tuple[str, int]]
    """Stream, and the time since which it is not polled."""
    queued: dict[str, int]
    intake: int
    pending: int
    overdue: int
    oldest_pending_ms: int | None
    """Admission time of the oldest."""

    @property
    def tick_age_ms(self) -> int:
        return self.now_ms - self.tick_ms

    @property
    def working(self) -> bool:
        # Workers of version 0.1.0 give no sign, but tick.
        return bool(self.workers) or self.tick_age_ms <= LIFE_MS


def examine_live(redis: Redis) -> Iterator[Diagnosis]:
    """Four rows: workers, beat, backlog, streams."""
    seen = _read(redis)
    yield _workers(seen)
    yield _beat(seen)
    yield _backlog(seen)
    yield _streams(seen)


def _read(redis: Redis) -> _Observed:
    workers, beats = present(redis, ProcessRole.WORKER), present(redis, ProcessRole.BEAT)
    now, tick = now_ms(redis), int(redis.get(TICK) or 0)
    live, unwatched = _attention(redis, now, working=bool(workers) or now - tick <= LIFE_MS)
    with redis.pipeline(transaction=False) as pipe:
        for queue in QUEUES:
            pipe.llen(queue)
        pipe.zcard(OVERDUE)
        pipe.zcount(OVERDUE, "-inf", now)
        *lengths, pending, overdue = (int(number) for number in pipe.execute())
    return _Observed(
        now_ms=now,
        workers=workers,
        beats=beats,
        tick_ms=tick,
        live=live,
        unwatched=unwatched,
        queued=dict(zip(QUEUES, lengths, strict=True)),
        intake=waiting(redis),
        pending=pending,
        overdue=overdue,
        oldest_pending_ms=_oldest_pending_ms(redis),
    )


def _attention(redis: Redis, now: int, *, working: bool) -> tuple[int, list[tuple[str, int]]]:
    """The number of live streams, and those that are not polled."""
    live, unwatched = 0, []
    for stream_id, row in for_each_stream(
        redis, lambda pipe, stream_id: pipe.hmget(stream_key(stream_id), FIELDS), raise_on_error=False
    ):
        if isinstance(row, ResponseError):  # damaged: it cannot be polled
            live += 1
            unwatched.append((stream_id, now))
            continue
        stream = {name: str(value) for name, value in zip(FIELDS, row, strict=True) if value is not None}
        if not stream:
            continue  # its record has expired
        attention = WatchState.of(stream, now_ms=now, anybody_works=working)
        live += attention.watched
        if attention.unwatched_since_ms is not None:
            unwatched.append((stream_id, attention.unwatched_since_ms))
    return live, unwatched


def _oldest_pending_ms(redis: Redis) -> int | None:
    members = [str(member).partition(" ") for member in redis.zrange(OVERDUE, 0, MOST_PENDING - 1)]
    with redis.pipeline(transaction=False) as pipe:
        for stream_id, _, key in members:
            pipe.hget(pending_key(stream_id), key)
        records = pipe.execute(raise_on_error=False)
    admitted = []
    for record in records:
        with suppress(ValueError, TypeError, KeyError):  # settled meanwhile, or damaged
            admitted.append(int(json.loads(record)["admitted_ms"]))
    return min(admitted, default=None)


def _workers(seen: _Observed) -> Diagnosis:
    name, work = "workers", seen.live or seen.intake
    if not seen.workers:
        if seen.working:
            found = f"none gives a sign of life; the last tick was {seen.tick_age_ms / 1000:.0f} s ago"
            advice = f"{_START}; workers of version 0.1.0 tick and give no sign: update them"
            return warn(name, found, advice)
        if not work:
            return ok(name, "none runs; nothing is to be watched")
        found = f"none runs: {counted(seen.live, 'stream')} to be watched, {counted(seen.intake, 'message')} in intake"
        return fail(name, found, _START)
    found = (
        f"{counted(len(seen.workers), 'worker')} with {counted(_processes(seen), 'process')}: {_named(seen.workers)}"
    )
    missing = [queue for queue in QUEUES if not any(queue in worker.queues for worker in seen.workers)]
    if missing:
        return Diagnosis(
            name=name,
            state=State.FAIL if work else State.WARN,
            found=f"{found}; none takes {', '.join(missing)}",
            advice="start a worker without `-Q`, or with the queues that are missing",
        )
    idle = [worker for worker in seen.workers if worker.idle_seconds >= IDLE_SHOWN_SECONDS]
    if idle:
        return Diagnosis(
            name=name,
            state=State.FAIL if work and len(idle) == len(seen.workers) else State.WARN,
            found=f"{found}; {_named(idle)} asks for no work for {max(one.idle_seconds for one in idle):.0f} s",
            advice="such a worker ends after 90 s: see that it is started again, and in its log where it was stuck",
        )
    unconfined = [worker for worker in seen.workers if worker.unconfined]
    versions = sorted({worker.version for worker in seen.workers})
    if unconfined:
        return warn(
            name,
            f"{found}; decoders are not confined on {_named(unconfined)}: {'; '.join(unconfined[0].unconfined)}",
            "set LIVEWARDEN_REQUIRE_CONFINEMENT=1, so that such a worker does not start",
        )
    if len(versions) > 1:
        found = f"{found}; of versions {', '.join(versions)}"
        return warn(name, found, "bring all workers to one version")
    return ok(name, found)


def _processes(seen: _Observed) -> int:
    return sum(worker.processes for worker in seen.workers)


def _beat(seen: _Observed) -> Diagnosis:
    name = "beat"
    last = f"the last tick was {seen.tick_age_ms / 1000:.0f} s ago" if seen.tick_ms else "there was never a tick"
    if seen.tick_age_ms > LIFE_MS and seen.live:
        advice = "start beat (`celery -A worker.app beat`); while none runs any worker ticks, so check workers first"
        return fail(name, f"{last}: no stream is polled", advice)
    if seen.beats:
        return ok(name, f"{_named(seen.beats)}; {last}")
    if seen.workers:
        advice = "start `celery -A worker.app beat`: workers tick in its place, a second later"
        return warn(name, f"none runs; {last}, by a worker", advice)
    return ok(name, "none runs; nothing is to be polled")


def _backlog(seen: _Observed) -> Diagnosis:
    name = "backlog"
    lengths = ", ".join(f"{queue} {length:,}" for queue, length in {**seen.queued, "intake": seen.intake}.items())
    age_seconds = 0.0 if seen.oldest_pending_ms is None else max(0, seen.now_ms - seen.oldest_pending_ms) / 1000
    oldest = f", the oldest {age_seconds:.0f} s old" if seen.pending else ""
    found = f"{counted(seen.pending, 'segment')} pending{oldest}, {seen.overdue:,} overdue; messages: {lengths}"
    if age_seconds <= OLD_PENDING_SECONDS:
        return ok(name, found)
    return warn(name, found, "see that workers run; where they are all busy, start more (`--scale worker=N`)")


def _streams(seen: _Observed) -> Diagnosis:
    name = "streams"
    if not seen.unwatched:
        return ok(name, f"{seen.live:,} to be watched{', all polled in time' * bool(seen.live)}")
    oldest = sorted(seen.unwatched, key=lambda one: one[1])
    first = ", ".join(f"{stream_id} for {(seen.now_ms - ms) / 1000:.0f} s" for stream_id, ms in oldest[:SHOWN])
    more = ", …" if len(oldest) > SHOWN else ""
    return Diagnosis(
        name=name,
        state=State.FAIL if len(seen.unwatched) == seen.live else State.WARN,
        found=f"{len(seen.unwatched):,} of {seen.live:,} unwatched: {first}{more}",
        advice=_START if not seen.working else "see whether workers are all busy, or stuck: their logs, `backlog`",
    )


def _named(processes: Sequence[Presence]) -> str:
    return ", ".join(one.name for one in processes[:SHOWN]) + (", …" if len(processes) > SHOWN else "")
