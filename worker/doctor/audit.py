"""Checks of the audit log that take no time; `livewarden audit verify` reads all of it."""

from collections.abc import Iterator

from redis import Redis

from config.counts import counted
from config.settings import Settings
from worker.audit.copies import EVERY_MS, uncopied
from worker.audit.redis_log import newest_entry, read_linked
from worker.audit.verification import LINKED_WITHIN_MS, late_entries
from worker.doctor.diagnosis import Diagnosis, fail, ok, warn
from worker.store.redis_client import now_ms

NAME = "audit log"

COPIED_WITHIN_MS = 2 * EVERY_MS
"""The age of an entry that is not copied from which on (>) it is reported."""

ENTRY_BYTES = 500
"""Memory of an entry in Redis; an ordinary decision's is 432 bytes (`python -m bench.audit`)."""


def examine_audit(redis: Redis, settings: Settings) -> Iterator[Diagnosis]:
    """Examines whether entries are linked and copied, and whether the head fits the newest entry."""
    late, (head, newest, last_id) = late_entries(redis), newest_entry(redis)
    if late:
        yield warn(
            NAME,
            f"{counted(late, 'entry')} not linked for over {LINKED_WITHIN_MS // 1000} s, and not protected yet",
            "see that a worker runs, and its log: upkeep links them every 2 s",
        )
        return
    if not head.hash:
        yield ok(NAME, "no act was recorded yet")
        return
    if newest is None or newest.hash != head.hash or last_id != head.last_id:
        yield fail(
            NAME,
            f"its newest entry in Redis is not number {head.n:,}, which the head names",
            "entries were removed or added behind Livewarden's back: see which with `livewarden audit verify`",
        )
        return
    oldest = next(read_linked(redis, after=head.copied_id, most=1), None)
    age_ms = 0 if oldest is None else now_ms(redis) - int(oldest.id.partition("-")[0])
    count = uncopied(head)
    if age_ms > COPIED_WITHIN_MS:
        yield warn(
            NAME,
            f"{counted(count, 'entry')}, some {count * ENTRY_BYTES / 1e6:.1f} MB, only in Redis for "
            f"{age_ms / 3_600_000:.0f} hours: nothing is dropped, and Redis grows",
            "see that the store can be written and LIVEWARDEN_EVIDENCE_RECIPIENTS be read: workers log why it fails",
        )
        return
    form = "sealed" if settings.evidence_recipients is not None else "clear: there are no recipients of evidence"
    yield ok(NAME, f"{counted(head.n, 'entry')}, the newest {count:,} only in Redis so far; copies are {form}")
