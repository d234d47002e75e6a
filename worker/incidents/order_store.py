"""The state of a stream's rules that are evaluated in order, which Redis keeps beside the stream's incidents.

It has one version with them, and is written by the same script: so whichever segments end at the same time, each is
evaluated on the state that the others have left.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError
from redis import Redis

from config.facts import SegmentPosition
from config.policy.evaluation import OrderState
from worker.incidents.keys import incidents_key, windows_key
from worker.incidents.rule_state import StreamIncidents
from worker.incidents.store import incidents_of
from worker.ingest.pending.segments import SegmentRecord, pending_key
from worker.store import redis_keys
from worker.store.redis_client import run_script

_log = logging.getLogger(__name__)

KEPT_SECONDS: Final = redis_keys.WINDOWS.seconds
"""Well above the reach of a window; a stream that is silent for longer begins anew."""

_STATE = TypeAdapter(OrderState)


@dataclass(frozen=True, kw_only=True)
class StoredStreamState:
    """The state of a stream, read in one step."""

    incidents: StreamIncidents
    order: OrderState
    """State of the requested series."""
    earliest_pending: SegmentPosition | None
    """The earliest segment of the series that is still to come."""
    over: tuple[str, ...]
    """Series without pending segments, whose state is of no use."""


@dataclass(frozen=True, kw_only=True)
class OrderChange:
    """The change by a segment's end, as the script takes it."""

    series: str = ""
    """Empty: nothing."""
    text: str = ""
    """Empty: no state is kept."""
    over: tuple[str, ...] = ()

    @classmethod
    def of(cls, series: str, state: OrderState, over: tuple[str, ...]) -> "OrderChange":
        """The change to a series' new state."""
        text = "" if state == OrderState() else _STATE.dump_json(state, by_alias=True, exclude_defaults=True).decode()
        return cls(series=series, text=text, over=over)


def read_in_order(redis: Redis, stream_id: str, series: str, *, purpose: str, but: str) -> StoredStreamState:
    """Reads the state of a stream's incidents and of one of its series.

    Args:
        purpose: of the series' watch generation.
        but: key of the segment that ends, for which no other waits.
    """
    incidents, windows, earliest, record, pending = run_script(
        redis,
        "read_in_order",
        keys=[incidents_key(stream_id), windows_key(stream_id), pending_key(stream_id)],
        args=[series, but],
    )
    remembered = _pairs(windows)
    return StoredStreamState(
        incidents=incidents_of(_pairs(incidents), purpose),
        order=_decode(remembered.get(series)),
        earliest_pending=SegmentPosition(SegmentRecord.read(earliest, record).capture_ms, earliest)
        if earliest
        else None,
        over=tuple(name for name in remembered if name != series and name not in pending),
    )


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    """A hash from a script's answer."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _decode(text: str | None) -> OrderState:
    if text is None:
        return OrderState()
    try:
        return _STATE.validate_json(text)
    except ValidationError:
        _log.warning("windows in Redis begin anew: %r: expected what livewarden writes", text[:100])
        return OrderState()
