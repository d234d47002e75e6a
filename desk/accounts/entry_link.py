"""A link that signs a person in once, without a password: for the demo, on one machine."""

import hmac
import secrets
from dataclasses import dataclass, field
from threading import Lock

from desk.accounts.accounts import Accounts
from desk.accounts.sessions import digest_of


@dataclass(kw_only=True)
class EntryLink:
    """A link for one person of the roster; kept in memory only, so that it ends with the desk."""

    name: str
    roster_token: str = field(repr=False)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _used: bool = field(default=False, init=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def is_good(self, secret: str) -> bool:
        """Returns whether the link is this one, and unused; reading its page does not use it up."""
        return not self._used and self._fits(secret)

    def enter(self, secret: str, accounts: Accounts, *, address: str) -> str | None:
        """Makes the person's account anew, under a password that nobody knows; returns the token of a session, or None
        where the link is not good.

        Raises:
            SignInError: the roster does not have the person with that token.
            StoreError: Redis failed.
        """
        with self._lock:
            if not self.is_good(secret):
                return None
            self._used = True
        return accounts.join(self.name, self.roster_token, secrets.token_urlsafe(32), address=address)

    def _fits(self, secret: str) -> bool:
        return hmac.compare_digest(digest_of(secret), digest_of(self.secret))
