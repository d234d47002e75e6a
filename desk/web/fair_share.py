"""Shares of the threads that make pages: a person who asks for everything at once waits for themselves alone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from desk.errors import RequestRefusedError

AT_ONCE: Final = 8
"""Requests of one browser that are answered at the same time, <=: a fifth of the threads. Browsers open six
connections; by HTTP/2 a page asks for some more, which wait for a moment."""

MOST_WAITING: Final = 32
"""Requests of one browser that wait for their turn, <=; one more is refused."""


@dataclass(kw_only=True)
class _Browser:
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    requests: int = 0


class FairShare:
    """Counts the requests of each browser that have no answer yet; of one event loop."""

    def __init__(self) -> None:
        self._browsers: dict[str, _Browser] = {}

    async def turn(self, browser: str) -> Callable[[], None]:
        """Waits until a request may be served; returns what ends its turn, which may be called twice.

        Args:
            browser: its cookie, or the person whom a proxy names; empty: nobody is signed in, and what such a request
                may cost is bounded elsewhere.

        Raises:
            RequestRefusedError: too many of the same browser wait already.
        """
        if not browser:
            return _nothing
        found = self._browsers.setdefault(browser, _Browser())
        if found.requests >= AT_ONCE + MOST_WAITING:
            raise RequestRefusedError(429, "refused.too_many")
        found.requests += 1
        try:
            await found.turns.acquire()
        except BaseException:
            self._left(browser, found)
            raise
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                found.turns.release()
                self._left(browser, found)

        return end

    def _left(self, browser: str, found: _Browser) -> None:
        found.requests -= 1
        if not found.requests:
            del self._browsers[browser]


def _nothing() -> None:
    return
