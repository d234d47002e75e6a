"""Whether streams are slow, and share a part of the processes: `livewarden doctor`'s part of it."""

from collections.abc import Iterator

from redis import Redis

from config.counts import counted
from config.settings import Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.errors import StoreError
from worker.ingest.pending.fair_queue import Lane, waiting_streams
from worker.ingest.registry.registry import stream_ids
from worker.ingest.registry.slow_streams import SlowPart, slow_key
from worker.store.redis_client import connect, store_errors

STREAMS_AT_ONCE = 1_000
"""Of which Redis is asked in one go: some ms."""

SHOWN_STREAMS = 5
"""Named in the line, of each part."""


def examine_slow(settings: Settings) -> Iterator[Diagnosis]:
    """Shows which streams are slow; nothing where there are none, or where Redis is away: another check shows that."""
    try:
        with connect(settings.redis_url.get_secret_value(), retries=0) as redis, store_errors():
            slow = {part: _slow_streams(redis, part) for part in SlowPart}
            waiting = waiting_streams(redis, Lane.SLOW)
    except StoreError:
        return
    found = [f"{part} of {_named(names)}" for part, names in slow.items() if names]
    if found:
        yield Diagnosis(
            name="slow streams",
            state=State.WARN,
            found=f"{'; '.join(found)}; {waiting} have segments waiting",
            advice="their origins, or their pictures, take long, so they share a quarter of the processes: look at the "
            "origins; where they are sound, start a worker for them alone, with `-Q segments.slow,control.slow`",
        )


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN_STREAMS])
    return f"{counted(len(names), 'stream')} ({shown}{', …' if len(names) > SHOWN_STREAMS else ''})"


def _slow_streams(redis: Redis, part: SlowPart) -> list[str]:
    found: list[str] = []
    every = stream_ids(redis)
    for begin in range(0, len(every), STREAMS_AT_ONCE):
        some = every[begin : begin + STREAMS_AT_ONCE]
        with redis.pipeline(transaction=False) as pipe:
            for stream_id in some:
                pipe.hget(slow_key(part, stream_id), "slow")
            found += [stream_id for stream_id, slow in zip(some, pipe.execute(), strict=True) if slow == "1"]
    return found
