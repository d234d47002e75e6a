"""Lockout with back-off: after some failures to sign in, the next try waits, longer each time."""

import hashlib
from contextlib import suppress
from typing import Final

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from desk.database.tables import FailureRow
from worker.people.actor import folded

FREE_OF_NAME: Final = 5
"""Failures of one name before the first wait: a person mistypes."""
FREE_FROM_ADDRESS: Final = 30
"""Failures from one address: a team shares one."""
FIRST_WAIT_MS: Final = 5_000
LONGEST_WAIT_MS: Final = 15 * 60_000
"""At that pace 96 guesses a day; longer, and a stranger could keep a person out for a shift with one guess."""
FORGOTTEN_MS: Final = 24 * 3_600_000


def wait_ms(failures: int, last_ms: int, now_ms: int, *, free: int) -> int:
    """Wait before the next try, in ms: nothing for `free` failures, then 5 s, doubled by each failure, at most 15 min.

    A last failure in the future by more than the longest wait is from before the clock went back, and waits no more:
    nobody can sign in while they wait, so it would stay in the future for as long as the clock was wrong.
    """
    if failures < free or last_ms - now_ms > LONGEST_WAIT_MS:
        return 0
    doubled = min(failures - free, 20)
    wait = min(FIRST_WAIT_MS << doubled, LONGEST_WAIT_MS)
    return max(0, wait - max(0, now_ms - last_ms))


class Lockout:
    """Failures of a name and from an address, within one transaction."""

    def __init__(self, session: Session, name: str | None, address: str) -> None:
        """`name`: in any spelling; None: only the address counts."""
        self._session = session
        self._allowed = {} if name is None else {_digest("name", folded(name)): FREE_OF_NAME}
        self._allowed[_digest("address", address)] = FREE_FROM_ADDRESS

    def wait_ms(self, now_ms: int) -> int:
        """The longer wait of the two."""
        rows = (self._session.get(FailureRow, digest) for digest in self._allowed)
        return max(
            (wait_ms(row.failures, row.last_ms, now_ms, free=self._allowed[row.digest]) for row in rows if row),
            default=0,
        )

    def count(self, now_ms: int) -> None:
        """Counts a try, which `forgive` takes back if it succeeds: tries at the same time all count."""
        self._session.execute(delete(FailureRow).where(FailureRow.last_ms < now_ms - FORGOTTEN_MS))
        for digest in sorted(self._allowed):  # in one order, so that two transactions do not wait for each other
            row = self._session.get(FailureRow, digest, with_for_update=True)
            if row is None:
                # Another transaction may be adding it, too: then this one waits for it, and counts on.
                with suppress(IntegrityError), self._session.begin_nested():
                    self._session.add(FailureRow(digest=digest, failures=0, last_ms=now_ms))
                row = self._session.get_one(FailureRow, digest, with_for_update=True, populate_existing=True)
            row.failures, row.last_ms = row.failures + 1, now_ms

    def forgive(self) -> None:
        """Forgets the failures of the name; of the address only this try, or one account would free all guesses."""
        for digest, free in self._allowed.items():
            row = self._session.get(FailureRow, digest, with_for_update=True)
            if row is not None and free == FREE_OF_NAME:
                self._session.delete(row)
            elif row is not None:
                row.failures = max(0, row.failures - 1)


def _digest(kind: str, text: str) -> str:
    return hashlib.sha256(f"{kind} {text}".encode(errors="surrogatepass")).hexdigest()
