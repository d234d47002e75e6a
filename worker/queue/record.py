"""The record of one incident, for people and programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.events.cloudevent import rfc3339
from worker.incidents.keys import entries_key, incident_key, named_key
from worker.people.actor import Actor
from worker.people.roster import read_roster
from worker.queue.decisions import judging_state
from worker.queue.hold_fields import CaseHold, HandOver, HelpAsked
from worker.queue.leases import unknown
from worker.queue.record_fields import UNREADABLE, lease_left_ms, number_of, role_needed
from worker.queue.second_judge import shown_judgements
from worker.store.redis_client import store_errors, time_ms

MOST_PUBLISHED: Final = 50
"""The newest events of an incident that lasts for hours."""
MOST_STREAMS: Final = 10_000
"""Streams of a group, as many as its events name."""
_NOTHING: Final[tuple[Any, ...]] = ({}, [], 0, [], 0, -1)
"""In place of a value of another type, which is damaged, or that this user of Redis may not read."""
_NO_KEY: Final = -2
"""TTL of a key that does not exist."""


def describe_incident(redis: Redis, incident_id: str, *, viewer: Actor | None = None) -> dict[str, Any]:
    """Returns the record that `livewarden queue show ID --json` prints; of a decided incident as long as Redis has it.

    It claims nothing, and does not count as shown: a decision is on what `take` returned. A judgement that waits is
    shown to its own judge alone, and two that do not agree to those who may decide then.

    Args:
        viewer: the person who is shown it; None: anybody.

    Raises:
        QueueError: the incident is unknown.
        StoreError: Redis failed.
    """
    key = incident_key(incident_id)
    with store_errors():
        with redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(key)
            pipe.lrange(entries_key(incident_id), -MOST_PUBLISHED, -1)
            pipe.llen(entries_key(incident_id))
            pipe.zrange(named_key(incident_id), 0, MOST_STREAMS - 1)
            pipe.zcard(named_key(incident_id))
            pipe.ttl(key)
            pipe.time()
            *found, time = pipe.execute(raise_on_error=False)
        fields, entries, waiting, streams, streams_total, life_seconds = (
            empty if isinstance(one, ResponseError) else one for one, empty in zip(found, _NOTHING, strict=True)
        )
        if life_seconds == _NO_KEY:
            raise unknown(incident_id)
        published = _published(redis, [str(entry) for entry in entries])
        roster = read_roster(redis)
    now = time_ms(time)
    decided = "outcome" in fields
    lease_ms = 0 if decided else lease_left_ms(fields, now, roster)
    purpose = fields.get("purpose", UNREADABLE)
    decisions = list(_decisions(fields))
    record = {
        "incident_id": incident_id,
        "state": "decided" if decided else "held" if lease_ms else "open",
        "stream_id": fields.get("stream_id", UNREADABLE),
        "rule": fields.get("rule", UNREADABLE),
        "severity": fields.get("severity", UNREADABLE),
        "purpose": purpose,
        "drill": purpose in ("drill", "canary"),
        "hits": number_of(fields, "hits") or 0,
        "raised": _time(number_of(fields, "raised_ms")),
        "captured_last": _time(number_of(fields, "captured_last_ms")),
        "ended": _time(number_of(fields, "ended_ms")),
        "end_reason": fields.get("ended") or None,
        "predecessor": fields.get("predecessor") or None,
        "case_id": fields.get("case") or None,
        "needs_role": role_needed(fields),
        "holder": fields["holder"] if lease_ms else None,
        "taken": _time(number_of(fields, "taken_ms")) if "holder" in fields else None,
        "lease_seconds": lease_ms / 1000,
        "lease_until": _time(now + lease_ms if lease_ms else None),
        **_said(fields, now, lease_ms),
        "changed": bool(lease_ms) and fields.get("event") != fields.get("shown"),
        "entries": waiting,
        "published": published,
        "decisions": decisions,
        "category": decisions[-1].get("category") if decisions else None,
        "second_person": sorted(fields.get("second_person", "").split()),
        **shown_judgements(judging_state(redis, fields), viewer, now_ms=now),
        "kept_until": _time(now + life_seconds * 1000 if life_seconds > 0 else None),
        "event": _object(fields.get("event")),
    }
    if streams_total:
        record |= {"streams": streams, "streams_total": streams_total}
    return record


def _said(fields: Mapping[str, str], now: int, lease_ms: int) -> dict[str, Any]:
    """Words of a holder on an undecided incident: `hold`, `handed` and `help`, each None without one."""
    hold, handed = CaseHold.of(fields, now, lease_ms), HandOver.of(fields, lease_ms)
    asked = None if "outcome" in fields else HelpAsked.of(fields)
    return {
        "hold": None if hold is None else {"why": hold.why, "until": _time(hold.until_ms)},
        "handed": None
        if handed is None
        else {
            "to": handed.to,
            "by": handed.by,
            "note": handed.note,
            "at": _time(handed.at_ms),
            "accepted": handed.accepted,
        },
        "help": None if asked is None else {"what": asked.what, "by": asked.by, "at": _time(asked.at_ms)},
    }


def _published(redis: Redis, entries: Sequence[str]) -> list[dict[str, Any]]:
    """The published events of an undecided incident, oldest first."""
    with redis.pipeline(transaction=False) as pipe:
        for stream_key, _, entry_id in (entry.partition(" ") for entry in entries):
            pipe.xrevrange(stream_key, entry_id, entry_id)
        found = pipe.execute(raise_on_error=False)
    texts = [entry[0][1].get("event") for entry in found if isinstance(entry, list) and entry]
    events = [event for event in map(_object, texts) if event is not None]
    return [
        {
            "type": event.get("type"),
            "published": event["data"].get("times", {}).get("published"),
            "severity": event["data"].get("severity"),
        }
        for event in events
    ]


def _decisions(fields: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yields all decisions, the first one first; the last is in force."""
    events = [event for event in map(_object, fields.get("decisions", "").split("\n")) if event is not None]
    if not events:
        if "outcome" in fields:  # version 0.1.0 decided, which kept no more
            yield {
                "outcome": fields["outcome"],
                "previous_outcome": None,
                "decided_by": fields.get("decided_by", UNREADABLE),
                "verified": False,
                "note": fields.get("note", ""),
                "decided": _time(number_of(fields, "decided_ms")),
            }
        return
    first = events[0]["data"]
    if first.get("previous"):
        yield {"outcome": first["previous_outcome"], "previous_outcome": None, "verified": False, **first["previous"]}
    for data in (event["data"] for event in events):
        shown = {name: data.get(name) for name in ("outcome", "previous_outcome", "decided_by", "note")}
        shown |= {name: data[name] for name in ("category", "actions", "judgements") if name in data}
        yield shown | {"verified": data.get("verified") is True, "decided": data["times"]["decided"]}


def _object(text: str | None) -> dict[str, Any] | None:
    """Parses a kept event; None: there is none, or it is damaged."""
    try:
        event = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("data"), dict) else None


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)
