"""People's names and roles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import BankRequestError, QueueError
from worker.people.actor import Actor, Role, check_name


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\nb", "a\x1b[31m", "a\x00", "a\u2028x", "a\u202ex", "\udcff"])
def test_unusable_names_are_refused(name: str) -> None:
    """A name could be unreadable in the record of a decision, or steer the reader's terminal."""
    with pytest.raises(QueueError, match=r"--by: .*expected a name of 1 to 100"):
        check_name(name)


def test_names_in_other_scripts_are_accepted() -> None:
    """People whose names are not English could not work."""
    assert check_name(" Zoë Ōkubo ") == "Zoë Ōkubo"


@given(st.text())
def test_accepted_names_can_be_stored(name: str) -> None:
    """A name could break a script half-way."""
    try:
        accepted = check_name(name)
    except QueueError:
        return
    assert accepted.encode()
    assert 1 <= len(accepted) <= 100


def test_a_role_that_may_not_is_refused_by_name() -> None:
    """A moderator could change what only a lead may change."""
    kim = Actor.of("kim", "moderator")
    kim.must_be(Role.MODERATOR, Role.LEAD, to="confirm a picture")
    with pytest.raises(BankRequestError, match="kim is moderator: only a lead may allow a picture"):
        kim.must_be(Role.LEAD, to="allow a picture")


def test_who_has_no_roster_learns_how_to_state_a_role() -> None:
    """A lead of a deployment without a roster, who follows the manual, could not export evidence and not see why."""
    with pytest.raises(BankRequestError, match=r"may export evidence \(there is no roster: --role states yours\)$"):
        Actor.named("lea").must_be(Role.LEAD, to="export evidence")
    with pytest.raises(BankRequestError, match=r"may export evidence$"):
        Actor(name="kim", role=Role.MODERATOR, verified=True).must_be(Role.LEAD, to="export evidence")


def test_a_missing_or_unknown_role_is_refused() -> None:
    """An act would be recorded without the role in which it was done."""
    for by, role in ((None, "lead"), ("kim", None)):
        with pytest.raises(BankRequestError, match="--by NAME and --role ROLE are required"):
            Actor.of(by, role)
    with pytest.raises(BankRequestError, match=r"^--role 'boss': expected one of platform, moderator, lead, "):
        Actor.of("kim", "boss")


def test_one_person_in_two_spellings_is_no_second_person() -> None:
    """One person could confirm a picture alone."""
    kim = Actor.of("Kim", "lead")
    assert kim.is_person(" kIM ")
    assert not kim.is_person("kim 2")
