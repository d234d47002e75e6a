"""Answers for reports in the desk's database."""

import pytest
from drafted_cases import answers
from sqlalchemy import text

from desk.answers.answer_store import KEPT_DAYS, AnswerStore
from desk.database.connection import DeskDatabase
from desk.errors import AnswersChangedError, UnknownCaseError
from worker.drafts.answers import ReportAnswers

DAY_MS = 86_400_000


class _Days:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.day = 0

    def __call__(self) -> int:
        return self.day * DAY_MS


def test_answers_are_kept_and_forgotten(database: DeskDatabase) -> None:
    """A lead would type an account's data twice; or it would be kept for ever."""
    days = _Days()
    store = AnswerStore(database, now_ms=days)
    assert store.of("case-1").version == 0
    store.save("case-1", answers(), by="lea", version=0)
    days.day = KEPT_DAYS
    found = store.of("case-1")
    assert (found.answers, found.by, found.version) == (answers(), "lea", 1)
    days.day = KEPT_DAYS + 1
    assert store.of("case-1").version == 0
    with database.begin() as session:
        assert session.execute(text("SELECT count(*) FROM report_answers")).scalar() == 0


def test_a_change_of_somebody_else_is_not_overwritten(database: DeskDatabase) -> None:
    """Of two people who fill in the same case, the work of the first would be gone, unnoticed."""
    store = AnswerStore(database, now_ms=_Days())
    store.save("case-1", answers(), by="lea", version=0)
    with pytest.raises(AnswersChangedError) as refused:
        store.save("case-1", ReportAnswers(), by="kim", version=0)
    assert refused.value.by == "lea"
    store.save("case-1", answers(uk_link="none"), by="kim", version=1)
    assert store.of("case-1").version == 2


def test_a_save_that_comes_twice_is_one(database: DeskDatabase) -> None:
    """Who got no answer, and sends the form again, would be refused because of a change that was their own."""
    store = AnswerStore(database, now_ms=_Days())
    for _ in range(2):
        store.save("case-1", answers(), by="lea", version=0)
    assert store.of("case-1").version == 1
    for _ in range(2):
        store.save("case-1", answers(uk_link="none"), by="lea", version=1)
    assert store.of("case-1").version == 2
    for _ in range(2):
        store.save("case-1", ReportAnswers(), by="lea", version=2)
    assert store.of("case-1").version == 3


def test_answers_that_are_emptied_are_gone_at_once(database: DeskDatabase) -> None:
    """Data that must go would stay for three months; or a row of nothing for ever."""
    days = _Days()
    store = AnswerStore(database, now_ms=days)
    store.save("case-2", ReportAnswers(), by="lea", version=0)
    store.save("case-1", answers(), by="lea", version=0)
    store.save("case-1", ReportAnswers(), by="lea", version=1)
    with database.begin() as session:
        rows = session.execute(text('SELECT case_id, "values" FROM report_answers')).all()
    assert [tuple(row) for row in rows] == [("case-1", "{}")]
    days.day = KEPT_DAYS + 1
    assert store.of("case-1").version == 0


def test_a_form_of_answers_that_were_emptied_does_not_overwrite_new_ones(database: DeskDatabase) -> None:
    """Who had the page open all the while would bring back what was removed, and lose what was typed since."""
    store = AnswerStore(database, now_ms=_Days())
    store.save("case-1", answers(), by="lea", version=0)
    store.save("case-1", ReportAnswers(), by="kim", version=1)
    emptied = store.of("case-1")
    assert (emptied.answers, emptied.by, emptied.version) == (ReportAnswers(), "kim", 2)
    store.save("case-1", answers(uk_link="none"), by="kim", version=2)
    with pytest.raises(AnswersChangedError) as refused:
        store.save("case-1", answers(), by="lea", version=1)
    assert refused.value.by == "kim"
    assert store.of("case-1").answers == answers(uk_link="none")


def test_what_cannot_be_read_is_said_and_a_long_id_is_no_case(database: DeskDatabase) -> None:
    """A page would be an error after a downgrade, or for a made-up address."""
    store = AnswerStore(database, now_ms=_Days())
    store.save("case-1", answers(), by="lea", version=0)
    with database.begin() as session:
        session.execute(text("""UPDATE report_answers SET "values" = '{"later": 1}'"""))
    assert (store.of("case-1").readable, store.of("case-1").answers) == (False, ReportAnswers())
    assert store.of("case-" + "x" * 5_000).version == 0
    with pytest.raises(UnknownCaseError):
        store.save("case-" + "x" * 5_000, answers(), by="lea", version=0)
