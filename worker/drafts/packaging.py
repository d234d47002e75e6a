"""Packages a case: agreement, pictures, audit extract, record, and the sealed file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from config.counts import counted
from worker.audit.published_heads import published_heads
from worker.audit.search import AuditSearch
from worker.drafts.agreements import (
    MAY_AGREE,
    PackageAgreement,
    agree,
    content_of,
    record_package,
    suffices,
)
from worker.drafts.audit_extract import extract
from worker.drafts.case_report import CaseReport
from worker.drafts.gathering import gather, since_ms
from worker.drafts.package import CasePackage, build_package
from worker.errors import DraftError, EvidenceError, ObjectStoreError
from worker.evidence.reading import EvidenceReader
from worker.evidence.sealing import Identity, Recipients
from worker.people.actor import Actor
from worker.store.local_file import expect_private, write_private_file


@dataclass(frozen=True, kw_only=True)
class PackageOutcome:
    """An agreement, and the package, if it was the second one."""

    case_id: str
    agreements: tuple[PackageAgreement, ...]
    package: CasePackage | None = None
    """None: another person has yet to agree."""
    sealed: bytes = field(default=b"", repr=False)
    """The package, sealed to its recipient."""
    missing: tuple[str, ...] = ()
    """Texts about pictures, and parts of the audit log, that are not in it."""


@dataclass(frozen=True, kw_only=True)
class Packaging:
    """The places that a package is made from."""

    redis: Redis
    audit: AuditSearch
    reader: EvidenceReader
    identity: Callable[[], Identity]
    """The private key of whoever packages; asked for once two people agree."""
    deployment: str

    def package(self, given: str, actor: Actor, *, to: str, out: Path) -> PackageOutcome:
        """Agrees to a package, and writes it, sealed, if another person has agreed to the same.

        Raises:
            LocalFileError: the file cannot be written.
            LivewardenError: as `agree_and_seal`.
        """
        done = self.agree_and_seal(given, actor, to=to, first=lambda: expect_private(out))
        if done.package is not None:
            write_private_file(out, done.sealed)
        return done

    def agree_and_seal(
        self, given: str, actor: Actor, *, to: str, seen: str = "", first: Callable[[], None] = lambda: None
    ) -> PackageOutcome:
        """Agrees to a package, and seals it in memory if another person has agreed to the same.

        Nothing of a picture is on a disk in the clear. The package is on record before it is handed out: one that
        cannot be recorded is not.

        Args:
            given: the case, or an incident of it, by its ID or the beginning of it.
            to: public key of the recipient.
            seen: `content_of` the case, without a recipient, as the person saw it; empty: whatever it is now.
            first: called before anything is recorded.

        Raises:
            DraftError: nobody has decided that it is reported, it has changed since the first agreement or since it was
                seen, or a picture is not the one on record.
            EvidenceError: `to` is no public key, or there is no private key.
            QueueError, RetentionError: there is no such case.
            BankRequestError, PeopleError: the person may not.
            StoreError, ObjectStoreError: Redis or the store failed.
        """
        recipient = to.strip()
        recipients = recipients_of(recipient)
        actor.must_be(*MAY_AGREE, to="agree to a package")
        case = self._case(given)
        if not case.reportable:
            raise DraftError(
                f"case {case.case_id}: nobody has decided that it is, or may be, child sexual abuse, or that a child "
                "is at risk: its pictures are handed to nobody"
            )
        if seen and seen != content_of(case, ""):
            raise DraftError(f"case {case.case_id}: it has changed since its page was shown: load it again")
        first()
        agreements = tuple(agree(self.redis, case, actor, recipient=recipient))
        if not suffices(agreements):
            return PackageOutcome(case_id=case.case_id, agreements=agreements)
        pictures, missing = self._pictures(case)
        if case.unopened_segments:
            parts = counted(case.unopened_segments, "part")
            missing.append(f"{parts} of the audit log could not be opened: entries in them are not in the package")
        since = since_ms([dict(one.record) for one in case.incidents])
        built = build_package(
            case,
            pictures=pictures,
            missing=missing,
            audit=extract(case, self.audit.linked_entries(since_ms=since), published_heads(self.redis)),
            agreements=agreements,
            recipient=recipient,
        )
        sealed = recipients.encrypt(built.content)
        # Opening pictures takes seconds, in which a decision may have been revised: what is recorded is the case now.
        record_package(
            self.redis,
            self._case(case.case_id),
            actor,
            recipient=recipient,
            manifest_sha256=built.manifest_sha256,
            pictures=built.pictures,
        )
        return PackageOutcome(
            case_id=case.case_id, agreements=agreements, package=built, sealed=sealed, missing=tuple(missing)
        )

    def _case(self, given: str) -> CaseReport:
        return gather(self.redis, given, audit=self.audit, deployment=self.deployment)

    def _pictures(self, case: CaseReport) -> tuple[dict[str, bytes], list[str]]:
        """Opens the pictures in memory. One that is missing or damaged is named, and keeps back none of the others."""
        identity = self.identity()
        pictures: dict[str, bytes] = {}
        missing = []
        for one in case.reported_pictures:
            try:
                _, _, pictures[one.ref] = self.reader.open(one.ref, identity)
            except (EvidenceError, ObjectStoreError) as error:
                missing.append(str(error))
        return pictures, missing


def recipients_of(public_key: str) -> Recipients:
    """Returns one recipient.

    Raises:
        EvidenceError: it is no public key.
    """
    try:
        return Recipients([public_key])
    except EvidenceError as error:
        raise EvidenceError(f"--to: {public_key[:80]!r}: {error}", reason=error.reason) from None
