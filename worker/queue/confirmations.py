"""Pictures of decided incidents that people put forward for `confirmed`: one who saw it clear proposes, a second one
who saw it clear agrees."""

from typing import Final

from redis import Redis

from models.bank.entries import CONFIRMED
from models.pdq.pdq import PdqHash
from worker.audit.person_views import views_by
from worker.bank.own_lists import Confirmation, confirm
from worker.errors import BankRequestError
from worker.evidence.item_states import record_of
from worker.people.actor import Actor, Role
from worker.queue.lookup import expect_role
from worker.queue.outcomes import Outcome
from worker.queue.record_fields import number_of
from worker.queue.undecided import read_record
from worker.store.redis_client import store_errors

_REAL: Final = "live"


def propose_confirmed(redis: Redis, incident_id: str, ref: str, actor: Actor) -> Confirmation:
    """Puts the hash of a picture forward for `confirmed`; the same call by a second person confirms it.

    Raises:
        BankRequestError: the incident is not decided as apparent abuse, or of a drill; it has no such picture, or one
            without a hash of the quality that the list needs; the person did not see it clear, put it forward before,
            or has a role that may not.
        EvidenceError: the picture's record is malformed.
        PeopleError: the incident is for a lead, or the roster does not have the person any more.
        QueueError: the incident is unknown.
        StoreError: Redis failed, or this user of it may not read the audit log.
    """
    actor.must_be(Role.MODERATOR, Role.LEAD, to="confirm a picture")
    with store_errors():
        record = read_record(redis, incident_id)
        picture = record_of(redis, incident_id, ref)
    expect_role(redis, incident_id, actor, act="confirm a picture")
    if record.get("outcome") != Outcome.CSEA_APPARENT:
        raise BankRequestError(f"incident {incident_id}: {CONFIRMED} takes pictures decided as {Outcome.CSEA_APPARENT}")
    if record.get("purpose") != _REAL:
        raise BankRequestError(f"incident {incident_id}: nothing of a drill is known material")
    if picture is None:
        raise BankRequestError(f"incident {incident_id} has no picture {ref[:100]!r}")
    if not picture.pdq or picture.pdq_quality is None:
        raise BankRequestError(f"picture {ref}: its hash and quality are not on record, or no hash identifies it")
    views = views_by(redis, actor.name, [ref], since_ms=number_of(record, "raised_ms") or 0)
    if not any(view.clear for view in views):
        raise BankRequestError(f"picture {ref}: {actor.name} did not see it clear, as the audit log has it")
    pdq = PdqHash(bits=bytes.fromhex(picture.pdq), quality=picture.pdq_quality)
    return confirm(redis, pdq, actor=actor)
