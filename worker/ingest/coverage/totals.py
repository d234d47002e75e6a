"""Daily totals (UTC by Redis's clock), kept for 400 days: the numbers of a transparency report, when streams, ledgers
and incidents are long gone.

A hash a day, which scripts add to (`add_today` in lua/shared/totals.lua), of `<purpose> <name>` to numbers:

    live streams                         streams that listed anything that day, each once
    live ms moderated                    milliseconds added to ledgers, by `worker.ingest.coverage.ledger`'s fields
    live raised RULE SEVERITY            raised incidents, by their severity at that time
    live raised-list LIST SEVERITY       the same, once for each list that they matched
    live decided RULE SEVERITY OUTCOME   first decisions; `decided-list` by list
    live revised RULE SEVERITY FROM TO   changed decisions; `revised-list` by list
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from redis import Redis
from redis.client import NEVER_DECODE

from worker.ingest.coverage.ledger import KINDS
from worker.store import redis_keys
from worker.store.key_pattern import DAY
from worker.store.redis_client import now_ms, store_errors

KEPT_DAYS = redis_keys.DAY_TOTALS.seconds // DAY

_EPOCH = date(1970, 1, 1)
_UNNAMED = "(more)"
_COUNT = re.compile(r"-?[0-9]{1,19}")
COUNTED: Mapping[str, tuple[str, ...]] = {
    "raised": ("rule", "severity"),
    "raised-list": ("list", "severity"),
    "decided": ("rule", "severity", "outcome"),
    "decided-list": ("list", "severity", "outcome"),
    "revised": ("rule", "severity", "previous_outcome", "outcome"),
    "revised-list": ("list", "severity", "previous_outcome", "outcome"),
}


@dataclass(frozen=True, kw_only=True)
class DayTotals:
    """The totals of one day for the streams of one purpose."""

    day: date
    purpose: str
    streams: int
    seconds: Mapping[str, float]
    """`elapsed`, `moderated`, `unhashable`, and `<kind>: <reason>`."""
    counts: Mapping[str, tuple[Mapping[str, str | int], ...]]
    """By `raised`, `decided`, `revised`, and each of these with `-list`: labels, and `count`."""
    unnamed: Mapping[str, int] = field(default_factory=dict)
    """The same kinds -> counts without labels: a day had more names than are kept (`(more)`)."""

    @classmethod
    def of(cls, day: date, purpose: str, fields: Mapping[str, int]) -> Self:
        """Parses the day's fields of this purpose, given without its name. Foreign fields are skipped."""
        seconds = {name.removeprefix("ms "): ms / 1000 for name, ms in fields.items() if name.startswith("ms ")}
        counts: dict[str, list[Mapping[str, str | int]]] = {what: [] for what in COUNTED}
        for name, count in sorted(fields.items()):
            what, *parts = name.split(" ")
            if what in COUNTED and len(parts) == len(COUNTED[what]):
                counts[what].append(dict(zip(COUNTED[what], parts, strict=True)) | {"count": count})
        return cls(
            day=day,
            purpose=purpose,
            streams=fields.get("streams", 0),
            seconds=dict(sorted(seconds.items())),
            counts={what: tuple(found) for what, found in counts.items()},
            unnamed={what: more for what in COUNTED if (more := fields.get(f"{what} {_UNNAMED}", 0))},
        )

    def kind_seconds(self, kind: str) -> float:
        """Total of `skipped`, `failed` or `missed`."""
        return sum(value for name, value in self.seconds.items() if name.startswith(f"{kind}: "))

    def to_data(self) -> dict[str, Any]:
        """As `livewarden statistics --json` prints it."""
        return {
            "date": self.day.isoformat(),
            "purpose": self.purpose,
            "streams": self.streams,
            "elapsed_seconds": self.seconds.get("elapsed", 0.0),
            "moderated_seconds": self.seconds.get("moderated", 0.0),
            **{f"{kind}_seconds": self.kind_seconds(kind) for kind in KINDS},
            "reasons": {name: value for name, value in self.seconds.items() if name.startswith(KINDS)},
            **{what.replace("-", "_"): list(found) for what, found in self.counts.items()},
        }


def totals(redis: Redis, *, days: int) -> Iterator[DayTotals]:
    """The totals of the last `days` days including today, the newest first, for each purpose that has any.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        today = datetime.fromtimestamp(now_ms(redis) / 1000, UTC).date()
    yield from totals_on(redis, (today - timedelta(days=ago) for ago in range(days)))


def totals_on(redis: Redis, days: Iterable[date]) -> Iterator[DayTotals]:
    """The totals of those days, in their order, for each purpose that has any.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        for day in days:
            key = redis_keys.DAY_TOTALS.of(str((day - _EPOCH).days))
            record = redis.execute_command("HGETALL", key, **{NEVER_DECODE: True})  # type: ignore[no-untyped-call]
            for purpose in ("live", "drill", "canary"):
                fields = _fields(record, f"{purpose} ")
                if fields:
                    yield DayTotals.of(day, purpose, fields)


def _fields(record: Mapping[bytes, bytes], prefix: str) -> Counter[str]:
    """The numbers with that prefix, which is removed. Other values are foreign: moderators may write to this hash."""
    named = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in record.items()}
    return Counter(
        {
            name.removeprefix(prefix): int(value)
            for name, value in named.items()
            if name.startswith(prefix) and _COUNT.fullmatch(value)
        }
    )
