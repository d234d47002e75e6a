"""Accounts: people of the roster who sign in to the desk, and who they are at each request.

The roster decides who exists and in which role; an account adds a password to it. A token of the roster makes the
account, and makes it anew where a password was forgotten or this database was lost.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.exceptions import NoPermissionError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from desk.accounts import passwords, proofs, sessions, setup_link, spelling
from desk.accounts.lockout import Lockout
from desk.accounts.names import given_name
from desk.accounts.new_account import NewAccount
from desk.accounts.session_upkeep import keep_up
from desk.database.connection import DeskDatabase
from desk.database.tables import FOLDED, AccountRow, ClearGrantRow, ExposureRow
from desk.errors import DeskDatabaseError, SignInError
from worker.errors import PeopleError, QueueError, StoreError, UnconfirmedTokenError
from worker.people.actor import Actor, folded
from worker.people.changes import add_person
from worker.people.roster import actor_of_proof, authenticate
from worker.people.tokens import proof_of

LONGEST_ROSTER_TOKEN: Final = 200
"""Characters of a token that is compared; the roster's have 47."""


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A person who is signed in, as a request found them."""

    actor: Actor
    csrf: str
    family: str = ""
    """Family of the session; empty: the proxy vouches for the person at each request."""
    new_token: str | None = None
    """To be set as the cookie."""


@dataclass(frozen=True, kw_only=True)
class FirstLead:
    """The person that the first-start link made."""

    roster_token: str
    """Shown once."""
    session_token: str | None
    """None: the account could not be written, or the person is not `confirmed`, and makes it with the token."""
    confirmed: bool = True  # by Redis: the roster has the person, and the link is used up


class Accounts:
    """The accounts of one desk."""

    def __init__(
        self, database: DeskDatabase, redis: Redis, *, now_ms: Callable[[], int], proxy_secret: str = ""
    ) -> None:
        """`now_ms`: the host's clock; `proxy_secret`: empty where no proxy signs people in."""
        self._database = database
        self._redis = redis
        self.now_ms = now_ms
        self._proxy_secret = proxy_secret

    def renew_link(self) -> str | None:
        """The secret of a new first-start link; None: there is an account already."""
        with self._database.begin() as session:
            return setup_link.renew_link(session, self.now_ms())

    def is_link(self, secret: str) -> bool:
        """Returns whether a first-start link is good."""
        with self._database.begin() as session:
            return setup_link.is_link(session, secret, self.now_ms())

    @passwords.place()
    def start(self, secret: str, name: str, password: str) -> FirstLead:
        """Begins the roster with a lead, and gives them an account.

        Raises:
            SignInError: the link is not good, the name or password is refused, or a roster began meanwhile.
            StoreError: Redis failed.
        """
        given = given_name(name)
        passwords.check_new_password(password, given)
        try:
            with self._database.begin() as session:
                if not setup_link.use_link(session, secret, self.now_ms()):
                    raise SignInError("sign_in.link_used")
                try:
                    token = add_person(self._redis, given, "lead", by=Actor.named(given))
                except PeopleError as error:  # the transaction ends undone, and the link stays
                    raise SignInError("sign_in.roster_exists") from error
                except StoreError as error:
                    if isinstance(error.__cause__, NoPermissionError):
                        raise SignInError("sign_in.not_permitted") from error
                    raise
        except UnconfirmedTokenError as error:  # the link stays, for it may not be in force
            return FirstLead(roster_token=error.token, session_token=None, confirmed=False)
        if token is None:
            raise SignInError("sign_in.roster_exists")
        account = NewAccount.of(given, password, proof_of(token))
        try:
            with self._database.begin() as session:
                made = self._write(session, account)
        except DeskDatabaseError:
            # The roster has the person now: without the token nobody could ever change it.
            made = None
        return FirstLead(roster_token=token, session_token=made)

    @passwords.place()
    def join(self, name: str, roster_token: str, password: str, *, address: str) -> str:
        """Makes the account of a person of the roster, or makes it anew, which ends the sessions there were; returns
        the token of a new session.

        Raises:
            SignInError: the name, token or password is refused, or has to wait.
            StoreError: Redis failed.
        """
        given = given_name(name)
        passwords.check_new_password(password, given)
        actor = self._shown(given, roster_token, address)
        account = NewAccount.of(actor.name, password, actor.proof)
        with self._database.begin() as session:
            Lockout(session, given, address).forgive()
            return self._write(session, account)

    @passwords.place()
    def sign_in(self, name: str, password: str, *, address: str) -> str:
        """Returns the token of a new session.

        Raises:
            SignInError: the name or password is wrong, the next try has to wait, or the roster does not have the person
                as it did when the account was made.
            StoreError: Redis failed.
        """
        given = folded(name)
        with self._database.begin() as session:
            self._admit(session, given, address)
            account = session.get(AccountRow, given) if len(given) <= FOLDED else None
        right = passwords.is_password(password, None if account is None else account.password_hash)
        if account is None or not right:
            raise SignInError("sign_in.refused")
        key = passwords.key_of_password(password, account.salt)
        proof = proofs.open_proof(account.sealed_proof, key, given)
        if proof is None:
            raise SignInError("sign_in.roster_changed")
        self._on_roster(account.name, proof)
        renewed = passwords.hash_password(password) if passwords.is_outdated(account.password_hash) else None
        with self._database.begin() as session:
            Lockout(session, given, address).forgive()
            row = session.get(AccountRow, given)
            if row is None or row.password_hash != account.password_hash:
                raise SignInError("sign_in.refused")  # changed while this ran
            if renewed is not None:
                row.password_hash = renewed
            return sessions.make_session(session, given, proof, self.now_ms())

    def find(self, token: str) -> SignedIn | None:
        """The person of a session's token, as the roster has them now; None: nobody.

        Raises:
            StoreError: Redis failed.
        """
        with self._database.begin() as session:
            found = sessions.find_session(session, token, self.now_ms())
            account = session.get(AccountRow, found.account) if found else None
        if found is None or account is None:
            return None
        try:
            actor = actor_of_proof(self._redis, account.name, found.proof)
        except PeopleError:
            self.sign_out(found.family)
            return None
        # Only now: while Redis is away nobody is given the new token, and the one before would end the session.
        new_token = keep_up(self._database, token, found, self.now_ms())
        return SignedIn(actor=actor, csrf=found.csrf, family=found.family, new_token=new_token)

    def is_still(self, signed_in: SignedIn) -> bool:
        """Returns whether a person is signed in as they were when a request began that still lasts.

        Raises:
            StoreError: Redis failed.
        """
        if signed_in.family:
            with self._database.begin() as session:
                if not sessions.is_live(session, signed_in.family, self.now_ms()):
                    return False
        try:
            return actor_of_proof(self._redis, signed_in.actor.name, signed_in.actor.proof) == signed_in.actor
        except PeopleError:
            return False

    def sign_out(self, family: str) -> None:
        """Ends a session."""
        with self._database.begin() as session:
            sessions.end_family(session, family)

    def sign_out_everywhere(self, actor: Actor) -> None:
        """Ends all sessions of a person."""
        with self._database.begin() as session:
            sessions.end_sessions_of(session, folded(actor.name))

    def sessions_of(self, actor: Actor) -> list[sessions.OwnSession]:
        """The sessions of a person, the one that was used last first."""
        with self._database.begin() as session:
            return sessions.sessions_of(session, folded(actor.name), self.now_ms())

    def forget(self, name: str) -> None:
        """Removes the account of a person who was removed from the roster, their sessions and what they saw today."""
        with self._database.begin() as session:
            sessions.end_sessions_of(session, folded(name))
            session.execute(delete(AccountRow).where(AccountRow.folded == folded(name)[:FOLDED]))
            for table in (ExposureRow, ClearGrantRow):
                session.execute(delete(table).where(table.account == folded(name)[:FOLDED]))

    @passwords.place()
    def change_password(self, actor: Actor, password: str, new_password: str, *, address: str) -> str:
        """Gives the person another password, and ends their sessions; returns the token of a new one.

        Raises:
            SignInError: the present password is wrong, or the new one is refused.
        """
        passwords.check_new_password(new_password, actor.name)
        with self._database.begin() as session:
            self._admit(session, folded(actor.name), address)
            account = session.get(AccountRow, folded(actor.name))
        if not passwords.is_password(password, None if account is None else account.password_hash):
            raise SignInError("sign_in.refused")
        made = NewAccount.of(actor.name, new_password, actor.proof)
        with self._database.begin() as session:
            Lockout(session, folded(actor.name), address).forgive()
            return self._write(session, made)

    def find_behind_proxy(self, name: str) -> SignedIn | None:
        """The person that the proxy vouches for; None: they have not shown their roster token yet, or have another.

        Raises:
            StoreError: Redis failed.
        """
        with self._database.begin() as session:
            account = session.get(AccountRow, folded(name)[:FOLDED])
        if account is None or not spelling.is_same_name(account.name, name):
            return None
        key = proofs.key_of_desk(self._proxy_secret, account.folded)
        proof = proofs.open_proof(account.sealed_proof, key, account.folded)
        try:
            actor = None if proof is None else actor_of_proof(self._redis, account.name, proof)
        except PeopleError:
            return None
        return None if actor is None else SignedIn(actor=actor, csrf=self.csrf_behind_proxy(name))

    def csrf_behind_proxy(self, name: str) -> str:
        """Token that each form carries of a person who has no session."""
        message = f"csrf {folded(name)}".encode(errors="surrogatepass")
        return hmac.new(self._proxy_secret.encode(), message, hashlib.sha256).hexdigest()

    def join_behind_proxy(self, name: str, roster_token: str, *, address: str) -> None:
        """Ties the person whom the proxy vouches for to the roster, by their token.

        Raises:
            SignInError: the token is not theirs, or the next try has to wait.
            StoreError: Redis failed.
        """
        actor = self._shown(given_name(name), roster_token, address)
        key = proofs.key_of_desk(self._proxy_secret, folded(actor.name))
        with self._database.begin() as session:
            Lockout(session, actor.name, address).forgive()
            sessions.end_sessions_of(session, folded(actor.name))
            self._put(session, actor.name, "", b"", proofs.seal_proof(actor.proof, key, folded(actor.name)))

    def names(self) -> frozenset[str]:
        """The folded names of all who have an account."""
        with self._database.begin() as session:
            return frozenset(session.scalars(select(AccountRow.folded)))

    def _admit(self, session: Session, name: str | None, address: str) -> None:
        """Counts a try, or refuses it."""
        lockout, now = Lockout(session, name, address), self.now_ms()
        wait = lockout.wait_ms(now)
        if wait:
            raise SignInError("sign_in.wait", wait_seconds=-(-wait // 1000))
        lockout.count(now)

    def _shown(self, name: str, roster_token: str, address: str) -> Actor:
        """The person whose token is shown; by it they come in whom a stranger locks out with wrong passwords."""
        with self._database.begin() as session:
            self._admit(session, None, address)
        try:
            actor = authenticate(self._redis, name, roster_token.strip()[:LONGEST_ROSTER_TOKEN])
        except (PeopleError, QueueError) as error:
            raise SignInError("sign_in.token_refused") from error
        if not actor.verified:  # there is no roster
            raise SignInError("sign_in.no_roster")
        return actor

    def _on_roster(self, name: str, proof: str) -> None:
        try:
            actor_of_proof(self._redis, name, proof)
        except PeopleError as error:
            raise SignInError("sign_in.roster_changed") from error

    def _write(self, session: Session, account: NewAccount) -> str:
        """Writes an account, ends its sessions and begins one; returns its token."""
        key = folded(account.name)
        sessions.end_sessions_of(session, key)
        self._put(session, account.name, account.password_hash, account.salt, account.sealed_proof)
        return sessions.make_session(session, key, account.proof, self.now_ms())

    def _put(self, session: Session, name: str, hashed: str, salt: bytes, sealed: bytes) -> None:
        row = session.get(AccountRow, folded(name))
        if row is None:
            row = AccountRow(folded=folded(name), created_ms=self.now_ms())
            session.add(row)
        row.name, row.password_hash, row.salt, row.sealed_proof = name, hashed, salt, sealed
