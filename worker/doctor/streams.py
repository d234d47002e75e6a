"""Checks of the streams: rules that fail on them, and streams that are slow."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError

from config.counts import counted
from worker.doctor.diagnosis import Diagnosis, fail, warn
from worker.ingest.pending.fair_queue import Lane, waiting_streams
from worker.ingest.registry.danger_reports import waiting_reports
from worker.ingest.registry.registry import is_over, stream_ids, stream_key
from worker.ingest.registry.slow_streams import SlowPart, slow_key
from worker.store.redis_client import now_ms

STREAMS_AT_ONCE = 1_000
"""In one pipeline: some ms."""

SHOWN_STREAMS = 5
"""Streams named in the row, of each part."""

LATE_DANGER_MS = 10_000
"""A report of imminent danger is raised within a second or two."""


def for_each_stream(
    redis: Redis, command: Callable[[Pipeline, str], object], *, raise_on_error: bool = True
) -> Iterator[tuple[str, Any]]:
    """Each stream and the answer to its command; the error in its place unless `raise_on_error`."""
    every = stream_ids(redis)
    for begin in range(0, len(every), STREAMS_AT_ONCE):
        some = every[begin : begin + STREAMS_AT_ONCE]
        with redis.pipeline(transaction=False) as pipe:
            for stream_id in some:
                command(pipe, stream_id)
            answers = pipe.execute(raise_on_error=raise_on_error)
        yield from zip(some, answers, strict=True)


def examine_failing(redis: Redis) -> Iterator[Diagnosis]:
    """Names rules that failed, or took too long, in the last segment of a stream; no row where there are none."""
    found: dict[str, list[str]] = defaultdict(list)
    for stream_id, (state, degraded) in _undamaged(
        redis, lambda pipe, stream_id: pipe.hmget(stream_key(stream_id), "state", "degraded")
    ):
        if degraded is not None and not is_over(state):
            with suppress(ValueError, TypeError):  # damaged
                for slug in json.loads(degraded):
                    if str(slug).startswith(("rule-failed:", "rule-slow:")):
                        found[slug].append(stream_id)
    if found:
        rules = ", ".join(f"{slug} on {_named(streams, 1)}" for slug, streams in sorted(found.items()))
        yield warn(
            "failing rules",
            f"in the last segments: {rules}",
            advice="such a rule calls nobody there: see which types the metadata of such a stream has "
            "(`livewarden streams show ID --json`), and try the rule with `livewarden policy replay`",
        )


def examine_danger(redis: Redis) -> Iterator[Diagnosis]:
    """Names reports of imminent danger that no worker has raised; no row where there are none."""
    late_ms = now_ms(redis) - LATE_DANGER_MS
    late = [report.stream_id for report in waiting_reports(redis) if report.reported_ms < late_ms]
    if late:
        yield fail(
            "imminent danger",
            f"reported, and not raised for over {LATE_DANGER_MS // 1000} s: {_named(late, SHOWN_STREAMS)}",
            advice="act on these streams now, without waiting for the queue; then start workers, or see in their logs "
            "why they raise nothing",
        )


def examine_slow(redis: Redis) -> Iterator[Diagnosis]:
    """Names slow streams, which share a part of the processes; no row where there are none."""
    # Marks outlive the watch of their streams.
    states = _undamaged(redis, lambda pipe, stream_id: pipe.hget(stream_key(stream_id), "state"))
    watched = {stream_id for stream_id, state in states if state is not None and not is_over(state)}
    found = []
    for part in SlowPart:
        marks = _undamaged(redis, _slow_in(part))
        slow = [stream_id for stream_id, slow in marks if slow == "1" and stream_id in watched]
        if slow:
            found.append(f"{part} of {_named(slow, SHOWN_STREAMS)}")
    if found:
        yield warn(
            "slow streams",
            f"{'; '.join(found)}; {waiting_streams(redis, Lane.SLOW)} have segments waiting",
            advice="their origins or pictures take long, so they share a quarter of the processes: check the "
            "origins; where they are sound, start a worker for these streams alone, with "
            "`-Q segments.slow,control.slow`",
        )


def _undamaged(redis: Redis, command: Callable[[Pipeline, str], object]) -> Iterator[tuple[str, Any]]:
    for stream_id, answer in for_each_stream(redis, command, raise_on_error=False):
        if not isinstance(answer, ResponseError):
            yield stream_id, answer


def _slow_in(part: SlowPart) -> Callable[[Pipeline, str], object]:
    return lambda pipe, stream_id: pipe.hget(slow_key(part, stream_id), "slow")


def _named(streams: Sequence[str], most: int) -> str:
    return f"{counted(len(streams), 'stream')} ({', '.join(streams[:most])}{', …' if len(streams) > most else ''})"
