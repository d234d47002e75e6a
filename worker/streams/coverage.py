"""The coverage ledger: what became of each second of a stream.

One hash a stream, `lw:coverage:{id}`, of integer milliseconds: `elapsed`, `moderated`, `unhashable`, and
`<kind>: <reason>` for what was skipped, failed or missed; counts are under `count: <what>`. Elapsed time is added by
polls, the rest where segments are settled, so that the equation of DESIGN.md can fail, and then shows a bug.
"""

from collections.abc import Mapping
from typing import Any

KINDS = ("skipped", "failed", "missed")
COUNT = "count: "


def coverage_key(stream_id: str) -> str:
    """The stream's ledger in Redis."""
    return f"lw:coverage:{stream_id}"


def entry(kind: str, reason: str) -> str:
    """The ledger's field for time that was not moderated."""
    return f"{kind}: {reason}"


def summary(ledger: Mapping[str, str], pending_ms: int) -> dict[str, Any]:
    """The ledger in seconds, as `livewarden streams show` prints it; `moderated` and the rest sum to `elapsed`."""
    reasons = {field: int(ms) for field, ms in ledger.items() if field.startswith(KINDS)}
    totals = {kind: sum(ms for field, ms in reasons.items() if field.startswith(f"{kind}: ")) for kind in KINDS}
    return {
        "elapsed_seconds": int(ledger.get("elapsed", 0)) / 1000,
        "moderated_seconds": int(ledger.get("moderated", 0)) / 1000,
        **{f"{kind}_seconds": ms / 1000 for kind, ms in totals.items()},
        "pending_seconds": pending_ms / 1000,
        "unhashable_seconds": int(ledger.get("unhashable", 0)) / 1000,
        "reasons": {field: ms / 1000 for field, ms in sorted(reasons.items()) if ms},
        "counts": {
            field.removeprefix(COUNT): int(count) for field, count in sorted(ledger.items()) if field.startswith(COUNT)
        },
    }
