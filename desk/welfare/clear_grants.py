"""Grants of clear views: asked for with a reason, good once, for one person and picture, for 20 seconds."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from sqlalchemy import delete

from desk.database.connection import DeskDatabase
from desk.database.tables import ClearGrantRow
from worker.people.actor import folded

GRANT_MS: Final = 20_000
"""For which (<=) a ticket is good; a page fetches its picture at once."""
_TICKET_BYTES: Final = 32
_LONGEST_TICKET: Final = 64
"""Characters of a ticket that are looked up; ours have 43."""


class ClearGrants:
    """The grants of one desk. They are in its database, so that any of its processes takes a ticket, and only one."""

    def __init__(self, database: DeskDatabase, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    def grant(self, name: str, ref: str, reason: str) -> str:
        """Returns a ticket. One that the person has for the same picture is void: a double click shows one picture."""
        ticket, now = secrets.token_urlsafe(_TICKET_BYTES), self._now_ms()
        with self._database.begin() as session:
            session.execute(
                delete(ClearGrantRow).where(
                    (ClearGrantRow.made_ms < now - GRANT_MS)
                    | ((ClearGrantRow.account == folded(name)) & (ClearGrantRow.ref == ref))
                )
            )
            session.add(
                ClearGrantRow(digest=_digest(ticket), account=folded(name), ref=ref, reason=reason, made_ms=now)
            )
        return ticket

    def is_good(self, name: str, ref: str, ticket: str) -> bool:
        """Returns whether `redeem` would take a ticket."""
        with self._database.begin() as session:
            row = session.get(ClearGrantRow, _digest(ticket))
        good = row is not None and row.account == folded(name) and row.ref == ref
        return good and row is not None and 0 <= self._now_ms() - row.made_ms <= GRANT_MS

    def redeem(self, name: str, ref: str, ticket: str) -> str | None:
        """Takes a ticket; returns the reason that was given for it. None: it is void, used, late, or of another person
        or picture."""
        now = self._now_ms()
        with self._database.begin() as session:
            return session.execute(
                delete(ClearGrantRow)
                .where(
                    ClearGrantRow.digest == _digest(ticket),
                    ClearGrantRow.account == folded(name),
                    ClearGrantRow.ref == ref,
                    ClearGrantRow.made_ms >= now - GRANT_MS,
                    ClearGrantRow.made_ms <= now,
                )
                .returning(ClearGrantRow.reason)
            ).scalar_one_or_none()


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket[:_LONGEST_TICKET].encode(errors="surrogatepass")).hexdigest()
