"""Exposure of today: clear and reduced views, and time at the desk. Each person sees their own, and nobody another's.

It is in the desk's database alone, and gone at the first visit after midnight UTC: no figures by person are kept.
Where it cannot be written, as on a full disk, views and time go uncounted: a picture that is on record as shown by then
is shown, and so is a page.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from desk.database.connection import DeskDatabase
from desk.database.tables import ExposureRow
from desk.errors import DeskDatabaseError
from desk.welfare.breaks import BreakRule, NextBreak, WorkSpan, next_break
from worker.logs.failure_log import FailureLog
from worker.people.actor import folded

CLEAR_MS: Final = 20_000
"""For which a picture is shown clear."""
AGAIN_MS: Final = 20_000
"""Within which the same picture, opened again, counts as one reduced view."""
PRESENT_MS: Final = 30_000
"""Resolution of presence: not every request writes."""
KEPT_MS: Final = 86_400_000
"""For which (<=) a row outlives the person's last request."""

_trouble = FailureLog(logging.getLogger(__name__))


@dataclass(frozen=True, kw_only=True)
class TodaysExposure:
    """The exposure of a person today."""

    clear_views: int = 0
    clear_seconds: int = 0
    reduced_views: int = 0
    desk_seconds: int = 0


class ExposureLog:
    """The exposure of all, each for themselves."""

    def __init__(self, database: DeskDatabase, rule: BreakRule, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self.rule = rule

    def be_present(self, name: str) -> NextBreak | None:
        """Notes that a person is at the desk; returns their next break, None: the team has set none, or it is not
        known."""
        now = self._now_ms()
        with _uncounted_if_failed():
            with self._database.begin() as session:
                row = session.get(ExposureRow, folded(name))
                if row is None or not 0 <= now - row.seen_ms < PRESENT_MS or row.day != _day(now):
                    row = self._row(session, name, now)
            return next_break(self.rule, WorkSpan(began_ms=row.began_ms, seen_ms=row.seen_ms), now)
        return None

    def today(self, name: str) -> TodaysExposure:
        """The exposure of a person today, for that person's page."""
        now = self._now_ms()
        with self._database.begin() as session:
            row = session.get(ExposureRow, folded(name))
        if row is None or row.day != _day(now):
            return TodaysExposure()
        return TodaysExposure(
            clear_views=row.clear_views,
            clear_seconds=(row.clear_ms - max(0, row.clear_until_ms - now)) // 1000,
            reduced_views=row.reduced_views,
            desk_seconds=row.desk_ms // 1000,
        )

    def saw_reduced(self, name: str, ref: str) -> None:
        """Counts a reduced view; the same picture again within AGAIN_MS is the same view."""
        with _uncounted_if_failed(), self._writing(name) as (row, now):
            if row.last_ref != ref or not 0 <= now - row.last_ref_ms < AGAIN_MS:
                row.reduced_views += 1
            row.last_ref, row.last_ref_ms = ref, now

    def saw_clear(self, name: str) -> None:
        """Counts a clear view, for CLEAR_MS from now; what was left of the one before is not counted twice."""
        with _uncounted_if_failed(), self._writing(name) as (row, now):
            row.clear_views += 1
            row.clear_ms += CLEAR_MS - _left(row, now)
            row.clear_until_ms = now + CLEAR_MS

    def hid(self, name: str) -> None:
        """Takes back what was left of a clear view that its viewer ended."""
        with _uncounted_if_failed(), self._writing(name) as (row, now):
            row.clear_ms = max(0, row.clear_ms - _left(row, now))
            row.clear_until_ms = min(row.clear_until_ms, now)

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[ExposureRow, int]]:
        now = self._now_ms()
        with self._database.begin() as session:
            yield self._row(session, name, now), now

    def _row(self, session: Session, name: str, now: int) -> ExposureRow:
        """The person's row, locked and brought to `now`; rows of those who left are deleted."""
        session.execute(delete(ExposureRow).where(ExposureRow.seen_ms < now - KEPT_MS))
        account, today = folded(name), _day(now)
        row = session.get(ExposureRow, account, with_for_update=True)
        if row is None:
            # Another request of the same person may be adding it, too.
            with suppress(IntegrityError), session.begin_nested():
                session.add(ExposureRow(account=account, day=today, began_ms=now, seen_ms=now))
            row = session.get_one(ExposureRow, account, with_for_update=True, populate_existing=True)
        if row.day != today:
            row.day, row.clear_views, row.clear_ms, row.reduced_views, row.desk_ms = today, 0, 0, 0, 0
        span = WorkSpan(began_ms=row.began_ms, seen_ms=row.seen_ms)
        row.desk_ms += span.worked_ms(now)
        after = span.going_on(now, self.rule.rest_minutes * 60_000)
        row.began_ms, row.seen_ms = after.began_ms, after.seen_ms
        return row


@contextmanager
def _uncounted_if_failed() -> Iterator[None]:
    try:
        yield
    except DeskDatabaseError as error:
        _trouble.met("exposure", "exposure is not counted: %s", error)
    else:
        _trouble.over("exposure", "exposure is counted again")


def _left(row: ExposureRow, now: int) -> int:
    """The rest of the clear view that was counted last, in ms."""
    return min(max(0, row.clear_until_ms - now), CLEAR_MS)


def _day(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
