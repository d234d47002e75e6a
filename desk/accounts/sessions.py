"""Sessions of signed-in people: the cookie has a random token, the database its digest."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from desk.accounts.proofs import key_of_token, open_proof, seal_proof
from desk.accounts.session_life import GRACE_MS, IDLE_MS, SEEN_MS, SessionState, not_ahead, session_state
from desk.database.tables import SessionRow

TOKEN_BYTES: Final = 32
LONGEST_TOKEN: Final = 64
"""Characters of a cookie that are looked up; a longer one is foreign."""


@dataclass(frozen=True, kw_only=True)
class FoundSession:
    """A session that a request belongs to."""

    account: str
    """The folded name."""
    proof: str
    csrf: str
    """Token that each form of the session carries."""
    family: str
    due: bool = False
    """Its token is to be replaced."""
    unseen: bool = False
    """The time of its last request is to be written."""


@dataclass(frozen=True, kw_only=True)
class OwnSession:
    """A session as its own person sees it."""

    family: str
    signed_in_ms: int
    seen_ms: int


def sessions_of(session: Session, account: str, now_ms: int) -> list[OwnSession]:
    """The sessions of a person that go on, the one that was used last first; tokens that were replaced are left out."""
    rows = session.scalars(select(SessionRow).where(SessionRow.account == account, SessionRow.replaced_ms == 0))
    found = [
        OwnSession(family=row.family, signed_in_ms=row.signed_in_ms, seen_ms=row.seen_ms)
        for row in rows
        if _state_of(row, now_ms) in (SessionState.LIVE, SessionState.DUE)
    ]
    return sorted(found, key=lambda one: -one.seen_ms)


def make_session(session: Session, account: str, proof: str, now_ms: int) -> str:
    """Begins a session, under a token that nobody can have known before; returns the token. Sessions that have ended
    are removed, and those that were used last before the clock went back end in time, used again or not."""
    session.execute(delete(SessionRow).where(SessionRow.seen_ms < now_ms - IDLE_MS))
    session.execute(update(SessionRow).where(SessionRow.seen_ms > now_ms + GRACE_MS).values(seen_ms=now_ms))
    return _add(session, account, proof, secrets.token_hex(16), secrets.token_urlsafe(32), now_ms, now_ms)


def find_session(session: Session, token: str, now_ms: int) -> FoundSession | None:
    """The session of a token; None: there is none, or it has ended."""
    row = _row_of(session, token)
    if row is None:
        return None
    state = _state_of(row, now_ms)
    proof = open_proof(row.sealed_proof, key_of_token(token), row.account)
    if state in (SessionState.ENDED, SessionState.REUSED) or proof is None:
        end_family(session, row.family)
        return None
    return FoundSession(
        account=row.account,
        proof=proof,
        csrf=row.csrf,
        family=row.family,
        due=state is SessionState.DUE,
        unseen=abs(now_ms - row.seen_ms) > SEEN_MS,
    )


def note_seen(session: Session, token: str, now_ms: int) -> None:
    """Notes that a session was used; times of it that are ahead, from before the clock went back, become now."""
    row = _row_of(session, token)
    if row is not None:
        row.signed_in_ms, row.made_ms = not_ahead(row.signed_in_ms, now_ms), not_ahead(row.made_ms, now_ms)
        row.seen_ms = now_ms


def replace_token(session: Session, token: str, proof: str, now_ms: int) -> str | None:
    """Replaces the token of a session that is due, and returns the new one, which its browser has to be given: the one
    before ends the session when its grace is over. None: another request of the same browser has done it."""
    row = _row_of(session, token)
    if row is None or _state_of(row, now_ms) is not SessionState.DUE:
        return None
    return _rotate(session, row, proof, now_ms)


def _row_of(session: Session, token: str) -> SessionRow | None:
    return session.get(SessionRow, digest_of(token)) if 0 < len(token) <= LONGEST_TOKEN else None


def _state_of(row: SessionRow, now_ms: int) -> SessionState:
    return session_state(
        signed_in_ms=row.signed_in_ms,
        made_ms=row.made_ms,
        seen_ms=row.seen_ms,
        replaced_ms=row.replaced_ms,
        now_ms=now_ms,
    )


def is_live(session: Session, family: str, now_ms: int) -> bool:
    """Returns whether a session goes on under one of its tokens; a request that lasts asks this, and shows none."""
    rows = session.scalars(select(SessionRow).where(SessionRow.family == family))
    states = [_state_of(row, now_ms) for row in rows]
    return SessionState.LIVE in states or SessionState.DUE in states


def end_family(session: Session, family: str) -> None:
    """Ends a session under all its tokens."""
    session.execute(delete(SessionRow).where(SessionRow.family == family))


def end_sessions_of(session: Session, account: str) -> None:
    """Ends all sessions of a person."""
    session.execute(delete(SessionRow).where(SessionRow.account == account))


def digest_of(token: str) -> str:
    """The digest by which the database knows a token, in hex."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _rotate(session: Session, row: SessionRow, proof: str, now_ms: int) -> str | None:
    """Replaces the token; None: another request of the same browser has done it."""
    won = session.execute(
        update(SessionRow)
        .where(SessionRow.digest == row.digest, SessionRow.replaced_ms == 0)
        .values(replaced_ms=now_ms)
        .returning(SessionRow.digest)
    ).first()
    return won and _add(session, row.account, proof, row.family, row.csrf, row.signed_in_ms, now_ms)


def _add(session: Session, account: str, proof: str, family: str, csrf: str, signed_in_ms: int, now_ms: int) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session.add(
        SessionRow(
            digest=digest_of(token),
            family=family,
            account=account,
            csrf=csrf,
            sealed_proof=seal_proof(proof, key_of_token(token), account),
            signed_in_ms=signed_in_ms,
            made_ms=now_ms,
            seen_ms=now_ms,
            replaced_ms=0,
        )
    )
    return token
