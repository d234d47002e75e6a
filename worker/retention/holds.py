"""Legal holds: nothing of an incident on hold is deleted, whatever its term is."""

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from worker.audit.entries import Act, audit_entry
from worker.errors import RetentionError
from worker.events.cloudevent import rfc3339
from worker.incidents.keys import incident_key
from worker.people.actor import Actor, Role
from worker.people.roster import unproven
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

evidence_key: Final = redis_keys.EVIDENCE.of
hold_key: Final = redis_keys.EVIDENCE_HOLD.of

MOST_HOLDS: Final = 20
"""On one incident: each is a request of its own, such as of a court."""

MAX_REASON: Final = 500
"""Characters. A reason names the request, such as its file number."""

MAY_HOLD: Final = (Role.MODERATOR, Role.LEAD, Role.OPERATOR, Role.AUDITOR)
"""Everybody: a hold deletes nothing, and is on record."""


@dataclass(frozen=True, kw_only=True)
class LegalHold:
    """A hold on an incident."""

    hold_id: str
    incident_id: str
    by: str
    verified: bool
    reason: str
    placed_ms: int
    """Redis's clock."""

    def to_json(self) -> str:
        """Returns the record on one line."""
        return json.dumps(
            {"by": self.by, "verified": self.verified, "reason": self.reason, "placed_ms": self.placed_ms}
        )

    @classmethod
    def read(cls, incident_id: str, hold_id: str, text: str) -> "LegalHold":
        """Reads a record. A damaged one is a hold all the same."""
        try:
            found: dict[str, Any] = json.loads(text)
            return cls(
                hold_id=hold_id,
                incident_id=incident_id,
                by=str(found.get("by", "")),
                verified=bool(found.get("verified", False)),
                reason=str(found.get("reason", "")),
                placed_ms=int(found.get("placed_ms", 0)),
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            return cls(hold_id=hold_id, incident_id=incident_id, by="", verified=False, reason="", placed_ms=0)

    def described(self) -> dict[str, Any]:
        """Returns the hold as `--json` prints it."""
        return {
            "hold": self.hold_id,
            "incident_id": self.incident_id,
            "by": self.by,
            "verified": self.verified,
            "reason": self.reason,
            "placed": rfc3339(self.placed_ms),
        }


@dataclass(frozen=True, kw_only=True)
class PlacedHold:
    """A hold that was placed, now or before, and what it keeps."""

    hold: LegalHold
    pictures: int
    """Pictures of the incident on record."""
    being_deleted: int
    """Number of these whose deletion had begun: those that are still there when it is tried again stay."""


def hold(redis: Redis, incident_id: str, actor: Actor, *, reason: str) -> PlacedHold:
    """Places a hold on an incident, for whoever asks; it is then on Redis's disk and in the audit log.

    The same reason of the same person is one hold, however often it is placed.

    Raises:
        RetentionError: the incident is unknown, is being erased, or has `MOST_HOLDS`; or the reason is empty.
        BankRequestError, PeopleError: the person may not.
        StoreError: Redis failed; the hold may have been placed.
    """
    actor.must_be(*MAY_HOLD, to="place a hold")
    stated = check_reason(reason)
    with store_errors():
        placed = LegalHold(
            hold_id=secrets.token_hex(4),
            incident_id=incident_id,
            by=actor.name,
            verified=actor.verified,
            reason=stated,
            placed_ms=now_ms(redis),
        )
    entry = audit_entry(
        Act.HOLD, by=actor.name, verified=actor.verified, subject=incident_id, hold=placed.hold_id, reason=stated
    )
    answer = run_script_to_disk(
        redis,
        "hold",
        keys=[incident_key(incident_id), hold_key(incident_id), evidence_key(incident_id)],
        args=[
            incident_id,
            placed.hold_id,
            placed.to_json(),
            actor.name,
            actor.role,
            actor.proof,
            MOST_HOLDS,
            entry,
        ],
    )
    match answer[0]:
        case "unproven":
            raise unproven(actor)
        case "unknown":
            raise RetentionError(f"incident {incident_id}: no such incident is on record, and no evidence of it")
        case "forgotten":
            raise RetentionError(f"incident {incident_id}: the data of its stream is being erased")
        case "full":
            raise RetentionError(
                f"incident {incident_id}: it has {MOST_HOLDS} holds: release one, or name another there"
            )
    _, hold_id, text, pictures, being_deleted = answer
    return PlacedHold(
        hold=LegalHold.read(incident_id, str(hold_id), str(text)),
        pictures=int(pictures),
        being_deleted=int(being_deleted),
    )


def release(redis: Redis, incident_id: str, actor: Actor, *, reason: str, hold_id: str = "") -> int:
    """Releases a hold, or all holds of an incident: only a lead may. Returns how many holds are left.

    Its terms count again: what is over is deleted within the hour.

    Raises:
        RetentionError: there is no such hold, or the reason is empty.
        BankRequestError, PeopleError: the person may not.
        StoreError: Redis failed; the hold may have been released.
    """
    actor.must_be(Role.LEAD, to="release a hold")
    stated = check_reason(reason)
    entry = audit_entry(
        Act.RELEASE,
        by=actor.name,
        verified=actor.verified,
        subject=incident_id,
        hold=hold_id or "all",
        reason=stated,
    )
    answer = run_script_to_disk(
        redis,
        "hold_release",
        keys=[hold_key(incident_id)],
        args=[incident_id, hold_id, actor.name, actor.role, actor.proof, entry],
    )
    if answer[0] == "unproven":
        raise unproven(actor)
    if answer[0] == "none":
        which = f"hold {hold_id} is not on it" if hold_id else "it is not on hold"
        raise RetentionError(f"incident {incident_id}: {which}")
    return int(answer[2])


def holds_on(redis: Redis, incident_id: str) -> list[LegalHold]:
    """The holds on an incident, the first one first.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        found = redis.hgetall(hold_key(incident_id))
    holds = [LegalHold.read(incident_id, str(hold_id), str(text)) for hold_id, text in found.items()]
    return sorted(holds, key=lambda one: (one.placed_ms, one.hold_id))


def check_reason(reason: str) -> str:
    """Returns a reason, stripped.

    Raises:
        RetentionError: it is empty, too long or unprintable.
    """
    stated = " ".join(reason.split())
    if not stated or len(stated) > MAX_REASON or not stated.isprintable():
        raise RetentionError(f"--reason: {reason[:80]!r}: expected 1 to {MAX_REASON} printable characters")
    return stated
