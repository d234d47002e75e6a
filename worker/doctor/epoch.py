"""Whether Redis lost its state lately: `livewarden doctor`'s part of it."""

from collections.abc import Iterator

from config.settings import Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.errors import StoreError
from worker.events.cloudevent import rfc3339
from worker.health.redis_epoch import BEHIND, Epoch, read_epoch
from worker.store.redis_client import connect, now_ms, store_errors

LATELY_MS = 24 * 3600 * 1000

_REGISTER = (
    "register streams anew, and see that Redis keeps its data on a volume that outlives it; decisions, quarantines and "
    "proposals of before are gone"
)
_RESTORING = (
    "events are marked `state-lost` until the hash bank is whole: a worker that ran before the loss writes it, and "
    "its log says what fails; where none did, import every list again (`livewarden bank import`)"
)


def examine_epoch(settings: Settings) -> Iterator[Diagnosis]:
    """One row; nothing where Redis is away: another check shows that."""
    try:
        with connect(settings.redis_url.get_secret_value(), retries=0) as redis, store_errors():
            epoch, now = read_epoch(redis), now_ms(redis)
    except StoreError:
        return
    yield diagnose(epoch, now)


def diagnose(epoch: Epoch | None, now_ms: int) -> Diagnosis:
    """What there is to say of an epoch; None: no worker has begun one."""
    name = "redis state"
    if epoch is None:
        return Diagnosis(name=name, state=State.OK, found="no worker has used this Redis yet")
    since = f"there since {rfc3339(epoch.begun_ms)}"
    behind = epoch.bank == BEHIND
    if not epoch.lost or not (behind or now_ms - epoch.begun_ms < LATELY_MS):
        return Diagnosis(name=name, state=State.OK, found=since)
    left = "an older copy" if epoch.found == "older_copy" else "nothing"
    seen = "no process lived then" if epoch.since_ms is None else f"last seen {rfc3339(epoch.since_ms)}"
    return Diagnosis(
        name=name,
        state=State.WARN,
        found=f"{since}: what was there before is lost ({left} was left, {seen}); the hash bank is "
        f"{'not whole yet' if behind else 'whole again'}",
        advice=f"{_REGISTER}; {_RESTORING}" if behind else _REGISTER,
    )
