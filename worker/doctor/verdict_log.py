"""Whether all of the verdict log can be read: `livewarden doctor`'s part of it."""

from collections.abc import Iterator

from config.settings import Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.errors import StoreError
from worker.store.redis_client import connect
from worker.verdictlog.damaged import damaged_files


def examine_log_files(settings: Settings) -> Iterator[Diagnosis]:
    """Names files that workers could not read; nothing where there are none, or Redis is away, which another check
    tells."""
    redis = connect(settings.redis_url.get_secret_value(), retries=0)
    try:
        damaged = damaged_files(redis)
    except StoreError:
        return
    finally:
        redis.close()
    if not damaged:
        return
    number = "1 file" if len(damaged) == 1 else f"{len(damaged):,} files"
    yield Diagnosis(
        name="verdict log files",
        state=State.WARN,
        found=f"{number} cannot be read or looked back on: {next(iter(damaged.values())).problem}",
        advice="look for the cause: a full disk, a machine that lost its power, another program that writes there; "
        "bring the files back from a copy, or leave them: they are removed when they are too old",
    )
