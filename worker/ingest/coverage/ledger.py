"""The coverage ledger: each second of a stream is moderated, skipped, failed, missed, or still pending.

One hash a stream, `lw:coverage:{id}`, of integer milliseconds: `elapsed`, `moderated`, `unhashable`, and
`<kind>: <reason>` for skipped, failed and missed time; counts are under `count: <name>`. Polls add elapsed, missed and
skipped time, the commit of a segment adds the rest. So the equation, elapsed = moderated + skipped + failed + missed +
pending, can fail, and then shows a bug.

Missed time whose cause is not known yet is provisional: not in the hash, but added where the ledger is shown, as
elapsed and as missed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from redis import Redis

from worker.store import redis_keys
from worker.store.redis_client import run_script

KINDS = ("skipped", "failed", "missed")
COUNT = "count: "
coverage_key = redis_keys.COVERAGE.of


def entry(kind: str, reason: str) -> str:
    """The ledger's field for time not moderated for that reason."""
    return f"{kind}: {reason}"


MISSED_UNREACHABLE = entry("missed", "unreachable")
AFTER_END = "after_end"
"""Count of broadcasts that ended without ENDLIST; the provisional time after their end was dropped."""
UNSHOWN_SECONDS = "outage_seconds_unshown"
"""Count of seconds in outages after which the sequence went on without them: not streamed, or hidden from us."""
ENDED_UNSAID = COUNT + AFTER_END

_OLDER_COUNTS = {"looked at by ": "classified by ", "passed over by ": "skipped by "}
"""Beginnings of counts in ledgers that version 0.1.0 wrote; workers of both versions may add to one ledger."""


@dataclass(frozen=True, kw_only=True)
class Provisional:
    """Provisional missed time."""

    reason: str
    """`unreachable` or `stalled`."""
    since_ms: int
    ms: int

    @classmethod
    def of(cls, stream: Mapping[str, str], now_ms: int) -> Self | None:
        """Parses the stream's hash; None: there is none, or it is damaged."""
        since = stream.get("missing_since_ms", "")
        if not stream.get("missing_member") or not (since.isascii() and since.isdigit()):
            return None
        since_ms = int(since)
        return cls(reason=stream.get("missing_reason", "unreachable"), since_ms=since_ms, ms=max(0, now_ms - since_ms))


LONGEST_NUMBER = 19
"""Characters of a number that Redis can add to; a longer one is foreign."""


def with_owed(ledger: Mapping[str, str], stream: Mapping[str, str]) -> dict[str, str]:
    """The ledger with the time that an unwatch noted in the stream's hash and `pay_owed` has not added yet."""
    counted = Counter({field: _whole(ledger, field) for field in ledger})
    missed_ms = _whole(stream, "owed_missed_ms")
    counted.update({"elapsed": missed_ms, MISSED_UNREACHABLE: missed_ms})
    if after_end := _whole(stream, "owed_after_end"):
        counted[ENDED_UNSAID] += after_end
    return {field: str(amount) for field, amount in counted.items()}


def _whole(fields: Mapping[str, str], field: str) -> int:
    """The integer in that field; 0 if missing or damaged, which `pay_owed` skips too."""
    text = fields.get(field, "")
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= LONGEST_NUMBER else 0


def pay_owed(redis: Redis, most: int = 1_000) -> int:
    """Adds the time that unwatches noted to the ledgers of up to `most` streams; returns their number."""
    args: list[str | int] = [most, redis_keys.STREAM.prefix, coverage_key(""), MISSED_UNREACHABLE, ENDED_UNSAID]
    return int(run_script(redis, "pay_owed", keys=[redis_keys.STREAMS_OWING.name], args=args))


def summary(ledger: Mapping[str, str], pending_ms: int, provisional: Provisional | None = None) -> dict[str, Any]:
    """The ledger in seconds, as `livewarden streams show` prints it; `moderated` and the rest sum to `elapsed`."""
    reasons = Counter({field: _whole(ledger, field) for field in ledger if field.startswith(KINDS)})
    elapsed_ms = _whole(ledger, "elapsed")
    if provisional is not None:
        elapsed_ms += provisional.ms
        reasons[entry("missed", provisional.reason)] += provisional.ms
    totals = {kind: sum(ms for field, ms in reasons.items() if field.startswith(f"{kind}: ")) for kind in KINDS}
    return {
        "elapsed_seconds": elapsed_ms / 1000,
        "moderated_seconds": _whole(ledger, "moderated") / 1000,
        **{f"{kind}_seconds": ms / 1000 for kind, ms in totals.items()},
        "pending_seconds": pending_ms / 1000,
        "unhashable_seconds": _whole(ledger, "unhashable") / 1000,
        "provisional": None
        if provisional is None
        else {"reason": provisional.reason, "since_ms": provisional.since_ms, "seconds": provisional.ms / 1000},
        "reasons": {field: ms / 1000 for field, ms in sorted(reasons.items()) if ms},
        "counts": _counts(ledger),
    }


def _counts(ledger: Mapping[str, str]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for field in ledger:
        if field.startswith(COUNT):
            name = field.removeprefix(COUNT)
            older = next((one for one in _OLDER_COUNTS if name.startswith(one)), "")
            counts[_OLDER_COUNTS.get(older, "") + name.removeprefix(older)] += _whole(ledger, field)
    return dict(sorted(counts.items()))
