"""The life of a session: how long it lasts, and when its token is replaced."""

from enum import StrEnum
from typing import Final

IDLE_MS: Final = 60 * 60_000
"""Without any request; an open page makes some."""
LONGEST_MS: Final = 12 * 3_600_000
"""From sign-in: a shift, and what comes after it."""
ROTATION_MS: Final = 15 * 60_000
"""Age of a token at which its next request gets another."""
GRACE_MS: Final = 60_000
"""Time for which a replaced token is good: requests that were under way have it. Later it was stolen, or its browser
lost an answer; both have to sign in again."""
SEEN_MS: Final = 60_000
"""Resolution of the last request's time: not every request writes."""


class SessionState(StrEnum):
    """State of a session's token."""

    LIVE = "live"
    DUE = "due"
    """Live, and the token is to be replaced."""
    ENDED = "ended"
    REUSED = "reused"
    """Replaced, and shown again after the grace: the whole family ends."""


def session_state(*, signed_in_ms: int, made_ms: int, seen_ms: int, replaced_ms: int, now_ms: int) -> SessionState:
    """The state of a token at `now_ms`; each limit belongs to the longer life (`<=`).

    A replaced token is good for the grace before its time, too, and no longer: a clock that went back by an hour would
    make a stolen one good for that hour.
    """
    if now_ms - signed_in_ms > LONGEST_MS or now_ms - seen_ms > IDLE_MS:
        return SessionState.ENDED
    if replaced_ms:
        return SessionState.LIVE if abs(now_ms - replaced_ms) <= GRACE_MS else SessionState.REUSED
    return SessionState.DUE if now_ms - made_ms > ROTATION_MS else SessionState.LIVE


def not_ahead(time_ms: int, now_ms: int) -> int:
    """A time as it counts at `now_ms`: one further ahead than the grace, from before the clock went back, is now. A
    session would last longer by as much as the clock was wrong, and its token not be replaced meanwhile."""
    return now_ms if time_ms - now_ms > GRACE_MS else time_ms
