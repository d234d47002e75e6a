"""Whether what platforms send is read, and not refused: `livewarden doctor`'s part of it."""

from collections.abc import Iterator

from config.counts import counted
from config.settings import Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.errors import StoreError
from worker.ingest.messages.batches import waiting
from worker.ingest.messages.keys import lists_of
from worker.ingest.messages.refusals import refused_counts, refused_messages
from worker.ingest.registry.registry import DUE_NEW
from worker.store.redis_client import connect, now_ms, store_errors

MANY = 1_000
"""Messages that wait: one reader is through with as many in some seconds."""

LATELY_MS = 3_600_000

CELERY_DEFAULT = "celery"
"""Where Celery sends what names no queue."""


def examine_intake(settings: Settings) -> Iterator[Diagnosis]:
    """Tells how many messages wait and were refused; nothing where Redis is away: another check tells that."""
    try:
        with connect(settings.redis_url.get_secret_value(), retries=0) as redis, store_errors():
            astray = sum(int(redis.llen(key)) for key in lists_of(CELERY_DEFAULT))
            length, counts, newest, now, new = (
                waiting(redis),
                refused_counts(redis),
                refused_messages(redis, 1),
                now_ms(redis),
                int(redis.zcard(DUE_NEW)),
            )
    except StoreError:
        return
    if astray:
        yield Diagnosis(
            name="queue celery",
            state=State.WARN,
            found=f"{counted(astray, 'message', 'wait')} in the queue `celery`, from which nobody reads",
            advice='a platform sends without `queue="intake"`: have it name the queue and send these again, '
            f"then delete them (`DEL {CELERY_DEFAULT}`)",
        )
    told = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
    found = f"{counted(length, 'message', 'wait')}; {f'refused so far: {told}' if told else 'none was refused'}"
    if new:
        found += f"; {counted(new, 'stream', 'wait')} for their first poll, or were never read"
    if new > MANY:
        advice = "see who registers so many streams, and whether their URLs can be read: `livewarden streams list`"
    elif length > MANY:
        advice = "see that workers run, and who sends so much"
    elif newest and now - int(newest[0]["at_ms"]) < LATELY_MS:
        advice = "the last was refused within the hour: see which and why with `livewarden streams refused`"
    else:
        yield Diagnosis(name="intake", state=State.OK, found=found)
        return
    yield Diagnosis(name="intake", state=State.WARN, found=found, advice=advice)
