"""Whether rules can be evaluated on what is live now: `livewarden doctor`'s part of it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from redis import Redis

from config.counts import counted
from config.settings import Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.errors import StoreError
from worker.ingest.playlist.cursor import StreamState
from worker.ingest.registry.registry import REMOVED, stream_ids, stream_key
from worker.store.redis_client import connect, store_errors

STREAMS_AT_ONCE = 1_000
"""Of which Redis is asked in one go: some ms."""

_OVER = (REMOVED, StreamState.ENDED.value)


def examine_failing(settings: Settings) -> Iterator[Diagnosis]:
    """Tells of rules that failed, or took too long, in the last segment of a watched stream; nothing where there are
    none, or where Redis is away: another check tells that."""
    try:
        with connect(settings.redis_url.get_secret_value(), retries=0) as redis:
            streams = _streams_by_problem(redis)
    except StoreError:
        return
    if streams:
        told = (f"{slug} on {_told(names)}" for slug, names in sorted(streams.items()))
        yield Diagnosis(
            name="failing rules",
            state=State.WARN,
            found=f"in the last segments: {', '.join(told)}",
            advice="such a rule calls nobody there: see of which type what it asks for is, in the metadata of such a "
            "stream (`livewarden streams show ID --json`), and try the rule with `livewarden policy replay`",
        )


def _told(names: Sequence[str]) -> str:
    return f"{counted(len(names), 'stream')} ({names[0]}{', …' if len(names) > 1 else ''})"


def _streams_by_problem(redis: Redis) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    with store_errors():
        every = stream_ids(redis)
        for begin in range(0, len(every), STREAMS_AT_ONCE):
            some = every[begin : begin + STREAMS_AT_ONCE]
            with redis.pipeline(transaction=False) as pipe:
                for stream_id in some:
                    pipe.hmget(stream_key(stream_id), "state", "degraded")
                told = pipe.execute()
            for stream_id, (state, degraded) in zip(some, told, strict=True):
                if degraded is not None and state not in _OVER:
                    for slug in json.loads(degraded):
                        if slug.startswith(("rule-failed:", "rule-slow:")):
                            found[slug].append(stream_id)
    return found
