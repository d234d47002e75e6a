"""Pictures that people put forward for the list `confirmed`, in a real Valkey."""

from dataclasses import replace
from pathlib import Path

import pytest
from kept_evidence import KeptEvidence
from redis import Redis
from scene import Scene

from worker.audit.entries import Act, append_entry, audit_entry
from worker.bank.keys import CHANGES, PROPOSED
from worker.errors import BankRequestError, QueueError
from worker.evidence.item_states import record_of
from worker.incidents.keys import incident_key
from worker.people.actor import Actor, Role
from worker.queue.confirmations import propose_confirmed

ANN = Actor(name="ann", role=Role.MODERATOR)
BOB = Actor(name="bob", role=Role.MODERATOR)


@pytest.fixture
def kept(scene: Scene, tmp_path: Path) -> KeptEvidence:
    return KeptEvidence(scene=scene, folder=tmp_path / "kept")


def picture(kept: KeptEvidence, *, outcome: str = "csea_apparent", quality: int | None = 90) -> tuple[str, str]:
    """A decided incident, and the reference of its picture."""
    incident = kept.incident(pictures=1, outcome=outcome)
    (ref,) = map(str, kept.redis.hkeys(f"lw:evidence:{incident}"))
    record = record_of(kept.redis, incident, ref)
    assert record is not None
    noted = replace(record, pdq="5a" * 32, pdq_quality=quality)
    kept.redis.hset(f"lw:evidence:{incident}", ref, noted.to_json())
    return incident, ref


def sees(redis: Redis, person: Actor, ref: str, shown: str = "clear") -> None:
    append_entry(redis, audit_entry(Act.VIEW, by=person.name, verified=False, subject=ref, shown=shown))


def test_a_second_person_who_saw_it_confirms(kept: KeptEvidence) -> None:
    """A platform's own known material would be matched by nobody, or be on the list by one person's word."""
    incident, ref = picture(kept)
    sees(kept.redis, ANN, ref)
    sees(kept.redis, BOB, ref)
    first = propose_confirmed(kept.redis, incident, ref, ANN)
    assert (first.confirmed, first.proposed_by) == (False, "ann")
    assert kept.redis.hlen(PROPOSED) == 1
    assert kept.redis.xlen(CHANGES) == 0
    with pytest.raises(BankRequestError, match="a second person must confirm it"):
        propose_confirmed(kept.redis, incident, ref, ANN)
    second = propose_confirmed(kept.redis, incident, ref, BOB)
    assert (second.confirmed, second.proposed_by) == (True, "ann")
    assert kept.redis.xlen(CHANGES) == 1


@pytest.mark.parametrize("shown", ["", "reduced"])
def test_who_did_not_see_it_clear_may_not(kept: KeptEvidence, shown: str) -> None:
    """A picture would be listed as known material that nobody has seen."""
    incident, ref = picture(kept)
    sees(kept.redis, BOB, ref)
    if shown:
        sees(kept.redis, ANN, ref, shown)
    with pytest.raises(BankRequestError, match="ann did not see it clear, as the audit log has it"):
        propose_confirmed(kept.redis, incident, ref, ANN)
    assert kept.redis.hlen(PROPOSED) == 0


@pytest.mark.parametrize(
    ("quality", "error"), [(79, "`?confirmed`? takes pictures of 80"), (None, "its hash and quality are not on record")]
)
def test_a_hash_of_low_or_unknown_quality_is_refused(kept: KeptEvidence, quality: int | None, error: str) -> None:
    """A hash that fits many pictures would raise harmless streams as critical."""
    incident, ref = picture(kept, quality=quality)
    sees(kept.redis, ANN, ref)
    with pytest.raises(BankRequestError, match=error):
        propose_confirmed(kept.redis, incident, ref, ANN)


@pytest.mark.parametrize("outcome", ["", "csea_suspected", "harmless"])
def test_only_what_is_decided_as_apparent_is_taken(kept: KeptEvidence, outcome: str) -> None:
    """A suspicion, or a harmless picture, would be known material from then on."""
    incident, ref = picture(kept, outcome=outcome)
    sees(kept.redis, ANN, ref)
    with pytest.raises(BankRequestError, match="confirmed takes pictures decided as csea_apparent"):
        propose_confirmed(kept.redis, incident, ref, ANN)


def test_nothing_of_a_drill_is_taken(kept: KeptEvidence) -> None:
    """The test card would be known material on live streams."""
    incident, ref = picture(kept)
    kept.redis.hset(incident_key(incident), "purpose", "drill")
    sees(kept.redis, ANN, ref)
    with pytest.raises(BankRequestError, match="nothing of a drill is known material"):
        propose_confirmed(kept.redis, incident, ref, ANN)


def test_a_picture_of_another_incident_is_refused(kept: KeptEvidence) -> None:
    """A forged reference would list a picture of a case that was never decided so."""
    incident, _ = picture(kept)
    with pytest.raises(BankRequestError, match="has no picture"):
        propose_confirmed(kept.redis, incident, "0" * 32, ANN)
    with pytest.raises(QueueError, match="is not known"):
        propose_confirmed(kept.redis, "0" * 24, "0" * 32, ANN)
