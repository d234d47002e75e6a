"""Sessions: how long they last, how their tokens are replaced, and what the database gives away of them."""

import pytest

from desk.accounts.session_life import GRACE_MS, IDLE_MS, LONGEST_MS, ROTATION_MS, SessionState, session_state
from desk.accounts.sessions import FoundSession, find_session, make_session, note_seen, replace_token
from desk.database.connection import DeskDatabase
from desk.database.tables import SessionRow

NOW = 1_800_000_000_000
PROOF = "ab" * 32


@pytest.mark.parametrize(
    ("signed_in", "made", "seen", "replaced", "expected"),
    [
        (0, 0, 0, None, SessionState.LIVE),
        (0, ROTATION_MS, 0, None, SessionState.LIVE),
        (0, ROTATION_MS + 1, 0, None, SessionState.DUE),
        (0, 0, IDLE_MS, None, SessionState.LIVE),
        (0, 0, IDLE_MS + 1, None, SessionState.ENDED),
        (LONGEST_MS + 1, 0, 0, None, SessionState.ENDED),
        (0, ROTATION_MS + 1, 0, GRACE_MS, SessionState.LIVE),
        (0, ROTATION_MS + 1, 0, GRACE_MS + 1, SessionState.REUSED),
        (0, ROTATION_MS + 1, 0, -GRACE_MS, SessionState.LIVE),
        (0, ROTATION_MS + 1, 0, -GRACE_MS - 1, SessionState.REUSED),
    ],
)
def test_a_token_is_good_until_a_limit(
    signed_in: int, made: int, seen: int, replaced: int | None, expected: SessionState
) -> None:
    """A forgotten browser would stay signed in, or a person be signed out in the middle of a case."""
    state = session_state(
        signed_in_ms=NOW - signed_in,
        made_ms=NOW - made,
        seen_ms=NOW - seen,
        replaced_ms=0 if replaced is None else NOW - replaced,
        now_ms=NOW,
    )
    assert state is expected


def begin(database: DeskDatabase) -> str:
    with database.begin() as session:
        return make_session(session, "kim", PROOF, NOW)


def find(database: DeskDatabase, token: str, now: int) -> FoundSession | None:
    """As a request does."""
    with database.begin() as session:
        found = find_session(session, token, now)
        if found is not None and found.unseen:
            note_seen(session, token, now)
        return found


def replaced(database: DeskDatabase, token: str, now: int) -> str | None:
    with database.begin() as session:
        return replace_token(session, token, PROOF, now)


def test_a_token_is_replaced_and_the_form_s_token_stays(database: DeskDatabase) -> None:
    """A stolen cookie would be good for a shift; or each form that is open would be refused after 15 minutes."""
    token = begin(database)
    later = NOW + ROTATION_MS + 1
    first, due = find(database, token, NOW), find(database, token, later)
    assert first is not None
    assert due is not None
    assert (first.due, due.due) == (False, True)
    new_token = replaced(database, token, later)
    assert new_token not in (None, token)
    again = find(database, token, later + 1)  # under way with the old one
    assert again is not None
    assert (again.due, replaced(database, token, later + 1)) == (False, None)
    after = find(database, new_token or "", later + 1)
    assert after is not None
    assert (after.csrf, after.proof) == (first.csrf, PROOF)


def test_a_replaced_token_that_comes_back_ends_the_session(database: DeskDatabase) -> None:
    """A thief and the owner of a cookie would go on side by side."""
    token = begin(database)
    later = NOW + ROTATION_MS + 1
    new_token = replaced(database, token, later)
    assert new_token is not None
    assert find(database, token, later + GRACE_MS + 1) is None
    assert find(database, new_token, later + GRACE_MS + 2) is None


def test_a_clock_that_went_back_lengthens_no_session(database: DeskDatabase) -> None:
    """A host whose clock was a year ahead would keep a forgotten browser signed in for a year, under one token."""
    year_ms = 365 * 86_400_000
    with database.begin() as session:
        used, forgotten = (make_session(session, "kim", PROOF, NOW + year_ms) for _ in range(2))
    assert find(database, used, NOW) is not None
    begin(database)
    assert find(database, forgotten, NOW + IDLE_MS + 1) is None
    found = find(database, used, NOW + ROTATION_MS + 1)
    assert found is not None
    assert found.due
    for hour in range(1, 13):
        find(database, used, NOW + hour * 3_500_000)
    assert find(database, used, NOW + LONGEST_MS + 1) is None


def test_a_clock_that_goes_back_a_little_signs_nobody_out(database: DeskDatabase) -> None:
    """Clocks are set by milliseconds all day long."""
    token = begin(database)
    new_token = replaced(database, token, NOW + ROTATION_MS + 1)
    assert find(database, token, NOW + ROTATION_MS - 500) is not None
    assert find(database, new_token or "", NOW + ROTATION_MS - 500) is not None


def test_the_database_gives_neither_token_nor_proof(database: DeskDatabase) -> None:
    """Whoever reads a copy of the database could act in Redis as everybody who is signed in."""
    token = begin(database)
    with database.begin() as session:
        (row,) = session.query(SessionRow)
        assert token not in row.digest
        assert PROOF.encode() not in row.sealed_proof
        row.sealed_proof = row.sealed_proof[:-1] + bytes([row.sealed_proof[-1] ^ 1])
    assert find(database, token, NOW) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 100_000, "\0", "ü"])
def test_a_foreign_token_is_nobody_s(token: str, database: DeskDatabase) -> None:
    """A forged cookie would be an error, or a person."""
    begin(database)
    assert find(database, token, NOW) is None
