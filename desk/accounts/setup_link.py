"""The one-time link of the first start: there is no default password."""

import secrets
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from desk.accounts.sessions import digest_of
from desk.database.tables import AccountRow, SetupLinkRow

LINK_MS: Final = 24 * 3_600_000
"""Life of a link; the next start prints another."""


def renew_link(session: Session, now_ms: int) -> str | None:
    """A new link's secret, which replaces those before; None: there is an account, and no link any more."""
    session.execute(delete(SetupLinkRow))
    if session.scalar(select(func.count()).select_from(AccountRow)):
        return None
    secret = secrets.token_urlsafe(32)
    session.add(SetupLinkRow(digest=digest_of(secret), made_ms=now_ms))
    return secret


def is_link(session: Session, secret: str, now_ms: int) -> bool:
    """Returns whether the link is good; reading its page does not use it up."""
    row = session.get(SetupLinkRow, digest_of(secret))
    return row is not None and now_ms - row.made_ms <= LINK_MS


def use_link(session: Session, secret: str, now_ms: int) -> bool:
    """Uses the link up; False: it is not good, or another request was first."""
    good = is_link(session, secret, now_ms)
    used = session.execute(
        delete(SetupLinkRow).where(SetupLinkRow.digest == digest_of(secret)).returning(SetupLinkRow.digest)
    ).first()
    return good and used is not None
