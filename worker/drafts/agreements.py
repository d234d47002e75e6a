"""Agreements of two people that a case is packaged for a recipient: neither can hand out evidence alone."""

import json
from collections.abc import Iterable
from contextlib import suppress
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
from worker.store.redis_client import now_ms, now_us, run_script_to_disk, store_errors

agreements_key: Final = redis_keys.PACKAGE_AGREEMENTS.of

LIFE_MS: Final = redis_keys.PACKAGE_AGREEMENTS.seconds * 1000
"""Time within which the second person agrees: a day, so that a night shift can wait for the morning's lead."""

MOST_AGREEMENTS: Final = 20
"""People who agree on one case, <=, also to other recipients."""

PEOPLE: Final = 2

MOST_NAMED: Final = 50
"""Incidents of a case that an agreement names, <=; its digest is of all."""

MAY_AGREE: Final = (Role.MODERATOR, Role.LEAD)


@dataclass(frozen=True, kw_only=True)
class PackageAgreement:
    """A person's agreement to a package."""

    by: str
    role: str
    verified: bool
    at_ms: int
    """Redis's clock."""
    at_us: int = 0
    """The same in microseconds: which of two agreements of one millisecond was first; 0: an older version recorded it
    without."""
    agreed: str
    """Digest from `content_of`: of what and for whom."""
    recipient: str = ""
    """Public key; empty: an older version recorded it without."""
    outcomes: tuple[str, ...] = ()
    """`INCIDENT OUTCOME` of the case's incidents at that time, at most `MOST_NAMED`: to say what has changed since."""
    pictures: int | None = None
    """Pictures that it was about; None: not recorded."""

    def to_json(self) -> str:
        """Returns the record on one line."""
        return json.dumps(vars(self))

    def described(self) -> dict[str, Any]:
        """Returns the agreement as manifests and `--json` have it."""
        return {"by": self.by, "role": self.role, "verified": self.verified, "at": rfc3339(self.at_ms)}


def content_of(case: CaseReport, recipient: str) -> str:
    """Returns a digest of what is agreed to: the recipient, the case, its incidents with their outcomes, and its
    pictures. Who agreed to three pictures has not agreed to a fourth, nor to the case once a decision is revised."""
    incidents = _outcomes(case)
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
        at_us = now_us(redis)
        given = PackageAgreement(
            by=actor.name,
            role=str(actor.role),
            verified=actor.verified,
            at_ms=at_us // 1000,
            at_us=at_us,
            agreed=content_of(case, recipient),
            recipient=recipient,
            outcomes=tuple(_outcomes(case)[:MOST_NAMED]),
            pictures=len(case.reported_pictures),
        )
    entry = _entry(Act.AGREE, case, actor, recipient, pictures=len(case.reported_pictures), content=given.agreed)
    answer = _run(redis, "package_agree", case, actor, given.agreed, given.to_json(), MOST_AGREEMENTS, entry)
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
    entry = _entry(Act.PACKAGE, case, actor, recipient, pictures=pictures, manifest_sha256=manifest_sha256)
    answer = _run(redis, "package_made", case, actor, content_of(case, recipient), entry)
    if answer[0] == "lacking":
        raise DraftError(
            f"case {case.case_id}: two people, one of them a lead, must agree to this very package: the case has "
            "changed, a person has left the roster, or a day is over"
        )


def agreements_on(redis: Redis, case_id: str) -> list[PackageAgreement]:
    """Returns the agreements of the last day on a case, whatever they were to, the first one first; damaged ones are
    left out. Whether one still counts is for `agree` and `record_package` to say.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        texts = [str(text) for text in redis.hgetall(agreements_key(case_id)).values()]
        now = now_ms(redis)
    return [one for one in _read(texts) if now - one.at_ms < LIFE_MS]


def changes_since(agreement: PackageAgreement, case: CaseReport) -> list[str]:
    """Names what has changed in the case since a person agreed to its package; empty: nothing.

    Each is `INCIDENT OUTCOME` as it is now, an incident's ID alone where it has left the case, or `pictures`.
    """
    if agreement.agreed == content_of(case, agreement.recipient):
        return []
    now = _outcomes(case)
    before = set(agreement.outcomes)
    left = {one.partition(" ")[0] for one in before} - {one.incident_id for one in case.incidents}
    found = [] if len(before) == MOST_NAMED else [one for one in now if one not in before] + sorted(left)
    return found if found and agreement.pictures == len(case.reported_pictures) else [*found, "pictures"]


def _entry(act: Act, case: CaseReport, actor: Actor, recipient: str, **details: str | int) -> str:
    """The entry of the audit log of an act on a case's package."""
    return audit_entry(
        act,
        by=actor.name,
        verified=actor.verified,
        subject=case.case_id,
        recipient=recipient,
        incidents=[one.incident_id for one in case.incidents],
        **details,
    )


def _run(redis: Redis, script: str, case: CaseReport, actor: Actor, agreed: str, *more: str | int) -> Any:
    """Runs a script on a case's agreements; returns its answer.

    Raises:
        PeopleError: the person is not in the roster any more, or in another role.
        StoreError: Redis failed; it may have been applied.
    """
    args = [folded(actor.name), actor.name, actor.role, actor.proof, agreed, LIFE_MS, *more]
    answer = run_script_to_disk(redis, script, keys=[agreements_key(case.case_id)], args=args)
    if answer[0] == "unproven":
        raise unproven(actor)
    return answer


def _outcomes(case: CaseReport) -> list[str]:
    return sorted(f"{one.incident_id} {one.outcome}" for one in case.incidents)


def _read(texts: Iterable[str]) -> list[PackageAgreement]:
    """The agreements of these records; a damaged one is none."""
    read = []
    for text in texts:
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            one = json.loads(text)
            pictures = one.get("pictures")
            at_us = one.get("at_us")
            read.append(
                PackageAgreement(
                    by=str(one["by"]),
                    role=str(one.get("role", "")),
                    verified=one.get("verified") is True,
                    at_ms=int(one["at_ms"]),
                    at_us=at_us if isinstance(at_us, int) else 0,
                    agreed=str(one["agreed"]),
                    recipient=str(one.get("recipient", "")),
                    outcomes=tuple(map(str, one.get("outcomes", ()))),
                    pictures=pictures if isinstance(pictures, int) else None,
                )
            )
    return sorted(read, key=lambda one: (one.at_ms, one.at_us, one.by))
