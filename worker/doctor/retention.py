"""Checks of retention: whether evidence whose term is over is deleted, and what waits for a report."""

from collections.abc import Iterator
from typing import Final

from redis import Redis

from config.counts import counted
from config.policy.retention import DAY_MS, HOUR_MS
from worker.doctor.diagnosis import Diagnosis, ok, warn
from worker.events.cloudevent import rfc3339
from worker.queue.record_fields import number_of
from worker.retention.due import DUE, UNREPORTED
from worker.retention.purge import STATE
from worker.store.redis_client import now_ms

LATE_MS: Final = HOUR_MS
"""An incident whose check is overdue for longer (>): no worker purges."""

UNREPORTED_DAYS: Final = 7
"""After which (>) an incident that may have to be reported is pointed out."""


def examine_retention(redis: Redis) -> Iterator[Diagnosis]:
    """Reports a purge that the store refuses or that no worker does, and incidents that nobody reported."""
    now = now_ms(redis)
    with redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(STATE)
        pipe.zcount(DUE, "(0", now - LATE_MS)
        pipe.zcard(DUE)
        pipe.zcount(UNREPORTED, "-inf", now - UNREPORTED_DAYS * DAY_MS)
        state, late, kept, unreported = pipe.execute()
    fields = {str(name): str(value) for name, value in state.items()}
    if "error" in fields:
        since = number_of(fields, "error_ms")
        when = "" if since is None else f" ({rfc3339(since)})"
        yield warn(
            "retention",
            f"evidence of incident {fields.get('incident', '?')} cannot be deleted{when}: {fields['error']}",
            "its term is over: give workers the right to delete in LIVEWARDEN_STORE_URL; it is tried again every ten "
            "minutes, and `livewarden evidence purge` tries now",
        )
    elif late:
        yield warn(
            "retention",
            f"{counted(int(late), 'incident')} with evidence were not checked for over an hour",
            "workers check them beside their other work: see whether any is alive, and what its log says",
        )
    elif kept:
        yield ok("retention", f"{counted(int(kept), 'incident')} with evidence, each checked within the hour")
    if unreported:
        yield warn(
            "reports",
            f"{counted(int(unreported), 'incident')} decided as CSEA or a child at risk over {UNREPORTED_DAYS} days "
            "ago, without a report on record",
            "report them, and record it: `livewarden report record CASE`; until then evidence is kept without end",
        )
