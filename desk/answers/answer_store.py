"""Answers for reports, in the desk's database: they have personal data of accounts, which Redis never has.

They go by themselves some time after the last change: what was reported is with the authority and the platform by then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError
from sqlalchemy import delete
from sqlalchemy.orm import Session

from desk.database.connection import DeskDatabase
from desk.database.tables import CASE_ID, ReportAnswersRow
from desk.errors import AnswersChangedError, UnknownCaseError
from worker.drafts.answers import ReportAnswers

KEPT_DAYS: Final = 90
"""After the last change."""
_KEPT_MS: Final = KEPT_DAYS * 86_400_000


@dataclass(frozen=True, kw_only=True)
class KeptAnswers:
    """The answers of a case."""

    answers: ReportAnswers = field(default_factory=ReportAnswers)
    by: str = ""
    """The person who changed them last; empty: nobody has."""
    changed_ms: int = 0
    version: int = 0
    """Goes up with each change; 0: there was none."""
    readable: bool = True
    """False: another version of the desk wrote them, and this one begins anew."""


class AnswerStore:
    """The answers of all cases."""

    def __init__(self, database: DeskDatabase, *, now_ms: Callable[[], int]) -> None:
        """`now_ms`: Redis's clock. A host's that is far ahead would have all answers forgotten."""
        self._database = database
        self._now_ms = now_ms

    def of(self, case_id: str) -> KeptAnswers:
        """The answers of a case; empty ones, if there are none."""
        now = self._now_ms()
        with self._database.begin() as session:
            _forget(session, now)
            row = session.get(ReportAnswersRow, case_id[:CASE_ID])
            if row is None:
                return KeptAnswers()
            try:
                answers, readable = ReportAnswers.model_validate_json(row.values), True
            except ValidationError:
                answers, readable = ReportAnswers(), False
            return KeptAnswers(
                answers=answers, by=row.by, changed_ms=row.changed_ms, version=row.version, readable=readable
            )

    def save(self, case_id: str, answers: ReportAnswers, *, by: str, version: int) -> None:
        """Replaces the answers of a case. Emptied ones keep their version, so that no older form fits what is saved
        anew. The same save again, by a browser that got no answer to the first one, changes nothing.

        Args:
            version: of the answers that the person changed.

        Raises:
            AnswersChangedError: somebody else has changed them meanwhile.
            UnknownCaseError: no case has so long an id.
        """
        if len(case_id) > CASE_ID:
            raise UnknownCaseError(case_id[:CASE_ID])
        now = self._now_ms()  # before the transaction, which locks SQLite
        with self._database.begin() as session:
            _forget(session, now)
            row = session.get(ReportAnswersRow, case_id, with_for_update=True)
            values = answers.model_dump_json(exclude_defaults=True)
            if row is None and answers == ReportAnswers():
                return
            if row is not None and (row.version, row.by, row.values) == (version + 1, by, values):
                return
            if version != (0 if row is None else row.version):
                raise AnswersChangedError(by="" if row is None else row.by)
            if row is None:
                row = ReportAnswersRow(case_id=case_id, version=0)
                session.add(row)
            row.values = values
            row.by, row.changed_ms, row.version = by, now, row.version + 1


def _forget(session: Session, now: int) -> None:
    session.execute(delete(ReportAnswersRow).where(ReportAnswersRow.changed_ms < now - _KEPT_MS))
