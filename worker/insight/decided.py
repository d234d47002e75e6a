"""Decided incidents on record in Redis, for 400 days: their times, conditions and judgements.

The verdict log has outcomes too, for a day unless it is kept longer; a report on a quarter needs the records.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Self

from redis import Redis

from config.facts import Severity
from worker.incidents.keys import ALIKE, ids_key, incident_key
from worker.insight.period import Period
from worker.queue.outcomes import Outcome
from worker.queue.record_fields import number_of
from worker.store.redis_client import store_errors
from worker.verdictlog.outcome_rows import milliseconds

READ_AT_ONCE: Final = 500
"""Records of one answer of Redis: some 5 MB."""

MOST_CHARACTERS: Final = 200
"""Length of the text that stands for a condition without thresholds."""

_BRIEF: Final = ("purpose", "outcome", "decided_ms", "raised_ms")
_WHOLE: Final = ("rule", "severity", "outcome", "decided_ms", "raised_ms", "decisions", "event")

Read = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DecidedIncident:
    """A decided incident, without any person's name."""

    rule: str
    severity: Severity
    threshold: str
    """The thresholds of its rule when it was raised or last changed, or the condition; empty: not on record."""
    outcome: Outcome
    """The outcome in force, after revisions."""
    raised_ms: int
    taken_ms: int | None
    """Time at which the person who decided first took it; None: unknown, or decided without being taken."""
    decided_ms: int
    """Time of the first decision."""
    judged: tuple[Outcome, Outcome] | None = None
    """The outcomes of two persons who judged without knowing the other's; None: one person did."""

    @classmethod
    def of(cls, fields: Read) -> Self | None:
        """Parses a record; None: it is damaged."""
        raised_ms, decided_ms = number_of(fields, "raised_ms"), number_of(fields, "decided_ms")
        if raised_ms is None or decided_ms is None or not fields.get("outcome"):
            return None
        try:
            first = _first_decision(fields.get("decisions", ""))
            times = first["times"] if first else {}
            return cls(
                rule=fields.get("rule", ""),
                severity=Severity(fields.get("severity", "")),
                threshold=_threshold(fields.get("event", "")),
                outcome=Outcome(fields["outcome"]),
                raised_ms=raised_ms,
                taken_ms=milliseconds(times["taken"]) if "taken" in times else None,
                # Of a decision that was revised, the record has the time of the revision.
                decided_ms=milliseconds(times.get("first_decided") or times["decided"]) if first else decided_ms,
                judged=_judged(first),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            return None


def _first_decision(text: str) -> Mapping[str, Any]:
    """`data` of the event of the first decision; empty: version 0.1.0 decided it."""
    data: Mapping[str, Any] = json.loads(text.partition("\n")[0])["data"] if text else {}
    return data


def _judged(first: Mapping[str, Any]) -> tuple[Outcome, Outcome] | None:
    """The outcomes in `judgements` of a decision that two people made blind, in the order in which they judged."""
    judgements = first.get("judgements", ())
    match [Outcome(one["outcome"]) for one in judgements]:
        case [one, other]:
            return one, other
    return None


def _threshold(text: str) -> str:
    """Names the thresholds that an escalation event had to reach."""
    if not text:
        return ""
    data: Mapping[str, Any] = json.loads(text)["data"]
    parts = [
        *_condition_parts(data.get("condition", {})),
        *(
            f"distance on {one['list']} <= {one['max_distance']}"
            for one in islice(data.get("matches", ()), 1)  # the nearest
            if "max_distance" in one
        ),
    ]
    return "; ".join(parts)[: 2 * MOST_CHARACTERS]


def _condition_parts(condition: Mapping[str, Any]) -> list[str]:
    """Names the thresholds of a rule, of a hash flood or of a coverage gap (`worker.incidents.event_data`)."""
    if stated := condition.get("thresholds"):
        return [f"{one['of']} {one['name']} {one['operator']} {one['value']}" for one in stated]
    if "when" in condition:
        return [str(condition["when"])[:MOST_CHARACTERS]]
    if "streams" in condition:
        return [f"{condition['streams']} streams within {condition['within_seconds']} s"]
    return [f"not seen for {condition['after_seconds']} s"] if "after_seconds" in condition else []


class DecidedReading:
    """One reading of all records, in bounded memory."""

    def __init__(self, redis: Redis, period: Period, purpose: str) -> None:
        self._redis = redis
        self._period = period
        self._purpose = purpose
        self.damaged = 0
        """Records that could not be read so far."""
        self.undecided = 0
        """Incidents so far that were raised in the period and on which nobody has decided."""

    def incidents(self) -> Iterator[DecidedIncident]:
        """Yields the incidents that were first decided in the period, in no order.

        Raises:
            StoreError: Redis failed.
        """
        for ids in self._ids():
            for fields in self._wanted(ids):
                found = DecidedIncident.of(fields)
                if found is None:
                    self.damaged += 1
                elif self._period.contains(found.decided_ms):
                    yield found

    def _ids(self) -> Iterator[list[str]]:
        """All incidents on record: an operator may not scan the keys, and each beginning has a set."""
        beginnings = iter(f"{number:0{ALIKE}x}" for number in range(16**ALIKE))
        waiting: list[str] = []
        while asked := list(islice(beginnings, READ_AT_ONCE)):
            with store_errors(), self._redis.pipeline(transaction=False) as pipe:
                for beginning in asked:
                    pipe.smembers(ids_key(beginning))
                sets = pipe.execute(raise_on_error=False)
            waiting += [str(one) for found in sets if isinstance(found, set | list) for one in found]
            while len(waiting) >= READ_AT_ONCE:
                yield waiting[:READ_AT_ONCE]
                waiting = waiting[READ_AT_ONCE:]
        if waiting:
            yield waiting

    def _wanted(self, ids: Sequence[str]) -> Iterator[Read]:
        """Yields the records that may have been decided in the period: events are read of these alone."""
        wanted = []
        for incident_id, fields in zip(ids, self._read(ids, _BRIEF), strict=True):
            if fields.get("purpose") != self._purpose:
                continue
            raised_ms, decided_ms = number_of(fields, "raised_ms"), number_of(fields, "decided_ms")
            if "outcome" not in fields:
                self.undecided += raised_ms is not None and self._period.contains(raised_ms)
            elif decided_ms is None or decided_ms >= self._period.since_ms:  # the last revision's, at most later
                wanted.append(incident_id)
        return self._read(wanted, _WHOLE)

    def _read(self, ids: Sequence[str], names: Sequence[str]) -> Iterator[Read]:
        with store_errors(), self._redis.pipeline(transaction=False) as pipe:
            for incident_id in ids:
                pipe.hmget(incident_key(incident_id), names)
            found = pipe.execute(raise_on_error=False)
        for values in found:
            known = zip(names, values, strict=True) if isinstance(values, list) else ()
            yield {name: str(value) for name, value in known if value is not None}
