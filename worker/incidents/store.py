"""Incidents in Redis: reads their state, and makes the records that scripts write."""

import json
import logging
import random
import time
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from redis import Redis
from redis.exceptions import ResponseError

from worker.errors import StoreError
from worker.incidents.cases import StreamCase
from worker.incidents.events import Event
from worker.incidents.findings import Incident
from worker.incidents.ground import FIELD, ground_of
from worker.incidents.incident_end import first_check_ms
from worker.incidents.keys import groups_owner, incidents_key, windows_key
from worker.incidents.rule_state import RuleState, StreamIncidents, decode, encode
from worker.logs.failure_log import FailureLog
from worker.store import redis_keys
from worker.store.redis_client import store_errors

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

GIVE_UP_SECONDS: Final = 60.0
"""Above the time limit of any task: however many settle at once, a lost round means that another's is done."""
FIRST_PAUSE_SECONDS: Final = 0.002
LONGEST_PAUSE_SECONDS: Final = 0.1
_CHANCE: Final = random.SystemRandom()
"""Forked processes draw different numbers."""

SET_ASIDE: Final = redis_keys.DAMAGED.prefix
"""Prefix of the new name of a foreign or damaged key."""
SET_ASIDE_SECONDS: Final = 7 * 24 * 3600
"""For an operator who searches for its origin."""

_RULE = "rule:"
_CASE: Final = TypeAdapter(StreamCase)
_INCIDENT: Final = TypeAdapter(Incident)


def rounds(seconds: float = GIVE_UP_SECONDS) -> Iterator[None]:
    """Yields for each try where others' changes came in between, after a pause drawn at random, so that the same
    processes do not clash again; ends once `seconds` are over."""
    until = time.monotonic() + seconds
    for lost in count():
        yield
        if time.monotonic() >= until:
            return
        longest = min(FIRST_PAUSE_SECONDS * 2 ** min(lost, 10), LONGEST_PAUSE_SECONDS)
        time.sleep(_CHANCE.uniform(0, longest))


def read_incidents(redis: Redis, stream_id: str, purpose: str) -> StreamIncidents:
    """Reads the state of a stream that is watched for this purpose."""
    return incidents_of(redis.hgetall(incidents_key(stream_id)), purpose)


def incidents_of(record: Mapping[Any, Any], purpose: str) -> StreamIncidents:
    """Reads the state for one purpose from a stream's hash. A rule whose state cannot be read begins anew: rather an
    incident too many than one too few."""
    fields = {str(name): str(value) for name, value in record.items()}
    rules: dict[str, RuleState] = {}
    for name, text in fields.items():
        _, _, rest = name.partition(_RULE)
        kept_for, _, rule = rest.rpartition(":")
        if kept_for == purpose:
            state = _read_state(name, text)
            if state is not None:
                rules[rule] = state
        elif rule and not kept_for and state_field(rule, purpose) not in fields:
            # Version 0.1.0 kept all purposes in one. Its open incident names the purpose.
            state = _read_state(name, text)
            if state is not None and purpose == ("live" if state.incident is None else state.incident.purpose):
                rules[rule] = state
    return StreamIncidents(version=int(fields.get("version", 0)), rules=rules, case=_read_case(fields, purpose))


def _read_case(fields: Mapping[str, str], purpose: str) -> StreamCase | None:
    """Reads the newest case; a damaged one begins anew."""
    text = fields.get(case_field(purpose))
    try:
        return None if text is None else _CASE.validate_json(text)
    except ValidationError:
        _trouble.met("case", "a case begins anew: %r: expected what livewarden writes", text[:100] if text else text)
        return None


def read_groups(redis: Redis, purpose: str) -> StreamIncidents:
    """Reads the groups of streams of one purpose, by name; one whose state cannot be read begins anew."""
    record = redis.hgetall(incidents_key(groups_owner(purpose)))
    fields = {str(name): str(value) for name, value in record.items()}
    read = {name: _read_state(name, text) for name, text in fields.items() if name.startswith(_RULE)}
    rules = {name.removeprefix(_RULE): state for name, state in read.items() if state is not None}
    return StreamIncidents(version=int(fields.get("version", 0)), rules=rules)


def _read_state(field: str, text: str) -> RuleState | None:
    """Reads a state; None: it cannot be read, which is logged."""
    try:
        return decode(text)
    except StoreError as error:
        _trouble.met(field, "%s: %s", field, error)
        return None


def state_field(rule: str, purpose: str) -> str:
    """The field of a stream's hash that holds the state of a rule. Rules and purposes have no colon."""
    return f"{_RULE}{purpose}:{rule}"


def case_field(purpose: str) -> str:
    """The field of a stream's hash that holds its newest case."""
    return f"case:{purpose}"


def states_record(rules: Mapping[str, RuleState], case: StreamCase | None, purpose: str) -> dict[str, str]:
    """The fields of a stream's hash for new states of rules and a new case (None: it is unchanged)."""
    states = {state_field(name, purpose): encode(state) for name, state in rules.items()}
    return states if case is None else states | {case_field(purpose): _CASE.dump_json(case).decode()}


def group_field(name: str) -> str:
    """The field of the groups' hash that holds the state of a group."""
    return f"{_RULE}{name}"


def incident_record(stream_id: str, incident: Incident, **more: str) -> dict[str, object]:
    """An incident as the scripts take it; `more`: further fields of its hash."""
    finding = incident.finding
    return {
        "id": incident.incident_id,
        "severity": finding.severity,
        "queued": "no" if incident.purpose == "canary" else "yes",
        "fields": {
            "stream_id": stream_id,
            "rule": incident.rule,
            "severity": finding.severity,
            "purpose": incident.purpose,
            "raised_ms": str(incident.raised_ms),
            "captured_first_ms": str(finding.captured_first_ms),
            "captured_last_ms": str(finding.captured_last_ms),
            FIELD: json.dumps(ground_of(incident)),
            "hits": str(finding.hits),
            "case": incident.case_id,
            "needs_role": incident.needs_role,
            "second_person": " ".join(incident.judging.second_person),
            "interrupt_on_first": "1" if incident.judging.interrupt_on_first else "0",
            **({"predecessor": incident.predecessor} if incident.predecessor else {}),
            **more,
        },
        "check_ms": str(first_check_ms(incident)),
    }


def ended_record(incident: Incident, now_ms: int) -> dict[str, object]:
    """An incident that has ended without a decision, as the script takes it: from then on its own record keeps it."""
    fields = {
        "ended": incident.ended,
        "ended_ms": str(now_ms),
        "ended_incident": encode_ended(incident),
    }
    return {"id": incident.incident_id, "fields": fields}


def encode_ended(incident: Incident) -> str:
    """An incident that has ended, as its record keeps it (`ended_incident`)."""
    return _INCIDENT.dump_json(incident).decode()


def ended_incident(fields: Mapping[str, str]) -> Incident | None:
    """Reads an incident that has ended without a decision from its record; None: it has not.

    Raises:
        StoreError: it is damaged.
    """
    text = fields.get("ended_incident")
    try:
        return None if text is None else _INCIDENT.validate_json(text)
    except ValidationError as error:
        raise StoreError(f"ended incident in Redis: {str(text)[:100]!r}: expected what livewarden writes") from error


def event_record(event: Event) -> dict[str, str]:
    """An event as the scripts take it."""
    return {"stream": event.stream_key, "incident": event.incident_id, "text": event.text}


def is_wrong_type(error: StoreError) -> bool:
    """Returns whether Redis has a key of another type than expected."""
    return isinstance(error.__cause__, ResponseError) and "WRONGTYPE" in str(error.__cause__)


def set_aside(redis: Redis, stream_id: str) -> bool:
    """Renames keys of a stream's incidents and windows that are no hash; returns whether any was.

    Raises:
        StoreError: Redis failed.
    """
    found = False
    with store_errors():
        for key in (incidents_key(stream_id), windows_key(stream_id)):
            if redis.type(key) not in ("hash", "none"):
                _log.warning("%s is no hash, as livewarden makes it: set aside as %s%s", key, SET_ASIDE, key)
                redis.rename(key, f"{SET_ASIDE}{key}")
                redis.expire(f"{SET_ASIDE}{key}", SET_ASIDE_SECONDS)
                found = True
    return found
