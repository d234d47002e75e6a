"""Agreements of two people that a case is packaged for a recipient: neither can hand out evidence alone."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from worker.audit.entries import Act, audit_entry
from worker.drafts.case_report import CaseReport
from worker.errors import DraftError
from worker.events.cloudevent import derived_id, rfc3339
from worker.people.actor import Actor, Role, folded
from worker.people.roster import unproven
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

agreements_key: Final = redis_keys.PACKAGE_AGREEMENTS.of

LIFE_MS: Final = redis_keys.PACKAGE_AGREEMENTS.seconds * 1000
"""Time within which the second person agrees: a day, so that a night shift can wait for the morning's lead."""

MOST_AGREEMENTS: Final = 20
"""People who agree on one case, <=, also to other recipients."""

PEOPLE: Final = 2

MAY_AGREE: Final = (Role.MODERATOR, Role.LEAD)


@dataclass(frozen=True, kw_only=True)
class PackageAgreement:
    """A person's agreement to a package."""

    by: str
    role: str
    verified: bool
    at_ms: int
    """Redis's clock."""
    agreed: str
    """Digest from `content_of`: of what and for whom."""

    def to_json(self) -> str:
        """Returns the record on one line."""
        return json.dumps(vars(self))

    def described(self) -> dict[str, Any]:
        """Returns the agreement as manifests and `--json` have it."""
        return {"by": self.by, "role": self.role, "verified": self.verified, "at": rfc3339(self.at_ms)}


def content_of(case: CaseReport, recipient: str) -> str:
    """Returns a digest of what is agreed to: the recipient, the case, its incidents with their outcomes, and its
    pictures. Who agreed to three pictures has not agreed to a fourth, nor to the case once a decision is revised."""
    incidents = sorted(f"{one.incident_id} {one.outcome}" for one in case.incidents)
    pictures = sorted(f"{one.ref} {one.picture_sha256}" for one in case.reported_pictures)
    return derived_id("package", recipient, case.case_id, json.dumps([incidents, pictures]))


def suffices(agreements: Iterable[PackageAgreement]) -> bool:
    """Returns whether these agreements are of two people, a lead among them."""
    found = {folded(one.by): one.role for one in agreements}
    return len(found) >= PEOPLE and Role.LEAD in found.values()


def agree(redis: Redis, case: CaseReport, actor: Actor, *, recipient: str) -> list[PackageAgreement]:
    """Records that a person agrees; it is then on Redis's disk and in the audit log. Returns all agreements that stand,
    the first one first. Agreeing again changes nothing.

    Raises:
        DraftError: too many people have agreed on the case.
        BankRequestError, PeopleError: the person may not.
        StoreError: Redis failed; the agreement may have been recorded.
    """
    actor.must_be(*MAY_AGREE, to="agree to a package")
    with store_errors():
        given = PackageAgreement(
            by=actor.name,
            role=str(actor.role),
            verified=actor.verified,
            at_ms=now_ms(redis),
            agreed=content_of(case, recipient),
        )
    entry = audit_entry(
        Act.AGREE,
        by=actor.name,
        verified=actor.verified,
        subject=case.case_id,
        recipient=recipient,
        incidents=[one.incident_id for one in case.incidents],
        pictures=len(case.reported_pictures),
        content=given.agreed,
    )
    answer = run_script_to_disk(
        redis,
        "package_agree",
        keys=[agreements_key(case.case_id)],
        args=[
            folded(actor.name),
            actor.name,
            actor.role,
            actor.proof,
            given.agreed,
            LIFE_MS,
            given.to_json(),
            MOST_AGREEMENTS,
            entry,
        ],
    )
    if answer[0] == "unproven":
        raise unproven(actor)
    if answer[0] == "full":
        raise DraftError(f"case {case.case_id}: {MOST_AGREEMENTS} people have agreed on it today, which is the limit")
    return _read(answer[1:])


def record_package(
    redis: Redis, case: CaseReport, actor: Actor, *, recipient: str, manifest_sha256: str, pictures: int
) -> None:
    """Records that a case is packaged, in one step with the check that two people agree to it at this moment; called
    before the file is written.

    Raises:
        DraftError: they do not, any more.
        PeopleError: the person is not in the roster any more, or in another role.
        StoreError: Redis failed; it may have been recorded.
    """
    entry = audit_entry(
        Act.PACKAGE,
        by=actor.name,
        verified=actor.verified,
        subject=case.case_id,
        recipient=recipient,
        incidents=[one.incident_id for one in case.incidents],
        pictures=pictures,
        manifest_sha256=manifest_sha256,
    )
    answer = run_script_to_disk(
        redis,
        "package_made",
        keys=[agreements_key(case.case_id)],
        args=[
            folded(actor.name),
            actor.name,
            actor.role,
            actor.proof,
            content_of(case, recipient),
            LIFE_MS,
            entry,
        ],
    )
    if answer[0] == "unproven":
        raise unproven(actor)
    if answer[0] == "lacking":
        raise DraftError(
            f"case {case.case_id}: two people, one of them a lead, must agree to this very package: the case has "
            "changed, a person has left the roster, or a day is over"
        )


def _read(texts: Sequence[str]) -> list[PackageAgreement]:
    """The agreements that a script found to stand: it has checked their fields."""
    found = [json.loads(text) for text in texts]
    read = [
        PackageAgreement(
            by=str(one["by"]),
            role=str(one.get("role", "")),
            verified=one.get("verified") is True,
            at_ms=int(one["at_ms"]),
            agreed=str(one["agreed"]),
        )
        for one in found
    ]
    return sorted(read, key=lambda one: (one.at_ms, one.by))
