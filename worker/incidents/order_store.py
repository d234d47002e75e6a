"""What the rules that are judged in order remember of a stream, as Redis keeps it beside the stream's incidents.

It has one version with them, and is written by the same script: so whichever segments end at once, each is judged on
what the others have left behind.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError
from redis import Redis

from config.facts import SegmentPlace
from config.policy.evaluation import OrderState
from worker.incidents.incident_rules import StreamIncidents
from worker.incidents.keys import incidents_key, windows_key
from worker.incidents.store import incidents_of
from worker.ingest.pending.segments import SegmentRecord, pending_key
from worker.store import redis_keys
from worker.store.redis_client import run_script

_log = logging.getLogger(__name__)

KEPT_SECONDS: Final = redis_keys.WINDOWS.seconds
"""Well above what a window reaches; a stream that is silent for longer begins anew."""

_STATE = TypeAdapter(OrderState)


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What is remembered of a stream, read in one step."""

    incidents: StreamIncidents
    order: OrderState
    """Of the series that was asked for."""
    earliest_pending: SegmentPlace | None
    """Of the series: which segment is still to come."""
    over: tuple[str, ...]
    """Series of which nothing is pending any more: what is remembered of them is of no use."""


@dataclass(frozen=True, kw_only=True)
class OrderChange:
    """What a segment's end changes of it, as the script takes it."""

    series: str = ""
    """Empty: nothing."""
    text: str = ""
    """Empty: nothing is to be remembered."""
    over: tuple[str, ...] = ()

    @classmethod
    def of(cls, series: str, state: OrderState, over: tuple[str, ...]) -> "OrderChange":
        """Of a series' new state."""
        text = "" if state == OrderState() else _STATE.dump_json(state, exclude_defaults=True).decode()
        return cls(series=series, text=text, over=over)


def read_in_order(redis: Redis, stream_id: str, series: str, *, purpose: str, but: str) -> Remembered:
    """Reads what is remembered of a stream's incidents and of one of its series.

    Args:
        purpose: of the series' watch generation.
        but: key of the segment that ends, which nobody waits for.
    """
    incidents, windows, earliest, record, pending = run_script(
        redis,
        "read_in_order",
        keys=[incidents_key(stream_id), windows_key(stream_id), pending_key(stream_id)],
        args=[series, but],
    )
    remembered = _pairs(windows)
    return Remembered(
        incidents=incidents_of(_pairs(incidents), purpose),
        order=_decode(remembered.get(series)),
        earliest_pending=SegmentPlace(SegmentRecord.read(earliest, record).capture_ms, earliest) if earliest else None,
        over=tuple(name for name in remembered if name != series and name not in pending),
    )


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    """A hash, as a script gives it."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _decode(text: str | None) -> OrderState:
    if text is None:
        return OrderState()
    try:
        return _STATE.validate_json(text)
    except ValidationError:
        _log.warning("windows in Redis begin anew: %r: expected what livewarden writes", text[:100])
        return OrderState()
