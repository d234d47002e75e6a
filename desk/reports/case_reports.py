"""Drafts, records and packages of a case, by the functions that `livewarden report` calls."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from redis import Redis

from config.policy.policy import load_policy
from config.policy.retention import DAY_MS, Retention
from config.settings import Settings
from desk.deployment import own_identity
from desk.errors import BusyError, UnknownCaseError
from worker.audit.search import AuditSearch
from worker.drafts.agreements import PackageAgreement, agreements_on, changes_since, content_of
from worker.drafts.answers import ReportAnswers
from worker.drafts.case_report import CaseReport
from worker.drafts.completeness import Lack, lacks
from worker.drafts.drafting import make_draft
from worker.drafts.forms import ReportForm
from worker.drafts.gathering import gather
from worker.drafts.nca import expect_not_reported
from worker.drafts.packaging import PackageOutcome, Packaging
from worker.errors import DraftError, EvidenceError, QueueError, RetentionError
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.reading import EvidenceReader
from worker.evidence.spool import Spool
from worker.people.actor import Actor
from worker.retention.reports import AuthorityReport, ReportOutcome, find_case, record_report
from worker.store.object_store import ObjectStore

PACKAGES_AT_ONCE: Final = 1
"""A package is made in memory: its pictures, their ZIP and the sealed bytes, some 512 MiB each at most."""
WAIT_SECONDS: Final = 10.0
"""Time for which a person waits for another one's package."""

MOST_WAITING: Final = 4
"""People who wait so, <=: each waits in a thread, and moderators' pages need the others."""

TYPES: Final = {ReportForm.CYBERTIPLINE: "xml", ReportForm.NCA: "json", ReportForm.DSA: "json"}
"""The kind of file of each form."""


@dataclass(frozen=True, kw_only=True)
class DraftState:
    """One form of report on a case: what it lacks, and whether there is a draft."""

    form: ReportForm
    lacks: tuple[Lack, ...]
    refused: str = ""
    """The reason that there must be none, whatever is filled in; empty: there may."""

    @property
    def missing(self) -> tuple[Lack, ...]:
        """Lacks without which there is no draft."""
        return tuple(one for one in self.lacks if one.blocks)

    @property
    def weak(self) -> tuple[Lack, ...]:
        """Lacks that make a report weaker."""
        return tuple(one for one in self.lacks if not one.blocks)


@dataclass(frozen=True, kw_only=True)
class KeptReport:
    """A recorded report, with the times until which it keeps what it is about."""

    report: AuthorityReport
    content_until_ms: int
    reference_until_ms: int


@dataclass(frozen=True, kw_only=True)
class StandingAgreement:
    """An agreement to a package, and what has changed in the case since."""

    agreement: PackageAgreement
    changed: tuple[str, ...]
    """As `changes_since` names it; empty: it counts."""


class CaseReports:
    """Reports of all cases."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._redis = redis
        self._packages = threading.BoundedSemaphore(PACKAGES_AT_ONCE)
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def gather(self, case_id: str) -> CaseReport:
        """Reads a case, with what the audit log has of it.

        Raises:
            UnknownCaseError: there is none, or no record of it is left.
            StoreError, ObjectStoreError: Redis or the store failed.
        """
        with _known(case_id):
            return gather(self._redis, case_id, audit=self._audit(), deployment=self._settings.deployment)

    def retention(self) -> Retention:
        """The terms of the policy in force.

        Raises:
            PolicyError: the policy cannot be read.
        """
        return load_policy(self._settings.policy_file).retention

    def record(self, case_id: str, actor: Actor, *, authority: str, report_id: str) -> ReportOutcome:
        """Records a report, which starts the terms of that authority.

        Raises:
            UnknownCaseError: there is no such case.
            RetentionError: the authority's name or the reference is malformed, or there are too many reports.
            BankRequestError, PeopleError: the person may not.
            StoreError: Redis failed; the report may have been recorded.
        """
        with _known(case_id):
            find_case(self._redis, case_id)
        return record_report(
            self._redis, case_id, actor, authority=authority, report_id=report_id, retention=self.retention()
        )

    @property
    def opens_pictures(self) -> bool:
        """Returns whether this desk has a private key: without one nothing can be packaged here."""
        return own_identity(self._settings) is not None

    def package(self, case_id: str, actor: Actor, *, to: str, seen: str) -> PackageOutcome:
        """Agrees to a package, and seals it if another person agreed to the same.

        Args:
            seen: the case as the person saw it, from `seen_content`.

        Raises:
            BusyError: another package is being made.
            UnknownCaseError, DraftError, EvidenceError, BankRequestError, PeopleError, StoreError, ObjectStoreError: as
                `Packaging.agree_and_seal`.
        """
        identity = own_identity(self._settings)
        if identity is None:
            raise EvidenceError("this desk has no private key", reason="identity")
        if not self._got_place():
            raise BusyError
        try:
            packaging = Packaging(
                redis=self._redis,
                audit=self._audit(),
                reader=EvidenceReader(
                    redis=self._redis,
                    store=EvidenceStore(lambda: ObjectStore(self._settings.store_url)),
                    spool=Spool.of(self._settings),
                ),
                identity=lambda: identity,
                deployment=self._settings.deployment,
            )
            with _known(case_id):
                return packaging.agree_and_seal(case_id, actor, to=to, seen=seen)
        finally:
            self._packages.release()

    def _got_place(self) -> bool:
        """Waits for a place to make a package; returns whether there is one."""
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._packages.acquire(timeout=WAIT_SECONDS)
        finally:
            self._waiting.release()

    def agreements(self, case: CaseReport) -> list[StandingAgreement]:
        """Agreements of the last day on a case, the first one first.

        Raises:
            StoreError: Redis failed.
        """
        return [
            StandingAgreement(agreement=one, changed=tuple(changes_since(one, case)))
            for one in agreements_on(self._redis, case.case_id)
        ]

    def _audit(self) -> AuditSearch:
        identity = own_identity(self._settings)
        opened = None if identity is None else identity.decrypt
        return AuditSearch(self._redis, ObjectStore(self._settings.store_url), opened=opened)


def draft_state(form: ReportForm, case: CaseReport, answers: ReportAnswers) -> DraftState:
    """Returns what a report in a form lacks, and whether it must not be made at all."""
    refused = "" if case.reportable else "undecided"
    if form is ReportForm.NCA:
        try:
            expect_not_reported(case)
        except DraftError:
            refused = "reported"
    return DraftState(form=form, lacks=tuple(lacks(form, case, answers)), refused=refused)


def draft_text(state: DraftState, case: CaseReport, answers: ReportAnswers) -> str:
    """Returns a draft, also one that lacks something: it is marked as a draft, and the page names what is missing.

    Raises:
        DraftError: there must be none.
    """
    return make_draft(state.form, case, answers, incomplete=True)


def kept_report(report: AuthorityReport, retention: Retention) -> KeptReport:
    """Returns a report with its terms, which count from its record on."""
    content_days, reference_days = retention.report_days(report.authority)
    return KeptReport(
        report=report,
        content_until_ms=report.recorded_ms + content_days * DAY_MS,
        reference_until_ms=report.recorded_ms + reference_days * DAY_MS,
    )


def seen_content(case: CaseReport) -> str:
    """Returns what a person sees of a case before agreeing to its package: as a digest, without a recipient."""
    return content_of(case, "")


def file_name(case_id: str, what: str) -> str:
    """Returns a name for a download: letters, digits, dots, dashes and underscores alone, however the case is named."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', case_id)[:100]}-{what}"


@contextmanager
def _known(case_id: str) -> Iterator[None]:
    """Translates the errors of a case that is not there."""
    try:
        yield
    except (QueueError, RetentionError) as error:
        raise UnknownCaseError(case_id) from error
