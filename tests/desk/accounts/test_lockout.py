"""Lockout: how long the next try to sign in waits."""

import pytest

from desk.accounts.lockout import FIRST_WAIT_MS, FORGOTTEN_MS, LONGEST_WAIT_MS, Lockout, wait_ms
from desk.database.connection import DeskDatabase

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("failures", "expected"),
    [(0, 0), (4, 0), (5, FIRST_WAIT_MS), (6, 2 * FIRST_WAIT_MS), (12, 128 * FIRST_WAIT_MS), (10**9, LONGEST_WAIT_MS)],
)
def test_the_wait_doubles_up_to_its_limit(failures: int, expected: int) -> None:
    """Passwords could be guessed at any pace, or one person be kept out for days."""
    assert wait_ms(failures, NOW, NOW, free=5) == expected


def test_the_wait_passes_and_survives_a_clock_that_went_back() -> None:
    """After a correction of the clock a person would wait for hours."""
    assert wait_ms(5, NOW - FIRST_WAIT_MS, NOW, free=5) == 0
    assert wait_ms(5, NOW + 1_000, NOW, free=5) == FIRST_WAIT_MS
    assert wait_ms(10, NOW + 3_600_000, NOW, free=5) == 0


def tries(database: DeskDatabase, name: str, address: str, count: int, now: int = NOW) -> int:
    """Counts failures, and returns the wait after them."""
    for _ in range(count):
        with database.begin() as session:
            Lockout(session, name, address).count(now)
    with database.begin() as session:
        return Lockout(session, name, address).wait_ms(now)


def test_a_clock_that_went_back_frees_one_guess(database: DeskDatabase) -> None:
    """A person would be kept out for as long as the clock was ahead; or guesses be free meanwhile."""
    assert tries(database, "kim", "192.0.2.1", 8, now=NOW + 3_600_000) > 0
    assert tries(database, "kim", "192.0.2.1", 0) == 0
    assert tries(database, "kim", "192.0.2.1", 1) == FIRST_WAIT_MS << 4


def test_guesses_of_many_names_from_one_address_wait_too(database: DeskDatabase) -> None:
    """One guess for each of a thousand names would be free."""
    assert max(tries(database, f"name-{number}", "192.0.2.1", 1) for number in range(30)) > 0
    assert tries(database, "name-1", "192.0.2.2", 0) == 0


def test_a_success_forgives_the_name_and_one_try_of_the_address(database: DeskDatabase) -> None:
    """An attacker with one account of their own could guess all others without a wait."""
    for number in range(31):
        tries(database, f"name-{number}", "192.0.2.1", 1)
    tries(database, "mallory", "192.0.2.1", 1)
    with database.begin() as session:
        Lockout(session, "mallory", "192.0.2.1").forgive()
        assert Lockout(session, "mallory", "192.0.2.9").wait_ms(NOW) == 0
        assert Lockout(session, "kim", "192.0.2.1").wait_ms(NOW) > 0


def test_failures_are_forgotten_after_a_day(database: DeskDatabase) -> None:
    """The table would grow with every name that anybody tries."""
    tries(database, "kim", "192.0.2.1", 8)
    assert tries(database, "kim", "192.0.2.1", 1, NOW + FORGOTTEN_MS + 1) == 0
