"""Accounts: people of the roster make them, sign in, and lose them with the roster."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from accounts_made import PASSWORD
from desk_server import HostClock
from people_made import Roster
from redis import Redis
from redis_between import Command, Send, redis_between
from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.accounts import passwords
from desk.accounts.accounts import Accounts
from desk.accounts.lockout import FREE_OF_NAME
from desk.accounts.session_life import GRACE_MS, ROTATION_MS
from desk.accounts.setup_link import LINK_MS
from desk.database.connection import DeskDatabase
from desk.database.tables import AccountRow
from desk.errors import SignInError
from worker.errors import StoreError
from worker.people.actor import Role
from worker.people.changes import add_person, remove_person, renew_token
from worker.people.roster import PEOPLE, authenticate, read_roster
from worker.store.redis_client import connect

HERE = "192.0.2.1"


@pytest.fixture
def clock() -> HostClock:
    return HostClock()


@pytest.fixture
def accounts(database: DeskDatabase, redis: Redis, clock: HostClock) -> Accounts:
    return Accounts(database, redis, now_ms=clock)


def joined(accounts: Accounts, roster: Roster, name: str = "kim", role: Role = Role.MODERATOR) -> str:
    """Adds a person who makes an account; returns the token of their session."""
    roster.add(name, role)
    return accounts.join(name, roster.tokens[name], PASSWORD, address=HERE)


def refused(accounts: Accounts, name: str = "kim", password: str = PASSWORD) -> str:
    """The reason for which a sign-in is refused."""
    with pytest.raises(SignInError) as error:
        accounts.sign_in(name, password, address=HERE)
    return error.value.key


def test_a_person_signs_in_and_acts_as_the_roster_has_them(accounts: Accounts, roster: Roster) -> None:
    """Decisions of the desk would be unverified in the audit log, or refused."""
    joined(accounts, roster)
    found = accounts.find(accounts.sign_in(" KIM ", PASSWORD, address=HERE))
    assert found is not None
    assert found.actor == authenticate(roster.redis, "kim", roster.tokens["kim"])


def test_a_password_is_kept_as_argon2id(accounts: Accounts, database: DeskDatabase, roster: Roster) -> None:
    """Whoever copies the database would find most passwords in a night."""
    joined(accounts, roster)
    with database.begin() as session:
        kept = [row.password_hash for row in session.scalars(select(AccountRow))]
    assert [one.rpartition("$")[0].rpartition("$")[0] for one in kept] == ["$argon2id$v=19$m=65536,t=3,p=4"]


def test_each_sign_in_has_a_token_of_its_own(accounts: Accounts, roster: Roster) -> None:
    """A token planted in the browser before sign-in would be the person's (session fixation)."""
    joined(accounts, roster)
    assert accounts.sign_in("kim", PASSWORD, address=HERE) != accounts.sign_in("kim", PASSWORD, address=HERE)


def test_a_wrong_password_and_an_unknown_name_are_refused_alike(accounts: Accounts, roster: Roster) -> None:
    """The answer would tell a stranger who works here."""
    joined(accounts, roster)
    assert refused(accounts, password="wrong" * 4) == refused(accounts, name="nobody") == "sign_in.refused"
    assert refused(accounts, name="\ud800" * 5_000) == "sign_in.refused"


def test_a_stranger_locks_nobody_out_of_their_token(accounts: Accounts, roster: Roster) -> None:
    """Six wrong passwords a day for each name would keep all moderators out, whatever they know."""
    accounts.join("Lea", roster.tokens["lea"], PASSWORD, address="192.0.2.1")
    for number in range(FREE_OF_NAME):
        with pytest.raises(SignInError):
            accounts.sign_in("lea", "wrong horse battery", address=f"198.51.100.{number}")
    with pytest.raises(SignInError) as waits:
        accounts.sign_in("lea", PASSWORD, address="192.0.2.1")
    assert waits.value.wait_seconds > 0
    accounts.join("LEA", roster.tokens["lea"], PASSWORD, address="192.0.2.1")
    assert accounts.sign_in("lea", PASSWORD, address="192.0.2.1")


def test_guesses_wait_and_the_right_password_waits_too(accounts: Accounts, roster: Roster, clock: HostClock) -> None:
    """A password could be guessed at any pace; or the answer during the wait would tell which one is right."""
    joined(accounts, roster)
    assert {refused(accounts, password="wrong" * 4) for _ in range(FREE_OF_NAME)} == {"sign_in.refused"}
    assert refused(accounts) == "sign_in.wait"
    clock.pass_seconds(5)
    assert accounts.sign_in("kim", PASSWORD, address=HERE)


class TimedDatabase(DeskDatabase):
    """Notes the CPU time of its transactions."""

    longest_seconds = 0.0

    @contextmanager
    def begin(self) -> Iterator[Session]:
        began = time.process_time()
        with super().begin() as session:
            yield session
        self.longest_seconds = max(self.longest_seconds, time.process_time() - began)


def test_no_password_is_hashed_in_a_transaction(
    database: DeskDatabase, redis: Redis, roster: Roster, clock: HostClock
) -> None:
    """Every page of everybody would wait for it, and for the passwords before it: with SQLite even readers."""
    timed = TimedDatabase(database.engine)
    accounts = Accounts(timed, redis, now_ms=clock)
    began = time.process_time()
    passwords.hash_password(PASSWORD)
    hash_seconds = time.process_time() - began
    token = joined(accounts, roster)
    accounts.sign_in("kim", PASSWORD, address=HERE)
    found = accounts.find(token)
    assert found is not None
    accounts.change_password(found.actor, PASSWORD, "another long one", address=HERE)
    assert timed.longest_seconds < hash_seconds / 2


def test_redis_away_signs_nobody_out(
    accounts: Accounts, database: DeskDatabase, roster: Roster, clock: HostClock
) -> None:
    """Everybody whose token was due would sign in again after an outage, in the middle of a case."""
    token = joined(accounts, roster)
    clock.pass_seconds(ROTATION_MS / 1000 + 1)
    with connect("redis://127.0.0.1:1/0", retries=0) as away, pytest.raises(StoreError):
        Accounts(database, away, now_ms=clock).find(token)
    clock.pass_seconds(GRACE_MS / 1000 + 1)
    found = accounts.find(token)
    assert found is not None
    assert found.new_token is not None


def test_a_person_who_is_removed_is_out_at_the_next_request(accounts: Accounts, roster: Roster) -> None:
    """Somebody who was dismissed would go on reading cases for a shift."""
    token = joined(accounts, roster)
    remove_person(roster.redis, "kim", by=roster.lead)
    assert accounts.find(token) is None
    assert refused(accounts) == "sign_in.roster_changed"


def test_a_role_changes_at_the_next_request(accounts: Accounts, roster: Roster) -> None:
    """A former lead would open what only leads may."""
    token = joined(accounts, roster, role=Role.LEAD)
    add_person(roster.redis, "kim", "moderator", by=roster.lead)
    found = accounts.find(token)
    assert found is not None
    assert found.actor.role is Role.MODERATOR


def test_a_new_roster_token_makes_the_account_anew(accounts: Accounts, roster: Roster) -> None:
    """Whoever forgot the password, or lost the token, could never come back."""
    session = joined(accounts, roster)
    token = renew_token(roster.redis, "kim", by=roster.lead)
    assert accounts.find(session) is None
    assert refused(accounts) == "sign_in.roster_changed"
    accounts.join("kim", token, "another " + PASSWORD, address=HERE)
    assert refused(accounts) == "sign_in.refused"
    assert accounts.sign_in("kim", "another " + PASSWORD, address=HERE)


def test_the_token_of_another_person_makes_no_account(accounts: Accounts, roster: Roster) -> None:
    """A moderator could become a lead."""
    roster.add("kim")
    with pytest.raises(SignInError, match=r"sign_in\.token_refused"):
        accounts.join("lea", roster.tokens["kim"], PASSWORD, address=HERE)


@pytest.mark.parametrize("password", ["", "short", "kkkkkkkkkkkkkk", "x" * 257])
def test_a_weak_password_is_refused(password: str, accounts: Accounts, roster: Roster) -> None:
    """The account would be open to a guess."""
    roster.add("kim")
    with pytest.raises(SignInError, match=r"sign_in\.password_"):
        accounts.join("kim", roster.tokens["kim"], password, address=HERE)


def test_a_changed_password_signs_out_everywhere_else(accounts: Accounts, roster: Roster) -> None:
    """A thief who has a session would keep it after the owner has changed the password."""
    session = joined(accounts, roster)
    new = accounts.change_password(roster.actor("kim"), PASSWORD, "another " + PASSWORD, address=HERE)
    assert accounts.find(session) is None
    assert accounts.find(new) is not None
    assert refused(accounts) == "sign_in.refused"


class TestFirstStart:
    def test_the_link_makes_the_first_lead_once(self, accounts: Accounts, redis: Redis) -> None:
        """A second visitor of the link would be a lead, too; or nobody could begin."""
        link = accounts.renew_link()
        assert link is not None
        made = accounts.start(link, "ana", PASSWORD)
        assert authenticate(redis, "ana", made.roster_token).role is Role.LEAD
        assert made.session_token is not None
        assert accounts.find(made.session_token) is not None
        assert not accounts.is_link(link)
        with pytest.raises(SignInError, match=r"sign_in\.link_used"):
            accounts.start(link, "mallory", PASSWORD)
        assert accounts.renew_link() is None
        assert list(read_roster(redis)) == ["ana"]

    def test_the_first_lead_has_a_token_though_redis_never_answers(
        self, database: DeskDatabase, redis: Redis, redis_url: str, clock: HostClock
    ) -> None:
        """The roster would be theirs alone to change, by a token that nobody ever saw, and the link refused."""

        def loses_changes(command: Command, send: Send) -> bytes | None:
            answer = send()
            changes = command[0] in (b"EVAL", b"EVALSHA") and command[3] == PEOPLE.encode()
            return None if changes and not answer.startswith(b"-") else answer

        with redis_between(redis_url, loses_changes) as url, connect(url) as client:
            accounts = Accounts(database, client, now_ms=clock)
            link = accounts.renew_link()
            assert link is not None
            made = accounts.start(link, "ana", PASSWORD)
        assert made.session_token is None
        assert Accounts(database, redis, now_ms=clock).join("ana", made.roster_token, PASSWORD, address=HERE)

    def test_a_refused_form_leaves_the_link(self, accounts: Accounts) -> None:
        """A typing mistake would lock everybody out until the next start."""
        link = accounts.renew_link()
        assert link is not None
        with pytest.raises(SignInError):
            accounts.start(link, "ana", "short")
        assert accounts.is_link(link)

    def test_the_link_makes_no_lead_beside_a_roster(self, accounts: Accounts, roster: Roster) -> None:
        """After a loss of the desk's database, whoever reads its log would become a lead."""
        link = accounts.renew_link()
        assert link is not None
        with pytest.raises(SignInError, match=r"sign_in\.roster_exists"):
            accounts.start(link, "mallory", PASSWORD)
        assert list(read_roster(roster.redis)) == ["lea"]
        assert accounts.join("lea", roster.tokens["lea"], PASSWORD, address=HERE)

    def test_an_old_or_replaced_link_is_not_good(self, accounts: Accounts, clock: HostClock) -> None:
        """A link in an old log would make a lead for ever."""
        first, second = accounts.renew_link(), accounts.renew_link()
        assert first is not None
        assert second is not None
        assert (accounts.is_link(first), accounts.is_link(second)) == (False, True)
        clock.pass_seconds(LINK_MS / 1000 + 1)
        assert not accounts.is_link(second)
