"""Check of the moderators' queue: what is in it, and can be given to nobody."""

from collections.abc import Iterator

from redis import Redis

from config.counts import counted
from worker.doctor.diagnosis import Diagnosis, warn
from worker.queue.aside import REASONS, entries_aside, unreadable_incidents


def examine_queue(redis: Redis) -> Iterator[Diagnosis]:
    """Reports open incidents with damaged records, and entries that were set aside."""
    damaged = unreadable_incidents(redis)
    if damaged:
        yield warn(
            "queue",
            f"{counted(len(damaged), 'open incident')} with damaged records, which nobody is given: {damaged[0]}",
            "`livewarden queue show` has what is left of it; somebody has to look at the stream",
        )
    aside = entries_aside(redis)
    if aside.total:
        parts = ", ".join(f"{count} {reason}" for reason, count in aside.counts.items())
        newest = next(iter(aside.newest), None)
        where = (
            ""
            if newest is None
            else f"; the newest is {newest.entry_id} of {newest.stream_key}: "
            + REASONS.get(newest.reason, newest.reason)
        )
        yield warn(
            "queue",
            f"{counted(aside.total, 'entry')} set aside, ever: {parts}{where}",
            "see who else writes to the queue, and whether a worker of a newer version runs beside this one",
        )
