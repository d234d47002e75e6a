"""A log line for each event that operators search for: incidents, decisions, and the events on `lw:operations`.

The streams are the truth, whichever program published on them. So lines are made from their entries, each by the one
worker that moves the position beyond it, and not by the publisher: there a segment that is delivered again, or a script
whose answer was lost, could log twice, and a decision would be on the terminal of the person who decided and nowhere
else.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.events.operations import OPERATIONS
from worker.incidents.events import UNDECIDED, EventType
from worker.incidents.keys import DECISIONS, ESCALATION_KEYS
from worker.ingest.registry.changes import CHANGED
from worker.logs.fields import Value, fields, media_sequence
from worker.store import redis_keys
from worker.store.reader_positions import beyond_the_end
from worker.store.redis_client import now_ms, run_script, store_errors

_log = logging.getLogger(__name__)

LOGGED: Final = redis_keys.OUTCOMES_LOGGED.name
"""Hash: stream key to the id of the last entry that is logged."""
STREAMS: Final = (*ESCALATION_KEYS, DECISIONS, OPERATIONS)

MOST_ENTRIES: Final = 200
"""Entries of one stream in one call; the next comes 2 s later."""

FIRST_MS: Final = 60_000
"""Reach of the first call of a deployment: earlier events are not logged."""

_MOST_OPERATIONS_FIELDS: Final = 12

_CANARY: Final = "canary"


def log_published(redis: Redis) -> int:
    """Logs the entries published since the last call of any worker; returns how many there were.

    Raises:
        StoreError: Redis failed; the rest is logged by the next call, or, if only the answer was lost, by none.
    """
    with store_errors():
        before = {str(key): str(position) for key, position in redis.hgetall(LOGGED).items()}
        lost = beyond_the_end(redis, before)
        first = f"{max(0, now_ms(redis) - FIRST_MS)}-0"
        last: dict[str, str] = {}
        for key in STREAMS:
            # Read before its entries are, so that one that comes between is logged.
            if key not in before or key in lost:
                with suppress(ResponseError):
                    newest: Any = redis.xrevrange(key, count=1)
                    last[key] = str(newest[0][0]) if newest else "0-0"
        with redis.pipeline(transaction=False) as pipe:
            for key in STREAMS:
                after = first if key in lost else before.get(key, first)
                pipe.xrange(key, min=f"({after}", count=MOST_ENTRIES)
            answers = pipe.execute(raise_on_error=False)
        # A key of another type must not silence the other streams.
        failures = [answer for answer in answers if isinstance(answer, ResponseError)]
        read: dict[str, Any] = {
            key: answer for key, answer in zip(STREAMS, answers, strict=True) if not isinstance(answer, ResponseError)
        }
        # A stream whose position lies beyond its end begins anew too. One without new entries begins at its start, not
        # at the time of a clock that may be ahead and would silence it until then; the first call skips entries by
        # their last ID.
        positions = [
            (key, before.get(key, ""), str(found[-1][0]) if found else last[key])
            for key, found in read.items()
            if found or key not in before or key in lost
        ]
        args = [part for one in positions for part in one]
        own = run_script(redis, "events_logged", keys=[LOGGED], args=args) if args else ()
    entries = [(key, str((found or {}).get("event", ""))) for key in map(str, own) for _, found in read[key]]
    for key, text in entries:
        with suppress(ValueError, KeyError, TypeError, AttributeError):  # foreign entries must not stop the rest
            _log_event(key, json.loads(text))
    with store_errors():
        if failures:
            raise failures[0]
    return len(entries)


def _log_event(key: str, event: Mapping[str, Any]) -> None:
    kind, data = str(event["type"]), event["data"]
    if key == OPERATIONS and kind in tuple(EventType) and data["purpose"] != _CANARY:
        return  # a copy for operators of a group's event, which is on the queue too
    match kind:
        case EventType.RAISED:
            _log.info("incident raised", extra=fields(**_incident(data)))
        case EventType.UPDATED:
            worse = data["severity"] != data["previous_severity"]
            text = "incident is of another severity" if worse else "incident updated"
            more = fields(**_incident(data), previous_severity=data["previous_severity"])
            _log.log(logging.INFO if worse else logging.DEBUG, text, extra=more)
        case EventType.CLOSED:
            if data["outcome"] == UNDECIDED:  # else by a decision, which is logged
                _log.info("incident ended, undecided", extra=fields(**_incident(data), ended=data["reason"]))
        case EventType.DECISION_MADE:
            _log.info("incident closed by a decision", extra=fields(**_incident(data), outcome=data["outcome"]))
        case EventType.INTERRUPT_REQUESTED:
            _log.info("interruption of a stream requested", extra=fields(**_incident(data)))
        case _ if kind.startswith("livewarden.decision."):
            outcomes = {name: data.get(name) for name in ("outcome", "previous_outcome")}
            _log.info("decision changed", extra=fields(**_incident(data), **outcomes))
        case _ if kind == CHANGED:
            change = {name: data[name] for name in ("stream_id", "changed", "by")}
            _log.info("a watched stream was changed", extra=fields(**change, purpose=data["old"]["purpose"]))
        case _ if kind.startswith("livewarden.operations."):
            name = kind.removeprefix("livewarden.operations.").rpartition(".")[0]
            _log.info("published to operators: %s", name, extra=fields(event=name, **dict(_scalars(data))))


def _incident(data: Mapping[str, Any]) -> dict[str, Value]:
    """Fields of all lines about an incident."""
    matches: Sequence[Mapping[str, Any]] = data.get("matches", ())
    gap, sample = data.get("gap", {}), data.get("sample", {})
    return {
        "incident_id": data["incident_id"],
        "stream_id": data["stream_id"],
        "streams": data.get("streams_total"),
        "rule": data["rule"],
        "severity": data["severity"],
        "purpose": data["purpose"],
        "lists": sorted({str(match["list"]) for match in matches}),
        "media_sequence": media_sequence(str(sample.get("segment", ""))),
        "reason": gap.get("reason") or sample.get("reason"),
        "degraded": data.get("degraded"),
    }


def _scalars(data: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """The plain values of an event: names, counts, reasons."""
    found = ((str(name), value) for name, value in data.items() if isinstance(value, str | int | float | bool))
    for _, one in zip(range(_MOST_OPERATIONS_FIELDS), found, strict=False):
        yield one
