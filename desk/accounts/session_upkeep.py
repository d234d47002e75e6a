"""Upkeep of a session that is used: the time of its last request, and another token once it is due."""

import logging
from typing import Final

from desk.accounts.sessions import FoundSession, note_seen, replace_token
from desk.database.connection import DeskDatabase
from desk.errors import DeskDatabaseError
from worker.logs.failure_log import FailureLog

_trouble: Final = FailureLog(logging.getLogger(__name__))


def keep_up(database: DeskDatabase, token: str, found: FoundSession, now_ms: int) -> str | None:
    """Writes what is due for a session; returns the new token, None: it keeps the one that it has.

    Where nothing can be written, as on a full disk, the session goes on under its token until it has been idle for too
    long: whoever is signed in can go on judging.
    """
    if not (found.unseen or found.due):
        return None
    try:
        with database.begin() as session:
            note_seen(session, token, now_ms)
            new_token = replace_token(session, token, found.proof, now_ms) if found.due else None
    except DeskDatabaseError as error:
        _trouble.met("sessions", "sessions are not kept up: %s", error)
        return None
    _trouble.over("sessions", "sessions are kept up again")
    return new_token
