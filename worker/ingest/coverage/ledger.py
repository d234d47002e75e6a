"""The coverage ledger: what became of each second of a stream.

One hash a stream, `lw:coverage:{id}`, of integer milliseconds: `elapsed`, `moderated`, `unhashable`, and
`<kind>: <reason>` for what was skipped, failed or missed; counts are under `count: <what>`. Elapsed time is added by
polls, the rest where segments are settled, so that the equation (docs/architecture.md, "What must never go wrong") can
fail, and then shows a bug.

Time in which a stream is not seen, and of which it is not known yet what it was, is provisional: not in the hash, but
added where the ledger is shown, as elapsed and as missed.
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


def coverage_key(stream_id: str) -> str:
    """The stream's ledger in Redis."""
    return redis_keys.COVERAGE.of(stream_id)


def entry(kind: str, reason: str) -> str:
    """The ledger's field for time that was not moderated."""
    return f"{kind}: {reason}"


MISSED_UNREACHABLE = entry("missed", "unreachable")
AFTER_END = "after_end"
"""Count of broadcasts that ended without saying so; the time after it was taken back."""
UNSHOWN_SECONDS = "outage_seconds_unshown"
"""Count of seconds in outages after which the sequence went on without them: nobody streamed, or nobody was to see."""
ENDED_UNSAID = COUNT + AFTER_END


@dataclass(frozen=True, kw_only=True)
class Provisional:
    """Time that is missed as far as is known now."""

    reason: str
    """`unreachable` or `stalled`."""
    since_ms: int
    ms: int

    @classmethod
    def of(cls, stream: Mapping[str, str], now_ms: int) -> Self | None:
        """As the stream's hash has it; None: nothing, or what is there is damaged."""
        since = stream.get("missing_since_ms", "")
        if not stream.get("missing_member") or not (since.isascii() and since.isdigit()):
            return None
        since_ms = int(since)
        return cls(reason=stream.get("missing_reason", "unreachable"), since_ms=since_ms, ms=max(0, now_ms - since_ms))


LONGEST_NUMBER = 19
"""Characters of a number that Redis adds to: what is longer none of ours has written."""


def with_owed(ledger: Mapping[str, str], stream: Mapping[str, str]) -> dict[str, str]:
    """The ledger with what was noted in the stream's hash when a watch ended, and is not in the ledger yet."""
    counted = Counter({field: _whole(ledger, field) for field in ledger})
    missed_ms = _whole(stream, "owed_missed_ms")
    counted.update({"elapsed": missed_ms, MISSED_UNREACHABLE: missed_ms})
    if after_end := _whole(stream, "owed_after_end"):
        counted[ENDED_UNSAID] += after_end
    return {field: str(amount) for field, amount in counted.items()}


def _whole(fields: Mapping[str, str], field: str) -> int:
    """0 where it is damaged: `pay_owed` leaves it out too."""
    text = fields.get(field, "")
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= LONGEST_NUMBER else 0


def pay_owed(redis: Redis, most: int = 1_000) -> int:
    """Writes what was noted of up to `most` streams when their watch ended into their ledgers; gives their number."""
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
        else {
            "reason": provisional.reason,
            "since_ms": provisional.since_ms,
            "seconds": provisional.ms / 1000,
        },
        "reasons": {field: ms / 1000 for field, ms in sorted(reasons.items()) if ms},
        "counts": {
            field.removeprefix(COUNT): _whole(ledger, field) for field in sorted(ledger) if field.startswith(COUNT)
        },
    }
