"""The state of a case in two digests, for a page that is open: cheap enough to be asked each few seconds."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from redis import Redis

from desk.cases.case_incidents import shown_incidents
from desk.errors import UnknownCaseError
from worker.incidents.keys import incident_key
from worker.people.actor import folded
from worker.people.roster import read_roster
from worker.queue.record_fields import lease_left_ms
from worker.store.redis_client import now_ms, store_errors

_EVIDENCE: Final = ("event", "outcome", "ended")
_HOLD: Final = ("hold_until_ms", "handed_to", "handed_by", "help", "help_by")
_LEASE: Final = ("holder", "lease_until_ms", "needs_role", "kept_under")


@dataclass(frozen=True, kw_only=True)
class CaseState:
    """A case at one moment."""

    evidence: str
    """Digest of what was found and decided."""
    hold: str
    """Digest of who holds what, and what they said of it."""
    leases_ms: Mapping[str, int] = field(compare=False)
    """People who hold undecided incidents -> the time until the first of their leases ends."""

    def is_held_by(self, name: str) -> bool:
        """Returns whether that person holds an undecided incident of the case."""
        return self.lease_ms_of(name) > 0

    def lease_ms_of(self, name: str) -> int:
        """The time until the first lease of that person ends; 0: they hold nothing."""
        return min((left for one, left in self.leases_ms.items() if folded(one) == folded(name)), default=0)


def read_state(redis: Redis, case_id: str) -> CaseState:
    """Reads the state of a case, in five round trips at most and without its events.

    Raises:
        UnknownCaseError: there is none of that id.
        StoreError: Redis failed.
    """
    names = (*_EVIDENCE, *_HOLD, *_LEASE)
    with store_errors():
        ids = shown_incidents(redis, case_id) or [case_id]
        with redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hmget(incident_key(one), names)
            answers = pipe.execute(raise_on_error=False)
        now = now_ms(redis)
    roster = read_roster(redis)
    evidence, hold = [], []
    leases_ms: dict[str, int] = {}
    for incident_id, answer in zip(ids, answers, strict=True):
        if not isinstance(answer, list) or not any(one is not None for one in answer):
            continue
        fields = {name: str(one) for name, one in zip(names, answer, strict=True) if one is not None}
        evidence.append([incident_id, *(fields.get(name) for name in _EVIDENCE)])
        if "outcome" in fields:
            continue
        left_ms = lease_left_ms(fields, now, roster)
        holder = fields.get("holder") if left_ms else None
        hold.append([incident_id, holder, *(fields.get(name) for name in _HOLD)])
        if holder is not None:
            leases_ms[holder] = min(left_ms, leases_ms.get(holder, left_ms))
    if not evidence:
        raise UnknownCaseError(case_id)
    return CaseState(evidence=_digest(evidence), hold=_digest(hold), leases_ms=leases_ms)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
