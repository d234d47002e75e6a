"""Reads open cases from Redis: 10,000 in a dozen round trips, labels only."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from redis import Redis

from config.facts import Severity
from worker.incidents.ground import FIELD, read_ground
from worker.incidents.keys import OPEN_KEYS, incident_key
from worker.people.actor import Role
from worker.people.roster import read_roster
from worker.queue.case_order import Certainty, OpenCase
from worker.queue.hold_fields import CaseHold, HandOver, HelpAsked
from worker.queue.record_fields import UNREADABLE, lease_left_ms, number_of, role_needed
from worker.store.redis_client import run_script, store_errors, time_ms

AT_ONCE: Final = 1_000
"""Incidents that one script reads: it keeps Redis for some 3 ms."""

MOST_CASES: Final = 50_000
"""Undecided incidents of a severity that are read, the oldest: beyond, a page helps nobody, and memory has a bound."""

_FIELDS: Final = (
    "case",
    "stream_id",
    "streams",
    "rule",
    "purpose",
    "hits",
    "raised_ms",
    "taken_ms",
    "captured_first_ms",
    "ended",
    "outcome",
    "holder",
    "lease_until_ms",
    "needs_role",
    "kept_under",
    "hold_until_ms",
    "hold_why",
    "handed_to",
    "handed_by",
    "help",
    "help_by",
    "judged_by",
    FIELD,
)

_CERTAINTIES: Final[Mapping[object, Certainty]] = {
    "known": Certainty.KNOWN,
    "reported": Certainty.REPORTED,
    "score": Certainty.SCORED,
    "other": Certainty.SCORED,
    "unseen": Certainty.UNSEEN,
}


def read_open_cases(redis: Redis) -> tuple[list[OpenCase], int]:
    """Reads all cases with undecided incidents, in no order; and the time by Redis's clock.

    A case is as urgent as the most urgent of its undecided incidents, and waits since the first of them was raised. It
    is live while one of them takes further hits: an incident ends with its stream, and by silence, after which the
    stream may still be live, but shows nothing of the kind any more. One without a case, of an older version, is a case
    of its own.

    Raises:
        StoreError: Redis failed.
    """
    incidents, now = read_queued(redis)
    return cases_of(incidents.values()), now


def cases_of(incidents: Iterable[OpenCase]) -> list[OpenCase]:
    """The cases of incidents that were each read as a case of its own, in no order."""
    cases: dict[str, OpenCase] = {}
    for one in incidents:
        known = cases.get(one.case_id)
        cases[one.case_id] = one if known is None else joined(known, one)
    return list(cases.values())


def read_queued(redis: Redis, among: Collection[str] | None = None) -> tuple[dict[str, OpenCase], int]:
    """Reads undecided incidents, each as a case of its own, by their ids; and the time by Redis's clock.

    Args:
        among: incidents of interest, of which those that are decided, unknown or nobody's are left out; None: all.

    Raises:
        StoreError: Redis failed.
    """
    ids = None if among is None else list(among)
    with store_errors():
        with redis.pipeline(transaction=False) as pipe:
            for key in OPEN_KEYS:
                if ids is None:
                    pipe.zrange(key, 0, MOST_CASES - 1)
                elif ids:
                    pipe.zmscore(key, ids)
            pipe.time()
            *queued, time = pipe.execute()
        now = time_ms(time)
        if ids is not None:
            queued = [[one for one, score in zip(ids, scores, strict=True) if score is not None] for scores in queued]
        named = [(severity, str(one)) for severity, found in zip(Severity, queued, strict=False) for one in found]
        roster = read_roster(redis) if named else {}
        incidents: dict[str, OpenCase] = {}
        for begin in range(0, len(named), AT_ONCE):
            part = named[begin : begin + AT_ONCE]
            for (severity, incident_id), fields in zip(part, _read(redis, part), strict=True):
                # One may have been decided between the two reads.
                if "outcome" not in fields:
                    incidents[incident_id] = _case_of(incident_id, severity, fields, now, roster)
    return incidents, now


def _read(redis: Redis, part: list[tuple[Severity, str]]) -> list[dict[str, str]]:
    keys = [incident_key(incident_id) for _, incident_id in part]
    text: bytes = run_script(redis, "read_cases", keys=keys, args=_FIELDS, as_bytes=True)
    found: list[Any] = json.loads(text.decode(errors="replace"))
    # cjson writes an empty array as an object.
    return [
        {name: str(value) for name, value in zip(_FIELDS, values or (), strict=False) if value is not False}
        for values in found
    ]


def _case_of(
    incident_id: str, severity: Severity, fields: Mapping[str, str], now: int, roster: Mapping[str, str]
) -> OpenCase:
    """The case of one incident alone; `severity`: of the queue that it is in."""
    ground = read_ground(fields.get(FIELD, ""))
    lease_ms = lease_left_ms(fields, now, roster)
    hold, handed = CaseHold.of(fields, now, lease_ms), HandOver.of(fields, lease_ms)
    asked = HelpAsked.of(fields)
    return OpenCase(
        case_id=fields.get("case") or incident_id,
        incident_id=incident_id,
        incidents=1,
        stream_id=fields.get("stream_id", UNREADABLE),
        streams=number_of(fields, "streams") or 1,
        rule=fields.get("rule", UNREADABLE),
        severity=severity,
        certainty=_CERTAINTIES.get(ground.get("kind"), Certainty.SCORED),
        live=not fields.get("ended"),
        purpose=fields.get("purpose", UNREADABLE),
        hits=number_of(fields, "hits") or 0,
        raised_ms=min(number_of(fields, "raised_ms") or 0, now),
        captured_first_ms=number_of(fields, "captured_first_ms"),
        taken_ms=number_of(fields, "taken_ms") if lease_ms else None,
        ground=ground,
        needs_role=role_needed(fields),
        judged="judged_by" in fields,
        holder=fields.get("holder") if lease_ms else None,
        lease_seconds=lease_ms / 1000,
        hold_why="" if hold is None else hold.why,
        handed_to=None if handed is None or handed.accepted else handed.to,
        help="" if asked is None else asked.what,
        help_by="" if asked is None else asked.by,
    )


def joined(one: OpenCase, other: OpenCase) -> OpenCase:
    """Both as one case, with the words of the more urgent; the same whichever is read first."""
    first, second = sorted((one, other), key=lambda case: (case.severity.rank, case.certainty, case.incident_id))
    holding = max((first, second), key=lambda case: (case.lease_seconds, case.incident_id))
    asked = first if first.help else second
    begins = [case.captured_first_ms for case in (one, other) if case.captured_first_ms is not None]
    return OpenCase(
        case_id=first.case_id,
        incident_id=first.incident_id,
        incidents=one.incidents + other.incidents,
        stream_id=first.stream_id,
        streams=max(one.streams, other.streams),
        rule=first.rule,
        severity=first.severity,
        certainty=min(one.certainty, other.certainty),
        live=one.live or other.live,
        purpose=first.purpose,
        hits=one.hits + other.hits,
        raised_ms=min(one.raised_ms, other.raised_ms),
        captured_first_ms=min(begins, default=None),
        taken_ms=holding.taken_ms,
        ground=first.ground,
        judged=one.judged or other.judged,
        needs_role=Role.LEAD if Role.LEAD in (one.needs_role, other.needs_role) else first.needs_role,
        holder=holding.holder,
        lease_seconds=holding.lease_seconds,
        hold_why=holding.hold_why,
        handed_to=holding.handed_to,
        help=asked.help,
        help_by=asked.help_by,
    )
