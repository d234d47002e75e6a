"""Accounts of people of the roster, for tests of what comes after signing in.

A password is slow on purpose: making an account takes half a second of CPU, and most tests need two. Here the slow
hashes are computed once for all; the rest is the desk's own, so that the password signs in as well.
"""

from functools import cache

from desk.accounts import passwords, proofs
from desk.accounts.accounts import Accounts
from desk.accounts.new_account import NewAccount
from worker.people.actor import folded
from worker.people.roster import authenticate

PASSWORD = "correct horse battery"


def begin_session(accounts: Accounts, name: str, roster_token: str) -> str:
    """Makes the account of a person, as `Accounts.join` does with `PASSWORD`; returns the token of a session."""
    actor = authenticate(accounts._redis, name, roster_token)
    password_hash, salt, key = _hashed()
    account = NewAccount(
        name=actor.name,
        password_hash=password_hash,
        salt=salt,
        sealed_proof=proofs.seal_proof(actor.proof, key, folded(actor.name)),
        proof=actor.proof,
    )
    with accounts._database.begin() as session:
        return accounts._write(session, account)


@cache
def _hashed() -> tuple[str, bytes, bytes]:
    """The password's hash, its salt and the key that is derived with it."""
    salt = passwords.new_salt()
    return passwords.hash_password(PASSWORD), salt, passwords.key_of_password(PASSWORD, salt)
